"""
From a model file to a quantised one: plan, calibrate, write, measure, write down.

The quality is measured on the file that was written; then the file is written once more with the card in its header.
Either nothing appears at the target or the whole file.
"""

from __future__ import annotations

import importlib
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from importlib import resources
from pathlib import Path

import numpy as np

from rookery.errors import SettingsError, TokenError
from rookery.fingerprint import fingerprint
from rookery.formats import WRITERS, Checkpoint, open_checkpoint
from rookery.formats.removal import check_removal
from rookery.formats.saving import format_of
from rookery.formats.sizes import count, total_bytes
from rookery.formats.target import check_target, said_of
from rookery.model import load
from rookery.ops import sparsity
from rookery.ops.native import thread_count
from rookery.parameters import parameters
from rookery.quant import FORMATS
from rookery.quantize.calibrate import second_moments
from rookery.quantize.card import Card
from rookery.quantize.encoding import quantized
from rookery.quantize.quality import Quality, compare
from rookery.quantize.recipes import recipe
from rookery.tokenizer import Tokenizer, tokenizer_for, with_vocabulary

__all__ = ["Progress", "Text", "quantize", "sample"]

# (what is being done, done, in all)
Progress = Callable[[str, int, int], None]

_GGUF_VERSIONS = ("6", "7")
_CONTAINERS = ("gguf", "rookery", "safetensors")
_START = 0  # token that begins a text
_COUNTED = 256  # tokens on which zeros are counted


@dataclass(frozen=True, slots=True)
class Text:
    """A text to read.  name: for the card.  limit: tokens that are read at most."""

    content: bytes
    name: str
    limit: int = 1024

    def tokens(self, tokenizer: Tokenizer) -> list[int]:
        """The token that begins a text, then the text's own."""
        return [_START, *tokenizer.encode(self.content)[: self.limit]]


def sample() -> Text:
    """The text that quality is measured on where none is given: the beginning of Black Beauty, 1877, public domain."""
    return Text(resources.files(__package__).joinpath("sample.txt").read_bytes(), "the sample")


@dataclass(frozen=True, slots=True)
class Texts:
    """calibrate: what tells which columns count.  measure: what the quality is measured on; both may be absent.

    tokenizer: for models that bring none and whose vocabulary is not known by its size.
    """

    calibrate: Text | None = None
    measure: Text | None = None
    tokenizer: Tokenizer | None = None


def quantize(
    source: str | Path,
    target: str | Path,
    name: str,
    texts: Texts = Texts(),
    threads: int = 0,
    progress: Progress | None = None,
) -> Card:
    """Write a model in the formats of a recipe.

    source:   a model of any format.
    target:   a .gguf file (RWKV-6 and 7; other programs read it), or a .rookery or .safetensors file (any version; read
              by rookery).
    name:     of a recipe: see `RECIPES`.
    texts:    without one to calibrate with, the recipe is plain; without one to measure with, the card has no quality.
    threads:  0 for every processor this process may use.
    progress: called with (step, done, in all).

    Tensors pass one at a time.  Measuring loads both models, first calibrating the source alone.  Raises SettingsError
    for an unknown recipe or target, UnsupportedError where GGUF has no place for the version, and NumericError,
    naming the tensor, for numbers that cannot be stored.
    """
    source, target = Path(source), Path(target)
    job = _Job(source, target, name, thread_count(threads), progress)
    words = job.tokens(texts.measure, texts.tokenizer)
    result = job.encoded(job.tokens(texts.calibrate, texts.tokenizer))
    calibrated = texts.calibrate.name if texts.calibrate else None
    card = replace(job.card(result), calibrated=calibrated)
    if texts.measure is None:
        job.write(_with(result, card), target)
        return card
    with _draft(target) as draft:
        job.write(result, draft)
        quality, zeros = job.measured(draft, words, texts.tokenizer)
        written = open_checkpoint(draft)
        card = replace(job.card(written), calibrated=calibrated, measured=texts.measure.name, quality=quality)
        job.write(_with(replace(written, path=source), card, zeros), target)
    return card


