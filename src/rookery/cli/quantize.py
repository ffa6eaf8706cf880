"""`rookery quantize`: a model in fewer bits, with a card that says what it cost."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from rookery.cli.common import json_option, print_json, progress, unreadable
from rookery.cli.tables import counted, human_bytes, print_facts
from rookery.errors import SettingsError

if TYPE_CHECKING:
    from rookery.quantize import Text, Texts

__all__ = ["command", "quality_facts"]

_TOKEN_BYTES = 256  # of a text that are read for each token wanted: twice the longest of the World vocabulary


@click.command("quantize")
@click.argument("source", type=click.Path(path_type=Path))
@click.argument("target", type=click.Path(path_type=Path))
@click.option("--recipe", default="q4_k_m", show_default=True, help="How small: q8_0, q6_k, q5_k_m, q5_k, q4_k_m ...")
@click.option("--calibrate", type=click.Path(path_type=Path), help="A text that tells which weights matter.")
@click.option("--text", type=click.Path(path_type=Path), help="What to measure the quality on; default: a sample.")
@click.option("--tokens", type=int, default=1024, show_default=True, help="Tokens to measure on at most.")
@click.option("--calibrate-tokens", type=int, default=8192, show_default=True, help="Tokens to calibrate with at most.")
@click.option("--no-measure", is_flag=True, help="Write at once; the card says nothing of quality.")
@click.option("--tokenizer", metavar="PATH", help="Vocabulary file; default: the model's own, else by size.")
@click.option("--threads", type=int, default=0, help="Threads; default: all processors this process may use.")
@click.option("--force", is_flag=True, help="Replace TARGET if it exists.")
@json_option
def command(source: Path, target: Path, recipe: str, force: bool, as_json: bool, **options: Any) -> None:
    """Write the model SOURCE in fewer bits as TARGET.

    TARGET is a .gguf file (RWKV-6 and RWKV-7, read by llama.cpp too), or a .rookery file (every version, loads fastest)
    or a .safetensors file (every version).  It appears when it is complete, with the quality card in it.
    """
    from rookery.cli.convert import check_target
    from rookery.quantize import quantize

    check_target(source, target, force)
    texts = _texts(options)
    with ExitStack() as bars:
        card = quantize(source, target, recipe, texts, options["threads"], _Steps(bars))
    about = {"path": str(target), "file_bytes": target.stat().st_size, **card.values()}
    if as_json:
        print_json(about)
        return
    print_facts([("file", target), ("size on disk", human_bytes(about["file_bytes"])), *quality_facts(about)])


def quality_facts(card: dict[str, Any]) -> list[tuple[str, Any]]:
    """A quality card as lines; what it does not know is left out."""
    return [(label, say(card[key], card)) for key, label, say in _LINES if card.get(key) is not None]


def _number(form: str) -> Callable[[Any, dict[str, Any]], str]:
    return lambda value, _: form.format(value) if isinstance(value, int | float) else str(value)


def _beside(value: Any, card: dict[str, Any]) -> str:
    source = card.get("source_perplexity")
    beside = "" if source is None else f" (source {_number('{:.4f}')(source, card)})"
    return _number("{:.4f}")(value, card) + beside


def _measured(value: Any, card: dict[str, Any]) -> str:
    return f"{value}, {counted(tokens, 'token')}" if isinstance(tokens := card.get("tokens"), int) else str(value)


# key of the card, label, how to say it
_LINES: tuple[tuple[str, str, Callable[[Any, dict[str, Any]], str]], ...] = (
    ("recipe", "recipe", lambda value, card: f"{value}, {'calibrated' if card.get('calibrated') else 'plain'}"),
    ("bits_per_weight", "bits per weight", _number("{:.3f}")),
    ("source_bits_per_weight", "of the source", _number("{:.3f}")),
    ("calibrated", "calibrated with", lambda value, _: str(value)),
    ("measured", "measured on", _measured),
    ("kl_mean", "KL divergence", _number("{:.3g} nats per token")),
    ("kl_p99", "99th percentile", _number("{:.3g}")),
    ("perplexity", "perplexity", _beside),
    ("agreement", "same best token", _number("{:.2%}")),
    ("source", "made from", lambda value, _: str(value)),
)


def _texts(options: dict[str, Any]) -> Texts:
    from dataclasses import replace

    from rookery.quantize import Texts, sample
    from rookery.tokenizer import load_tokenizer

    if options["tokens"] < 1 or options["calibrate_tokens"] < 1:
        raise SettingsError("--tokens and --calibrate-tokens must be at least 1")
    if options["no_measure"] and options["text"]:
        raise SettingsError("--text says what to measure on, --no-measure not to: give one of them")
    calibrate = _text(options["calibrate"], options["calibrate_tokens"])
    measure = _text(options["text"], options["tokens"]) or replace(sample(), limit=options["tokens"])
    words = load_tokenizer(options["tokenizer"]) if options["tokenizer"] else None
    return Texts(calibrate, None if options["no_measure"] else measure, words)


def _text(path: Path | None, limit: int) -> Text | None:
    from rookery.quantize import Text

    if path is None:
        return None
    try:
        return Text(_beginning(path, limit * _TOKEN_BYTES), path.name, limit)
    except OSError as error:
        raise unreadable(path, error) from None


def _beginning(path: Path, nbytes: int) -> bytes:
    """So much of a text, however long it is, without a character that is cut in two."""
    with path.open("rb") as file:
        found = file.read(nbytes)
    if len(found) < nbytes:
        return found
    last = next((i for i in range(1, min(5, nbytes)) if found[-i] & 0xC0 != 0x80), 1)  # where its last character begins
    return found[:-last]


class _Steps:
    """A progress bar for each step, one after another."""

    def __init__(self, bars: ExitStack) -> None:
        self._bars = bars
        self._step = ""
        self._report: Callable[[int, int], None] = lambda done, total: None

    def __call__(self, step: str, done: int, total: int) -> None:
        if step != self._step:
            self._bars.close()
            self._step = step
            self._report = self._bars.enter_context(progress(step))
        self._report(done, total)
