"""`rookery merge`: a model with what fine-tuning learnt, as one file."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from rookery.cli.common import json_option, print_json, progress
from rookery.cli.convert import check_target, left_behind
from rookery.cli.printable import printable
from rookery.cli.space import check_space
from rookery.errors import NumericError

if TYPE_CHECKING:
    from rookery.formats import Checkpoint

__all__ = ["command"]

DTYPES = ("F32", "F16", "BF16")
_TOKENS = 16  # read by both models
# How far logits may be apart, relative to their size: types round weights, and blocks are multiplied by 8-bit rows.
_ALLOWED = {"F32": 1e-4, "F16": 2e-2}
_ALLOWED_ELSE = 1e-1


@click.command("merge")
@click.argument("model", type=click.Path(path_type=Path))
@click.argument("adapter", type=click.Path(path_type=Path))
@click.option("-o", "--output", type=click.Path(path_type=Path), required=True, help="Where to write the new model.")
@click.option("--alpha", type=float, help="Of the adapter, where its file does not say it (RWKV-PEFT's lora_alpha).")
@click.option("--to", "format", help="pth, safetensors, hf, gguf or rookery; default: what the suffix says.")
@click.option("--dtype", type=click.Choice(DTYPES, case_sensitive=False), help="Default: keep every tensor's type.")
@click.option("--check/--no-check", default=True, help="Compare the logits of both on a few tokens.")
@click.option("--force", is_flag=True, help="Replace the file if it exists.")
@json_option
def command(model: Path, adapter: Path, output: Path, **options: Any) -> None:
    """Write MODEL with ADAPTER merged into it: W + alpha / rank B A in float32, then rounded to the file's type.

    Tuned states become the initial states of the new model.  Matrices pass one at a time.
    """
    from rookery.adapter import adapted, read_adapter
    from rookery.formats import open_checkpoint, save_checkpoint
    from rookery.formats.saving import format_of
    from rookery.tokenizer import with_vocabulary

    format, dtype = format_of(output, options["format"]), options["dtype"]
    check_target(adapter, output, force=True)  # never the adapter itself
    check_target(model, output, options["force"])
    learnt = read_adapter(adapter)
    merged = adapted(open_checkpoint(model), learnt, options["alpha"], types="F32" if dtype else "kept")
    if format == "gguf":
        merged = with_vocabulary(merged)
    check_space(merged, output, dtype)
    with progress("Merging") as report:
        save_checkpoint(merged, output, format, dtype, report)
    about: dict[str, Any] = {
        "model": str(model),
        "adapter": str(adapter),
        "output": str(output),
        "matrices": len(learnt.low_rank),
        "tensors": len(learnt.replaced),
        "states": len(learnt.initial_state),
    }
    if note := left_behind(merged, format):
        about["note"] = note
    if options["check"]:
        about["difference"] = _difference(model, adapter, options["alpha"], output)
    _report(about, options["as_json"])


def _difference(model: Path, adapter: Path, alpha: float | None, output: Path) -> float:
    """How far the logits of the new file are from those of model and adapter, relative to these; NumericError if far.

    One model is in memory at a time.
    """
    import numpy as np

    from rookery.formats import open_checkpoint

    config = open_checkpoint(output).config
    assert config is not None
    tokens = np.random.default_rng(0).integers(0, config.vocab, _TOKENS)
    want = _logits(model, tokens, adapter=adapter, adapter_alpha=alpha)
    got = _logits(output, tokens)
    difference = float(np.linalg.norm(got - want)) / max(float(np.linalg.norm(want)), 1e-30)
    types = {t.format for path in (model, output) for t in _matrices(open_checkpoint(path))}
    allowed = max(_ALLOWED.get(name, _ALLOWED_ELSE) for name in types)
    if not difference <= allowed:
        raise NumericError(
            f"{output}: its logits differ from those of model and adapter by {difference:.2g} of their size, where "
            f"rounding explains {allowed:g}; merge with --dtype F32"
        )
    return difference


def _logits(path: Path, tokens: Any, **options: Any) -> Any:
    """Of every token, by a model that is gone afterwards; which vocabulary it has does not matter here."""
    import rookery
    from rookery.tokenizer import WorldTokenizer

    model = rookery.load(path, tokenizer=WorldTokenizer({1: b"a"}, "none"), **options)
    return model.forward(tokens, full=True)[0]


def _matrices(checkpoint: Checkpoint) -> list[Any]:
    return [t for name, t in checkpoint.tensors.items() if name.startswith("blocks.") and name.endswith(".weight")]


def _report(about: dict[str, Any], as_json: bool) -> None:
    if as_json:
        print_json(about)
        return
    parts = [
        f"{about[key]} {words}"
        for key, words in (
            ("matrices", "matrices changed"),
            ("tensors", "tensors replaced"),
            ("states", "tuned states"),
        )
        if about[key]
    ]
    click.echo(f"{printable(about['output'])}: {', '.join(parts)}")
    if "note" in about:
        click.echo(f"note: {printable(about['note'])}")
    if "difference" in about:
        click.echo(
            f"checked: on {_TOKENS} random tokens the logits are those of model and adapter, up to "
            f"{about['difference']:.2g} of their size"
        )
