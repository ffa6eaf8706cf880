"""State tracking end to end, on tiny models: what is trained, what is counted, and the command."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs the extra rookery[train]")

from rookery.evaluate.tracking import MODELS, TASKS, Plan  # noqa: E402
from rookery.evaluate.tracking.cell import TaskBatches, accuracies, run_cell  # noqa: E402
from rookery.evaluate.tracking.contenders import Shape, contender  # noqa: E402

TINY = Plan(["parity"], ["v7"], [1], [4e-3], [0], steps=3, lengths=(8, 16), width=32)


@pytest.mark.parametrize("layers", [1, 3])
def test_contenders_are_of_one_size(layers: int) -> None:
    counts = {}
    for name in MODELS:
        model = contender(name, Shape(layers, 64, 11), seed=0)
        counts[name] = sum(p.numel() for p in model.parameters() if p.requires_grad)
    assert max(counts.values()) <= 1.01 * min(counts.values()), counts
    assert layers > 1 or 55_000 < counts["v7"] < 75_000


def test_contenders_are_who_they_say() -> None:
    shape = Shape(1, 32, 11)
    said = {name: contender(name, shape, 0).config for name in MODELS if name != "transformer"}
    assert {name: config.version for name, config in said.items()} == {
        "v7": "7", "v7:2": "7", "v7:1+w": "7", "v6": "6", "v5.2": "5.2", "v4": "4"
    }  # fmt: skip
    assert {config.removal for config in said.values()} == {"1", "2", "1+w"}
    assert said["v7:1+w"].removal == "1+w"
    a, b = (contender("v7", shape, seed).head.weight for seed in (0, 1))
    assert not torch.equal(a, b)


def test_batches_are_a_function_of_the_step() -> None:
    batches = TaskBatches(TASKS["s3"], 5, seed=1)
    a, b, c = batches.at(3), batches.at(3), batches.at(4)
    assert np.array_equal(a.tokens, b.tokens)
    assert not np.array_equal(a.tokens, c.tokens)
    assert a.lengths == [33] * 5


class Knowing:
    """Answers what it was told to, whatever is asked."""

    def __init__(self, answers: np.ndarray, vocab: int) -> None:
        self.answers, self.vocab, self.at = torch.from_numpy(answers).reshape(-1), vocab, 0

    def __call__(self, tokens: torch.Tensor, lengths: list[int]) -> tuple[torch.Tensor, None]:
        some = self.answers[self.at : self.at + len(tokens)]
        self.at += len(tokens)
        return torch.nn.functional.one_hot(some, self.vocab), None

    def logits(self, hidden: torch.Tensor) -> torch.Tensor:
        return hidden


@pytest.mark.parametrize("wrong_from", [1, 17, 33, 64, 65])
def test_accuracy_is_of_the_places_up_to_a_length(wrong_from: int) -> None:
    job, count = TASKS["cups3"], 10
    rows = job.rows(np.random.default_rng([7, (1 << 31) + 64]), count, 64)
    answers = rows.targets.copy()
    answers[:, wrong_from:] = (answers[:, wrong_from:] + 1) % 3
    accuracy, reliable = accuracies(Knowing(answers, job.vocab), job, (16, 32, 64), 7, count)
    assert reliable == wrong_from - 1
    assert accuracy == {
        16: float(wrong_from > 16),
        32: float(wrong_from > 32),
        64: (wrong_from - 61) / 4 * (wrong_from > 60),
    }


def test_accuracy_of_whole_sequences_counts_what_is_asked() -> None:
    job = TASKS["mqar"]
    answers = [job.rows(np.random.default_rng([7, (1 << 31) + n]), 4, n).targets for n in (16, 64)]
    for off, share in ((0, 1.0), (1, 0.0)):
        told = np.concatenate([(each + off).reshape(-1) % job.vocab for each in answers])
        accuracy, reliable = accuracies(Knowing(told, job.vocab), job, (16, 64), 7, 4)
        assert (accuracy, reliable) == ({16: share, 64: share}, None)


@pytest.mark.parametrize("model", MODELS)
def test_every_model_runs(model: str) -> None:
    (cell,) = replace(TINY, models=[model]).cells()
    steps: list[None] = []
    found = run_cell(replace(cell, batch=4), lambda: steps.append(None))
    assert len(steps) == 3
    assert set(found["accuracy"]) == {"8", "16"}
    assert all(0 <= share <= 1 for share in found["accuracy"].values())
    assert found["solved_at"] is None
    json.dumps(found, allow_nan=False)


def test_what_can_be_learnt_is_learnt() -> None:
    """Sums of so few terms that even a table would do: the trainer, the weights and the counting fit together."""
    short = replace(TASKS["sum5"], length=2)
    TASKS["short"] = short
    try:
        (cell,) = replace(TINY, tasks=["short"], steps=150, lengths=(8,)).cells()
        found = run_cell(replace(cell, lengths=(2,), rate=1e-2))
    finally:
        del TASKS["short"]
    assert found["accuracy"] == {"2": 1.0}
    assert found["solved_at"] is not None
    assert found["reliable"] == 2


def rookery(*arguments: object) -> subprocess.CompletedProcess[str]:
    call = [sys.executable, "-m", "rookery", "evaluate", "state-tracking", *map(str, arguments)]
    return subprocess.run(call, capture_output=True, text=True, check=False)


SHORT = ("--tasks", "parity", "--models", "v7,transformer", "--steps", 2, "--lengths", "8,16", "--width", 32)


def test_the_command_prints_keeps_and_goes_on(tmp_path: Path) -> None:
    results = tmp_path / "r.jsonl"
    first = rookery(*SHORT, "--rates", "0.004", "--results", results)
    assert first.returncode == 0, first.stderr
    assert first.stdout.startswith("parity, 1 layer\n")
    assert "transformer" in first.stdout
    lines: list[dict[str, Any]] = [json.loads(line) for line in results.read_text().splitlines()]
    assert [line["cell"]["model"] for line in lines] == ["v7", "transformer"]
    results.write_text(results.read_text().replace('"8": 0.', '"8": 1.'))  # what is done is not done again
    second = rookery(*SHORT, "--rates", "0.004", "--results", results, "--json")
    assert all(entry["accuracy"]["8"] >= 1 for entry in json.loads(second.stdout)["results"])
    assert len(results.read_text().splitlines()) == 2


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("--tasks", "chess"), "unknown task 'chess'; known: parity"),
        (("--models", "v7,v3"), "unknown model 'v3'; known: v7"),
        (("--rates", "fast"), "--rates is 'fast', expected numbers separated by commas"),
        (("--steps", 0), "--steps=0: expected 1 to 1000000"),
        (("--seeds", 0), "--seeds is 0; expected 1 or more"),
        (("--lengths", "1e9"), "--lengths is '1e9', expected numbers"),
        (("--results", "/absent/r.jsonl"), "--results is /absent/r.jsonl; there is no folder /absent"),
        (("--results", "/"), "--results is /, a folder; expected a file of JSON lines"),
    ],
)
def test_what_cannot_be_is_said_before_anything_is_trained(arguments: tuple[object, ...], sentence: str) -> None:
    run = rookery(*arguments)
    assert (run.returncode, run.stdout) == (1, "")
    assert run.stderr.startswith(f"rookery: {sentence}")
    assert run.stderr.count("\n") == 1
