"""
Random weights that behave like trained ones.

Nothing is zero, decays spread from fast to almost none, mixes lie between 0 and 1, and every matrix keeps its
output near the size of its input, so activations and logits stay of order one at any width and depth.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import partial

from rookery.config import Config, shapes
from rookery.errors import SettingsError
from rookery.formats.checkpoint import Checkpoint
from rookery.initialise.lazy import Fill, lazy_checkpoint, uniform_blocks

__all__ = ["random_model"]

Shape = tuple[int, ...]
Range = tuple[float, float]


def random_model(config: Config, seed: int = 0, dtype: str = "F32") -> Checkpoint:
    """A checkpoint of this config for tests and benchmarks: cheap to make, numerically like a trained model.

    dtype: "F32", "F16" or "BF16", how every tensor is stored.  Equal arguments give equal numbers.
    Raises SettingsError for other dtypes and for seeds that are negative or exceed 64 bits.
    """
    all_shapes = shapes(config)
    bonus = (-1.5, 0.5) if config.bonus_exp else (-1.0, 1.0)

    def recipe(name: str) -> Fill:
        leaf = re.sub(r"^blocks\.\d+\.", "", name)
        shape = all_shapes[name]
        low, high = bonus if leaf == "att.time_first" else _range(leaf, shape, config)
        return partial(uniform_blocks, shape, low, high)

    return lazy_checkpoint(config, recipe, seed, dtype)


def _range(leaf: str, shape: Shape, config: Config) -> Range:
    if leaf == "att.time_decay":
        return (-5.0, 1.0) if config.version == "4" else (-6.0, 0.5)
    for pattern, rule in _RANGES:
        if re.fullmatch(pattern, leaf):
            return rule(shape)
    raise SettingsError(f"no range is known for tensor {leaf!r} of RWKV-{config.version}")


def _between(low: float, high: float) -> Callable[[Shape], Range]:
    return lambda shape: (low, high)


def _linear(gain: float, fan_in: int = -1) -> Callable[[Shape], Range]:
    """Inputs of rms 1 give outputs of rms `gain`.  fan_in: the axis summed over."""

    def rule(shape: Shape) -> Range:
        limit: float = gain * (3.0 / shape[fan_in]) ** 0.5  # an even spread over +-1 has rms 1/sqrt(3)
        return -limit, limit

    return rule


# The first pattern that matches a name decides.  Low-rank matrices are stored for right multiplication.
_RANGES: tuple[tuple[str, Callable[[Shape], Range]], ...] = (
    (r"emb\.weight", _between(-1.0, 1.0)),
    (r"head\.weight", _linear(2.0)),
    (r".*ln[^.]*\.weight", _between(0.8, 1.2)),
    (r".*ln[^.]*\.bias", _between(-0.2, 0.2)),
    (r"att\.time_faaaa", _between(-1.0, 1.0)),
    (r"att\.time_maa_w1", _linear(0.5, -2)),
    (r"att\.time_maa_w2", _linear(0.2, -2)),
    (r"att\.time_decay_w1", _linear(0.5, -2)),
    (r"att\.time_decay_w2", _linear(1.0, -2)),
    (r"(att|ffn)\.(x_|time_mix_|time_maa_)\w", _between(0.0, 1.0)),
    (r"att\.w0", _between(-6.0, 2.0)),
    (r"att\.a0", _between(-1.5, 1.5)),
    (r"att\.v0", _between(-1.0, 1.5)),
    (r"att\.g1", _linear(1.0, -2)),
    (r"att\.g2", _linear(2.0, -2)),  # its inputs are sigmoids, of rms about a half
    (r"att\.[wav][12]", _linear(0.7, -2)),
    (r"att\.k_k", _between(0.6, 1.2)),
    (r"att\.k_a", _between(0.8, 1.1)),
    (r"att\.r_k", _between(-0.3, 0.3)),
    (r"(att|ffn)\.output\.weight", _linear(0.7)),
    (r"ffn\.value\.weight", _linear(0.7)),  # its inputs are squares, of rms about 1.2
    (r"(att|ffn)\.\w+\.weight", _linear(1.0)),
)
