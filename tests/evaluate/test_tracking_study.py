"""What is to be done, what is done, and what it comes to: without training anything."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from rookery.errors import FormatError, SettingsError
from rookery.evaluate.tracking import Cell, Plan, Results, summary

PLAN = Plan(["parity", "s3"], ["v7", "v4"], [1, 2], [4e-3, 1e-3], range(2))


def found(*shares: float, solved: int | None = None, lengths: tuple[int, ...] = (64, 128, 256, 512)) -> dict[str, Any]:
    return {
        "parameters": 60000,
        "loss": 0.5,
        "solved_at": solved,
        "accuracy": dict(zip(map(str, lengths), shares, strict=True)),
        "reliable": 9,
        "diverged": False,
        "seconds": 1.0,
    }


def test_every_combination_once_and_the_first_seed_first() -> None:
    cells = PLAN.cells()
    assert len(cells) == len(set(cells)) == 2 * 2 * 2 * 2 * 2
    assert [cell.seed for cell in cells] == [0] * 16 + [1] * 16
    assert cells[0] == Cell("parity", "v7", 1, 4e-3, 0, 1000, (64, 128, 256, 512))
    assert {cell.lengths for cell in cells if cell.task == "s3"} == {(32, 64, 128, 256)}
    assert {cell.steps for cell in replace(PLAN, steps=7).cells()} == {7}
    assert {cell.lengths for cell in replace(PLAN, lengths=(64, 9, 64)).cells()} == {(9, 64)}


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"tasks": ["chess"]}, "unknown task 'chess'"),
        ({"models": ["v3"]}, "unknown model 'v3'; known: v7, v7:2, v7:1+w, v6, v5.2, v4, transformer"),
        ({"layers": [1, 0]}, "layers=0: expected 1 to 64"),
        ({"rates": [0.0]}, "rates=0.0: expected more than 0"),
        ({"rates": [float("nan")]}, "rates=nan: expected"),
        ({"seeds": range(0)}, "seeds=None: expected"),
        ({"steps": 0}, "steps=0: expected 1 to"),
        ({"lengths": (7,)}, "lengths=7: expected 8 to"),
        ({"lengths": ()}, "lengths=None: expected 8 to"),
        ({"width": 40}, "width=40: expected a multiple of 32"),
        ({"threads": 0}, "threads=0: expected 1 to"),
    ],
)
def test_what_cannot_be_is_said_first(change: dict[str, Any], sentence: str) -> None:
    with pytest.raises(SettingsError) as error:
        replace(PLAN, **change)
    assert str(error.value).startswith(sentence)


def test_what_is_done_is_known_again(tmp_path: Path) -> None:
    first, second, *_ = PLAN.cells()
    Results(tmp_path / "r.jsonl").add(first, found(1, 1, 1, 1))
    again = Results(tmp_path / "r.jsonl")
    assert again.of(first) == found(1, 1, 1, 1)
    assert again.of(replace(first, threads=2)) == found(1, 1, 1, 1)
    for other in (second, replace(first, seed=7), replace(first, lengths=(64,)), replace(first, steps=5)):
        assert again.of(other) is None


def test_a_line_that_was_cut_off_is_done_again(tmp_path: Path) -> None:
    path, (first, second, *_) = tmp_path / "r.jsonl", PLAN.cells()
    for cell in (first, second):
        Results(path).add(cell, found(1, 1, 1, 1))
    path.write_bytes(path.read_bytes()[:-20])
    torn = Results(path)
    assert (torn.of(first) is not None, torn.of(second)) == (True, None)
    torn.add(second, found(0.5, 0.5, 0.5, 0.5))
    assert [Results(path).of(cell) for cell in (first, second)] == [found(1, 1, 1, 1), found(0.5, 0.5, 0.5, 0.5)]


@pytest.mark.parametrize("line", ["{}", "[]", "words", '{"found": {}, "cell": 1}', "[" * 100000])
def test_a_file_of_something_else_is_left_alone(tmp_path: Path, line: str) -> None:
    for end in ("", "\n"):
        (tmp_path / "r.jsonl").write_text(line + end)
        with pytest.raises(
            FormatError, match=r"r\.jsonl: line 1 is no result of state tracking; use a file of its own$"
        ):
            Results(tmp_path / "r.jsonl")


def test_the_summary_takes_the_best_rate_and_the_mean_of_seeds() -> None:
    plan = replace(PLAN, tasks=["parity"], layers=[1])
    results = Results(None)
    shares = {4e-3: (0.6, 0.8), 1e-3: (1.0, 0.9)}
    for cell in plan.cells():
        if cell.model == "v4":
            results.add(cell, found(*[shares[cell.rate][cell.seed], 0.7, 0.6, 0.5], solved=cell.seed * 100 or None))
    (entry,) = summary(plan, results)
    assert (entry["task"], entry["layers"], entry["model"], entry["rate"]) == ("parity", 1, "v4", 1e-3)
    assert entry["accuracy"] == pytest.approx({"64": 0.95, "128": 0.7, "256": 0.6, "512": 0.5})
    assert (entry["seeds"], entry["solved"], entry["solved_at"], entry["reliable"]) == (2, 1, 100, 9)
    assert (entry["chance"], entry["trained"]) == (0.5, 64)


def test_a_plot(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib", reason="needs the extra rookery[plot]")
    from rookery.evaluate.tracking.plot import plot

    results = Results(None)
    for cell in PLAN.cells():
        results.add(cell, found(1, 0.9, 0.8, 0.7, lengths=cell.lengths))
    for name in ("a.svg", "b.svg", "c.png"):
        plot(summary(PLAN, results), tmp_path / name)
    assert (tmp_path / "a.svg").read_bytes() == (tmp_path / "b.svg").read_bytes()
    assert (tmp_path / "c.png").stat().st_size > 10_000


def test_json_has_no_surprises(tmp_path: Path) -> None:
    results = Results(tmp_path / "r.jsonl")
    results.add(PLAN.cells()[0], found(1, 1, 1, 1))
    assert json.loads((tmp_path / "r.jsonl").read_text())["cell"]["lengths"] == [64, 128, 256, 512]
