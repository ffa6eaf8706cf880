"""
The models of the study, all of one size: that of an RWKV-7 as released, of the same depth and width.

The width inside the channel mix makes up for what a version has less or more elsewhere.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from rookery.config import Config, canonical_shapes, optional
from rookery.errors import SettingsError
from rookery.initialise import initialise, make_config
from rookery.train.model import TrainedModel
from rookery.train.transformer import Transformer, TransformerConfig

__all__ = ["Shape", "contender", "parameters"]

HEAD_SIZE = 32


@dataclass(frozen=True, slots=True)
class Shape:
    """Blocks, channels (a multiple of 32), and rows of the embedding."""

    layers: int
    width: int
    vocab: int


def contender(name: str, shape: Shape, seed: int) -> TrainedModel | Transformer:
    """A new model, ready to be trained.  name: one of `study.MODELS`."""
    if shape.width % HEAD_SIZE or shape.width < HEAD_SIZE:
        raise SettingsError(f"width={shape.width}: expected a multiple of {HEAD_SIZE}")
    goose = _config("7", shape)
    if name == "transformer":
        return Transformer(TransformerConfig.equal_to(goose), seed)
    version, _, removal = name.removeprefix("v").partition(":")
    config = goose if version == "7" else _equal(_config(version, shape), goose)
    return TrainedModel.of(initialise(replace(config, removal=removal or "1"), seed))


def parameters(config: Config) -> int:
    """How many numbers are trained."""
    return sum(math.prod(shape) for name, shape in canonical_shapes(config).items() if not optional(name))


def _config(version: str, shape: Shape) -> Config:
    return make_config(version, layers=shape.layers, width=shape.width, vocab=shape.vocab, head_size=HEAD_SIZE)


def _equal(config: Config, model: Config) -> Config:
    """The config with its channel mix so wide that it has as many parameters as `model`, to within a channel."""
    bare = replace(config, ffn=0)
    each = 2 * config.width * config.layers
    return replace(config, ffn=max(1, round((parameters(model) - parameters(bare)) / each)))
