"""Perplexity against the definition in float64."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

import rookery
from rookery.cli.perplexity import command
from rookery.errors import NumericError, SettingsError
from rookery.evaluate import Perplexity, perplexity
from rookery.initialise import make_config, random_model
from rookery.model import Model

TEXT = "Rooks nest in colonies; crows do not. Ünïcode too.".encode()


@pytest.fixture(scope="module", params=["4", "6", "7"])
def path(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("perplexity") / "tiny.safetensors"
    rookery.save_checkpoint(
        random_model(make_config(request.param, layers=2, width=64, vocab=256, head_size=32), seed=1), path
    )
    return path


def surprise(oracle: Model, ids: list[int]) -> float:
    """-ln p of every token but the first, by the formula."""
    logits = oracle.forward(ids[:-1], full=True)[0]
    p = np.exp(logits) / np.exp(logits).sum(-1, keepdims=True)
    return float(-np.log([row[t] for row, t in zip(p, ids[1:], strict=True)]).sum())


@pytest.mark.parametrize("context", [None, 2, 7, 1000])
@pytest.mark.parametrize("start", [0, 10, None])
def test_against_the_formula(path: Path, context: int | None, start: int | None) -> None:
    oracle = rookery.load(path, executor="numpy")
    found = perplexity(rookery.load(path, threads=1), TEXT, chunk=5, context=context, start_token=start)
    lead = [] if start is None else [start]
    spans = [[*lead, *TEXT[i : i + (context or 1000)]] for i in range(0, len(TEXT), context or 1000)]
    assert found.tokens == found.bytes == sum(len(span) - 1 for span in spans)
    expected = sum(surprise(oracle, span) for span in spans if len(span) > 1)
    assert found.nats == pytest.approx(expected, rel=1e-5)
    assert found.perplexity == pytest.approx(np.exp(expected / found.tokens), rel=1e-4)
    assert found.bits_per_byte == pytest.approx(expected / np.log(2) / found.bytes, rel=1e-5)


def test_the_chunk_changes_nothing(path: Path) -> None:
    model = rookery.load(path, threads=1)
    results = {perplexity(model, TEXT, chunk=chunk) for chunk in (1, 7, 64)}
    assert len(results) == 1


def test_few_rows_of_logits_at_a_time(path: Path) -> None:
    model = rookery.load(path, threads=1)
    rows: list[int] = []
    run = model.executor.run

    class Watched:
        def run(self, tokens, lengths, states, wanted):
            rows.append(len(wanted))
            return run(tokens, lengths, states, wanted)

    model.executor = Watched()
    perplexity(model, TEXT * 20)
    assert max(rows) == 64


def test_misuse(path: Path) -> None:
    model = rookery.load(path, threads=1)
    for text, start in ((b"", 0), (b"a", None), ([], None)):
        with pytest.raises(SettingsError, match="no token to predict"):
            perplexity(model, text, start_token=start)
    for options in ({"chunk": 0}, {"context": 1}):
        with pytest.raises(SettingsError, match=r"expected [12] or more"):
            perplexity(model, TEXT, **options)


def test_numbers_that_are_none(path: Path) -> None:
    model = rookery.load(path, threads=1)

    class Broken:
        def run(self, tokens, lengths, states, wanted):
            logits = np.zeros((len(wanted), 256), np.float32)
            logits[3] = np.nan
            return logits

    model.executor = Broken()
    with pytest.raises(NumericError, match="after token 3"):
        perplexity(model, TEXT)


def test_huge_surprise_is_infinite() -> None:
    assert Perplexity(1, 1, 1e4).perplexity == np.inf


def test_command(path: Path, tmp_path: Path) -> None:
    text = tmp_path / "text"
    text.write_bytes(TEXT)
    expected = perplexity(rookery.load(path), TEXT, context=8)
    run = CliRunner().invoke(command, [str(path), str(text), "--context", "8", "--json"])
    assert run.exit_code == 0, run.output
    said = json.loads(run.output)
    assert (said["tokens"], said["perplexity"]) == (expected.tokens, expected.perplexity)
    piped = CliRunner().invoke(command, [str(path), "--context", "8"], input=TEXT)
    assert f"perplexity      {expected.perplexity:.4f}\n" in piped.output
    bad = CliRunner().invoke(command, [str(path), str(text), "--start-token", "x"])
    assert isinstance(bad.exception, SettingsError)