class _Job:
    """One file being quantised."""

    def __init__(self, source: Path, target: Path, name: str, threads: int, progress: Progress | None) -> None:
        self.recipe = recipe(name)
        self.container = _container(target)
        self.source = open_checkpoint(source)
        self.threads = threads
        self._progress = progress
        assert self.source.config is not None  # open_checkpoint has filled it in
        self.config = self.source.config
        if self.container == "gguf" and self.config.version not in _GGUF_VERSIONS:
            raise SettingsError(
                f"{target}: GGUF is defined for RWKV 6 and 7, and this is RWKV {self.config.version}; write a "
                ".rookery or .safetensors file instead"
            )
        own = [format for format in self.recipe.formats if not FORMATS[format].in_gguf]
        if self.container == "gguf" and own:
            raise SettingsError(f"{target}: GGUF has no type for {own[0]}; write a .rookery or .safetensors file")
        check_removal(self.config, self.container, target)

    def tokens(self, text: Text | None, tokenizer: Tokenizer | None) -> list[int]:
        """The tokens of a text; none without one.  Errors come now, not when half of the work is done."""
        if text is None:
            return []
        words = tokenizer or tokenizer_for(self.source.vocabulary, self.config.vocab)
        found = text.tokens(words)
        if len(found) < 2:
            raise SettingsError(f"{text.name}: the text holds no token; give a longer one")
        if max(found) >= self.config.vocab:
            raise TokenError(
                f"{text.name}: the tokenizer finds token {max(found)} in it, but the model has {self.config.vocab} "
                "rows; give the model's own vocabulary file as the tokenizer"
            )
        return found

    def encoded(self, tokens: list[int]) -> Checkpoint:
        """The source in the recipe's formats, with the vocabulary it needs; calibrated with tokens, if any."""
        moments = None
        if tokens:
            moments = second_moments(self.source, tokens, self.threads, self._report("Calibrating"))
        result = quantized(self.source, self.recipe, moments, self.threads)
        return with_vocabulary(result) if self.container == "gguf" else result

    def card(self, result: Checkpoint) -> Card:
        stored, before = total_bytes(result.tensors.values()), total_bytes(self.source.tensors.values())
        return Card(
            recipe=self.recipe.name,
            source=fingerprint(self.source),
            bytes=stored,
            bits_per_weight=8 * stored / count(result.tensors.values()),
            source_bits_per_weight=8 * before / count(self.source.tensors.values()),
        )

    def write(self, checkpoint: Checkpoint, path: Path) -> None:
        writer = importlib.import_module(WRITERS[self.container])
        if self.container == "safetensors":
            writer.write_blocks(checkpoint, path, self._report("Writing"))
        else:
            writer.write(checkpoint, path, None, self._report("Writing"))

    def measured(self, path: Path, tokens: list[int], tokenizer: Tokenizer | None) -> tuple[Quality, dict[str, str]]:
        """The quality; and what the file will say of the zeros in its channel mixes."""
        source = load(self.source.path, threads=self.threads, tokenizer=tokenizer)
        model = load(path, threads=self.threads, tokenizer=source.tokenizer)
        quality = compare(source, model, tokens, self._report("Measuring"))
        p = parameters(model.config, model.checkpoint.tensors)
        some = np.asarray(tokens[:_COUNTED], np.int32)
        del source  # a third model comes
        return quality, sparsity.metadata(sparsity.zeros(model.layout, p, some, self.threads))

    def _report(self, step: str) -> Callable[[int, int], None] | None:
        return partial(self._progress, step) if self._progress else None


def _container(target: Path) -> str:
    name = format_of(target)
    if name not in _CONTAINERS:
        known = "as .gguf, .rookery or .safetensors"
        raise SettingsError(f"{target}: quantised models are written {known}, not as {name}")
    check_target(target)
    return name


@contextmanager
def _draft(target: Path) -> Iterator[Path]:
    """A file of the same name to write first, in a directory beside the target that is gone in the end.

    What goes wrong with it is said of the target: nobody else knows of the draft.
    """
    with said_of(target), tempfile.TemporaryDirectory(prefix=".rookery-", dir=target.absolute().parent) as folder:
        draft = Path(folder) / target.name
        try:
            yield draft
        except SettingsError as error:
            raise SettingsError(str(error).replace(str(draft), str(target))) from None


def _with(checkpoint: Checkpoint, card: Card, zeros: dict[str, str] | None = None) -> Checkpoint:
    return replace(checkpoint, metadata=checkpoint.metadata | card.metadata() | (zeros or {}))
