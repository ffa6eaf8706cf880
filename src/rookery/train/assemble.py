"""From what somebody asks for to a run: data, vocabulary, model, settings, put together."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

from rookery.config import Config
from rookery.errors import SettingsError
from rookery.formats import Checkpoint, open_checkpoint
from rookery.formats.check import checked
from rookery.formats.target import atomic
from rookery.initialise import initialise
from rookery.tokenizer import Tokenizer, load_tokenizer, tokenizer_for
from rookery.tokenizer.vocabulary import written
from rookery.train.data import Batches, Part, Passage, Weighted, split
from rookery.train.data.sources import Options, Source, open_sources
from rookery.train.data.tokenising import Settings as Tokenising
from rookery.train.data.tokenising import tokenised
from rookery.train.settings import Settings
from rookery.train.sizes import FINAL_RATE, RATE, Size, size_named
from rookery.train.vocabulary import train_vocabulary

__all__ = ["Assembled", "Wish", "assemble"]

VOCABULARY = "vocabulary.txt"
_WEIGHTED = re.compile(r"(.+)@([0-9]+(?:\.[0-9]+)?)$")
Progress = Callable[[str, int, int], None]


@dataclass(frozen=True, slots=True)
class Wish:
    """What to train, on what.

    data:       paths as `open_sources` takes them, each perhaps followed by @ and a weight.
    source:     a model to go on from; None for a new one.
    size:       of a new model: a key of SIZES.
    version:    of a new model.
    removal:    of a new model of version 7: `Config.removal`.
    vocabulary: a vocabulary file, or "world"; None takes the source's, and for a new model makes one from the data.
    held_out:   the share of the documents to validate on.
    held_out_data: files to validate on instead.
    options:    how the data are read.
    leading:    token in front of every document; None for none.
    settings:   fields of `Settings` that differ from what the size suggests; `tokens` may stand for `steps`.
    sizes:      fields of the new model's config that differ from the size's: layers, width, head_size, vocab.
    rates:      the first and last learning rate of a model by its width, in place of what is usual.
    """

    data: Sequence[str]
    source: Path | None = None
    size: str = "nano"
    version: str = "7"
    removal: str = "1"
    vocabulary: str | None = None
    held_out: float = 0.01
    held_out_data: Sequence[str] = ()
    options: Options = field(default_factory=Options)
    leading: int | None = 0
    settings: Mapping[str, Any] = field(default_factory=dict)
    sizes: Mapping[str, int] = field(default_factory=dict)
    rates: Callable[[int], tuple[float, float]] | None = None


@dataclass(frozen=True, slots=True)
class Assembled:
    """The parts of a run.

    checkpoint: the model to begin with.  bytes_per_token: of the training data, to say bits per byte.
    """

    checkpoint: Checkpoint
    tokenizer: Tokenizer
    batches: Batches
    held_out: Sequence[Any]
    settings: Settings
    bytes_per_token: float

    @property
    def config(self) -> Config:
        assert self.checkpoint.config is not None
        return self.checkpoint.config


def assemble(wish: Wish, folder: Path, progress: Progress = lambda what, done, total: None) -> Assembled:
    """Read the data, make or take the vocabulary and the model.

    folder: of the run; a vocabulary that is made, and the tokens, lie in it.
    SettingsError and FormatError name what cannot be used.
    """
    size = size_named(wish.size)
    weighted = [_weighted(item, wish.options) for item in wish.data]
    opened = None if wish.source is None else open_checkpoint(wish.source)
    tokenizer = _tokenizer(wish, opened, size, [s for sources, _ in weighted for s in sources], folder, progress)
    tokens_of = partial(_part, wish, tokenizer, folder, progress)
    parts = [tokens_of(sources) for sources, _ in weighted]
    held, settings = [], _settings(wish, size, opened)
    if wish.held_out_data:
        sources = [s for item in wish.held_out_data for s in open_sources(item, wish.options)]
        held = [tokens_of(sources)]
    elif wish.held_out:
        divided = [split(part.tokens, wish.held_out, settings.seed) for part in parts]
        parts = [part for part, _ in divided]
        held = [part for _, part in divided if part is not None]
    mixed = [Weighted(part, weight or part.size) for part, (_, weight) in zip(parts, weighted, strict=True)]
    batches = Batches(mixed, tokens_per_batch=settings.tokens_per_batch, context=settings.context, seed=settings.seed)
    checkpoint = opened or checked(initialise(_config(wish, size, tokenizer), settings.seed))
    _fits(tokenizer, checkpoint)
    tokens = sum(m.weight for m in mixed)
    mean = sum(m.weight * m.part.tokens.bytes_per_token for m in mixed) / tokens
    passages = [batch for part in held for batch in _passage(part, settings)]
    return Assembled(checkpoint, tokenizer, batches, passages, settings, mean)


def _weighted(item: str, options: Options) -> tuple[list[Source], float | None]:
    """`tales.jsonl@3`: the sources, and the weight if one is given."""
    found = _WEIGHTED.match(item)
    if found is None or Path(item).exists():
        return open_sources(item, options), None
    return open_sources(found[1], options), float(found[2])


def _tokenizer(
    wish: Wish, opened: Checkpoint | None, size: Size, sources: list[Source], folder: Path, progress: Progress
) -> Tokenizer:
    if wish.vocabulary is not None:
        return load_tokenizer(wish.vocabulary)
    if opened is not None:
        assert opened.config is not None
        return tokenizer_for(opened.vocabulary, opened.config.vocab)
    made = folder / VOCABULARY
    if not made.exists():
        trained = train_vocabulary(sources, wish.sizes.get("vocab", size.vocab), progress=progress)
        with atomic(made) as file:
            file.write(written(trained.vocabulary))
    return load_tokenizer(made)


def _part(wish: Wish, tokenizer: Tokenizer, folder: Path, progress: Progress, sources: list[Source]) -> Part:
    settings, report = Tokenising(leading=wish.leading), partial(progress, "Tokenising")
    return Part.whole(tokenised(sources, tokenizer, folder / "tokens", settings, report))


def _passage(part: Part, settings: Settings) -> Sequence[Any]:
    limit, tokens = settings.validation_tokens, settings.tokens_per_batch
    passage = Passage(part, tokens_per_batch=tokens, context=settings.context, limit=limit)
    return [passage[i] for i in range(len(passage))]


def _settings(wish: Wish, size: Size, opened: Checkpoint | None) -> Settings:
    """The size's recipe; a model that is there already learns slower."""
    width = size.width if opened is None or opened.config is None else opened.config.width
    gentle = 1.0 if opened is None else 0.1
    rate, final = wish.rates(width) if wish.rates else (gentle * RATE / width, gentle * FINAL_RATE / width)
    suggested = {
        "tokens_per_batch": size.tokens_per_batch,
        "context": size.context,
        "rate": rate,
        "final_rate": final,
    }
    given = dict(wish.settings)
    tokens = given.pop("tokens", None)
    chosen = suggested | given
    if tokens is not None:
        if "steps" in chosen:
            raise SettingsError("steps and tokens say the same thing; give one of them")
        chosen["steps"] = max(1, -(-int(tokens) // int(chosen["tokens_per_batch"])))
    chosen["final_rate"] = min(chosen["final_rate"], chosen["rate"])
    chosen.setdefault("steps", 1000)
    chosen.setdefault("warmup", max(10, min(chosen["steps"] // 50, 500)))
    return Settings(**chosen)


def _config(wish: Wish, size: Size, tokenizer: Tokenizer) -> Config:
    given: dict[str, Any] = {k: v for k, v in wish.sizes.items() if k != "vocab"}
    shaped = replace(size, **given)
    return replace(shaped.config(wish.version, tokenizer.vocab_size), removal=wish.removal)


def _fits(tokenizer: Tokenizer, checkpoint: Checkpoint) -> None:
    rows = checkpoint.config.vocab if checkpoint.config else 0
    if tokenizer.vocab_size > rows:
        raise SettingsError(
            f"the vocabulary has {tokenizer.vocab_size} ids, but the model {rows} rows; give the model's own vocabulary"
        )
