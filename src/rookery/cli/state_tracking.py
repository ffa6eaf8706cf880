"""`rookery evaluate state-tracking`: small models on tasks whose answer depends on all that was read."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from rookery.cli.common import json_option, print_json, progress
from rookery.cli.tables import print_facts, print_table
from rookery.errors import SettingsError

if TYPE_CHECKING:
    from rookery.evaluate.tracking import Plan, Results

__all__ = ["command"]


@click.command("state-tracking")
@click.option("--tasks", help="Separated by commas; default: all.")
@click.option("--models", help="v7, v7:1+w, v7:2, v6, v5.2, v4, transformer; default: v7,v7:1+w,v6,v4,transformer.")
@click.option("--layers", default="1", show_default=True, help="Blocks; several numbers separated by commas.")
@click.option("--steps", type=int, help="Steps of training; default: each task's own number.")
@click.option(
    "--seeds", type=int, default=1, show_default=True, help="Trainings of each kind; the table has their mean."
)
@click.option("--rates", default="0.004,0.001", show_default=True, help="Learning rates; the table has the best.")
@click.option("--lengths", help="Lengths to measure at; default: the trained one, twice, four and eight times that.")
@click.option("--width", type=int, default=64, show_default=True, help="Channels; 64 make about 60,000 parameters.")
@click.option("--threads", type=int, default=1, show_default=True, help="Threads; models so small gain little by more.")
@click.option("--results", type=click.Path(path_type=Path), help="File of JSON lines; what is in it is not done again.")
@click.option("--plot", type=click.Path(path_type=Path), help="Draw accuracy against length: .svg, .png or .pdf.")
@json_option
def command(seeds: int, results: Path | None, plot: Path | None, as_json: bool, **options: Any) -> None:
    """Train small models of equal size on parity, sums, swapped cups, products of permutations, brackets and
    associative recall, and measure how many answers are right within the trained length and beyond.

    Needs the extra rookery[train]; --plot needs rookery[plot].
    """
    from rookery.evaluate.tracking import Results, summary
    from rookery.evaluate.tracking.needs import check_plot, check_results, check_torch

    if seeds < 1:
        raise SettingsError(f"--seeds is {seeds}; expected 1 or more")
    plan = _plan(seeds, **options)
    check_torch()
    if plot is not None:
        check_plot(plot)
    if results is not None:
        check_results(results)
    found = Results(results)
    _run(plan, found)
    entries = summary(plan, found)
    if plot is not None:
        from rookery.evaluate.tracking.plot import plot as draw

        draw(entries, plot)
    if as_json:
        print_json({"results": entries})
    else:
        _print(entries)


def _plan(seeds: int, tasks: str | None, models: str | None, **options: Any) -> Plan:
    from rookery.evaluate.tracking import DEFAULT_MODELS, TASKS, Plan

    lengths = options.pop("lengths")
    return Plan(
        tasks=_words(tasks) if tasks is not None else tuple(TASKS),
        models=_words(models) if models is not None else DEFAULT_MODELS,
        layers=_numbers("--layers", options.pop("layers"), int),
        rates=_numbers("--rates", options.pop("rates"), float),
        seeds=range(seeds),
        lengths=None if lengths is None else tuple(_numbers("--lengths", lengths, int)),
        **options,
    )


def _words(text: str) -> list[str]:
    """Each once, in the order given."""
    return list(dict.fromkeys(word.strip() for word in text.split(",")))


def _numbers(option: str, text: str, kind: type) -> list[Any]:
    try:
        return list(dict.fromkeys(kind(word) for word in text.split(",")))
    except ValueError:
        raise SettingsError(f"{option} is {text!r}, expected numbers separated by commas") from None


def _run(plan: Plan, results: Results) -> None:
    """All cells that are not done; the bar counts their steps."""
    from rookery.evaluate.tracking.cell import run_cell

    cells = [cell for cell in plan.cells() if results.of(cell) is None]
    total, done = sum(cell.steps for cell in cells), 0
    with progress("Training") as report:

        def step() -> None:
            nonlocal done
            done += 1
            report(done, total)

        for cell in cells:
            results.add(cell, run_cell(cell, step))


def _print(entries: list[dict[str, Any]]) -> None:
    """A table for each task and depth."""
    for key in dict.fromkeys((entry["task"], entry["layers"]) for entry in entries):
        found = [entry for entry in entries if (entry["task"], entry["layers"]) == key]
        layers = f"{key[1]} layer" if key[1] == 1 else f"{key[1]} layers"
        click.echo(click.style(f"{key[0]}, {layers}", bold=True))
        print_facts([("trained on", f"{found[0]['trained']} tokens"), ("guessing", f"{found[0]['chance']:.3f}")])
        lengths = list(found[0]["accuracy"])
        print_table(("model", "parameters", "rate", "solved", "at step", *lengths, "reliable"), [*map(_row, found)])
        click.echo()


def _row(entry: dict[str, Any]) -> list[str]:
    return [
        entry["model"],
        str(entry["parameters"]),
        f"{entry['rate']:g}",
        f"{entry['solved']}/{entry['seeds']}",
        "-" if entry["solved_at"] is None else f"{entry['solved_at']:.0f}",
        *(f"{share:.3f}" for share in entry["accuracy"].values()),
        "-" if entry["reliable"] is None else f"{entry['reliable']:.0f}",
    ]
