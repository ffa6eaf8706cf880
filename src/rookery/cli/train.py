"""`rookery train`: a new model from data, or a model taken further."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from rookery.cli.training import go, run_options, wish_of

__all__ = ["command"]


@click.command("train")
@click.argument("data", nargs=-1, required=True)
@click.option("-o", "--output", type=click.Path(path_type=Path), required=True, help="The folder of the run.")
@click.option("--from", "source", type=click.Path(path_type=Path), help="A model to go on from; default: a new one.")
@click.option("--size", default="nano", show_default=True, help="smoke, nano, micro, mini, small or base: the recipe.")
@click.option("--version", default="7", show_default=True, help="4, 5.0, 5.1, 5.2, 6 or 7, of a new model.")
@click.option("--layers", type=int, help="Blocks of a new model; default: the size's.")
@click.option("--width", type=int, help="Channels of a new model; default: the size's.")
@click.option("--head-size", type=int, help="Lanes per head of a new model; default: the size's.")
@click.option("--removal", default="1", show_default=True, help="RWKV-7's removal term: 1, 2 or 1+w, of a new model.")
@click.option("--control", is_flag=True, help="Train a Transformer of as many parameters instead, to compare with.")
@click.option("--vocab", type=int, help="Ids of a vocabulary that is made from the data; default: the size's.")
@click.option("--vocabulary", help="A vocabulary file, or world; default: the model's, or one made from the data.")
@run_options
def command(data: tuple[str, ...], output: Path, **options: Any) -> None:
    """Train on DATA: texts, JSON lines, Parquet, binidx, folders of these or patterns, each with an optional weight
    such as tales.jsonl@3.

    The run lies in a folder: started again, the same command goes on where it was.
    """
    sizes = {name: options.pop(name) for name in ("layers", "width", "head_size", "vocab")}
    go(wish_of(data, sizes={k: v for k, v in sizes.items() if v is not None}, options=options), output, options)
