"""Vectors of texts against the oracle."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

import rookery
from rookery.cli.embed import command
from rookery.embedding import POOLS, embed
from rookery.errors import NumericError, SettingsError
from rookery.formats import open_checkpoint
from rookery.initialise import make_config, random_model

TEXTS = ["a", "Rooks nest in colonies.", "Ünïcode", "x" * 300, "the end"]


@pytest.fixture(scope="module", params=["4", "5.2", "6", "7"])
def path(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("embed") / "tiny.safetensors"
    rookery.save_checkpoint(
        random_model(make_config(request.param, layers=3, width=64, vocab=256, head_size=32), seed=2), path
    )
    return path


def test_hidden_times_head_is_logits(path: Path) -> None:
    """Of the native executor: the hidden vectors, multiplied by the head in float64, are its logits."""
    model = rookery.load(path, threads=2)
    head = open_checkpoint(path).tensors["head.weight"].numpy().astype(np.float64)
    ids, lengths = np.arange(200, dtype=np.int32), [150, 1, 49]
    wanted = np.array([0, 3, 149, 150, 199], np.int32)
    states = [[model.initial.data.copy() for _ in lengths] for _ in range(2)]
    hidden = model.executor.hidden(ids, lengths, states[0], wanted)
    logits = model.executor.run(ids, lengths, states[1], wanted)
    assert hidden.shape == (5, 64)
    np.testing.assert_allclose(hidden @ head.T, logits, rtol=1e-4, atol=1e-4)
    assert all(np.array_equal(a, b) for a, b in zip(*states, strict=True))


def test_values_that_cannot_be_asked_for(path: Path) -> None:
    """Only those behind `take` have as many rows as were wanted."""
    executor = rookery.load(path, threads=1).executor
    ids, states = np.zeros(3, np.int32), [executor.layout.zeros()]
    for value in (0, 1 << 20):
        with pytest.raises(ValueError, match="does not have the wanted rows"):
            executor._runner.run(ids, [3], states, ids[:1], np.empty((1, 64), np.float32), value)
    with pytest.raises(ValueError, match="wrong shape"):
        executor._runner.run(ids, [3], states, ids[:1], np.empty((1, 256), np.float32), executor.program.hidden)


@pytest.mark.parametrize("pool", POOLS)
def test_against_the_oracle(path: Path, pool: str) -> None:
    model, oracle = rookery.load(path, threads=1), rookery.load(path, executor="numpy")
    vectors = embed(model, TEXTS, pool=pool)
    assert vectors.dtype == np.float32
    for text, vector in zip(TEXTS, vectors, strict=True):
        ids = np.frombuffer(text.encode(), np.uint8).astype(np.int32)
        data = oracle.initial.data.copy()
        hidden = oracle.executor.hidden(ids, [len(ids)], [data], np.arange(len(ids), dtype=np.int32))
        memory = oracle.layout.layers[-1].wkv.of(data).reshape(-1).astype(np.float64)
        expected = {"mean": hidden.mean(0), "last": hidden[-1], "state": memory}[pool]
        np.testing.assert_allclose(vector, expected / np.linalg.norm(expected), atol=2e-5)


@pytest.mark.parametrize("pool", POOLS)
def test_batch_is_alone(path: Path, pool: str) -> None:
    model = rookery.load(path, threads=1)
    texts = TEXTS * 9  # more than go into one call
    together = embed(model, texts, pool=pool)
    alone = np.concatenate([embed(model, [text], pool=pool) for text in TEXTS])
    assert np.array_equal(together, np.tile(alone, (9, 1)))


def test_a_state_to_start_from(path: Path) -> None:
    model = rookery.load(path, threads=1)
    state = model.forward(list(b"Query: "))[1]
    before = state.data.copy()
    vector = embed(model, ["rooks"], pool="last", state=state)
    np.testing.assert_array_equal(vector, embed(model, ["Query: rooks"], pool="last"))
    assert np.array_equal(state.data, before)
    raw = embed(model, ["rooks", [1, 2]], pool="last", normalise=False)
    assert abs(np.linalg.norm(raw[0]) - 1) > 0.1
    assert abs(np.linalg.norm(vector[0]) - 1) < 1e-6


def test_misuse(path: Path) -> None:
    model = rookery.load(path, threads=1)
    with pytest.raises(SettingsError, match="pool='max'"):
        embed(model, ["a"], pool="max")
    with pytest.raises(SettingsError, match="text 1 is empty"):
        embed(model, ["a", ""])
    assert embed(model, []).shape == (0, 64)
    broken = rookery.State(model.layout, np.full(model.layout.size, np.nan, np.float32), model.fingerprint)
    with pytest.raises(NumericError, match="text 0"):
        embed(model, ["a"], state=broken)


def test_command(path: Path, tmp_path: Path) -> None:
    expected = embed(rookery.load(path), ["one", "two"])
    run = CliRunner().invoke(command, [str(path), "one", "two"])
    lines = [json.loads(line) for line in run.output.splitlines()]
    assert [(line["index"], line["text"]) for line in lines] == [(0, "one"), (1, "two")]
    np.testing.assert_array_equal(np.array([line["embedding"] for line in lines], np.float32), expected)
    piped = CliRunner().invoke(command, [str(path), "-o", str(tmp_path / "v.npy")], input="one\ntwo\n")
    assert piped.exit_code == 0, piped.output
    np.testing.assert_array_equal(np.load(tmp_path / "v.npy"), expected)
    for arguments, given, message in (
        ([], b"\n", "holds no text"),
        ([], b"\xff", "not UTF-8 at byte 0"),
        (["a", "--file", "b"], b"", "choose one"),
    ):
        bad = CliRunner().invoke(command, [str(path), *arguments], input=given)
        assert message in str(bad.exception)


def test_command_replaces_only_when_told(path: Path, tmp_path: Path) -> None:
    output = tmp_path / "v.npy"
    output.write_bytes(b"precious")
    refused = CliRunner().invoke(command, [str(tmp_path / "absent"), "one", "-o", str(output)])
    assert "already exists" in str(refused.exception)  # before the model is missed
    assert output.read_bytes() == b"precious"
    assert CliRunner().invoke(command, [str(path), "one", "-o", str(output), "--force"]).exit_code == 0
    assert np.load(output).shape == embed(rookery.load(path), ["one"]).shape
    away = CliRunner().invoke(command, [str(path), "one", "-o", str(tmp_path / "no" / "v.npy")])
    assert "does not exist; create it first" in str(away.exception)


def test_one_text_is_not_taken_for_its_characters(path: Path) -> None:
    with pytest.raises(SettingsError, match="a list of them"):
        embed(rookery.load(path, threads=1), "hello")
