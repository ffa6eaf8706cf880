"""`rookery tune`: fine-tune a model."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import click

from rookery.cli.training import Tuning, go, run_options, wish_of
from rookery.errors import SettingsError

__all__ = ["command"]

METHODS = ("lora", "state", "lora+state", "full")
_METHOD = ("rank", "alpha", "target", "adapter")  # options of methods


@click.command("tune")
@click.argument("method", metavar="METHOD", type=click.Choice(METHODS))
@click.argument("model", type=click.Path(path_type=Path))
@click.argument("data", nargs=-1, required=True)
@click.option("-o", "--output", type=click.Path(path_type=Path), required=True, help="The folder of the run.")
@click.option("--rank", type=int, help="Of the low-rank changes; default 16.")
@click.option("--alpha", type=float, help="Their scale times their rank; default twice the rank.")
@click.option("--target", multiple=True, help="Which matrices, such as att.key; may be repeated; default: all.")
@click.option("--adapter", type=click.Path(path_type=Path), help="What another run learnt, to go on from.")
@click.option("--vocabulary", help="A vocabulary file, or world; default: the model's.")
@run_options
def command(method: str, model: Path, data: tuple[str, ...], output: Path, **options: Any) -> None:
    """Fine-tune MODEL on DATA, which is given as for `rookery train`.  METHOD: lora, state, lora+state or full.

    lora trains low-rank changes of the matrices, state the state that texts begin with, lora+state both, full
    everything.  What is learnt lies in the folder, apart from MODEL, which stays as it is; with full it is a model.
    """
    given = {name: options.pop(name) for name in _METHOD}
    _check(method, given)
    seed = options["seed"]
    wish = wish_of(data, sizes={}, options=options | {"source": model, "size": "mini", "version": "7"})

    from rookery.train.methods import method_named

    low_rank = {"rank": given["rank"], "alpha": given["alpha"], "targets": given["target"], "seed": seed}
    chosen = method_named(method, **(low_rank if "lora" in method else {}))
    tuning = Tuning(chosen, model, given["adapter"])
    go(replace(wish, rates=chosen.rates), output, options, tuning)


def _check(method: str, given: dict[str, Any]) -> None:
    """Options that say nothing to the method."""
    strange = [name for name in ("rank", "alpha", "target") if given[name] and "lora" not in method]
    strange += ["adapter"] if given["adapter"] and method == "full" else []
    if strange:
        raise SettingsError(f"--{strange[0]} means nothing to {method}; leave it out, or choose lora")
