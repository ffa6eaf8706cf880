"""
What training starts from: the initial value of every tensor of every version.

The tables below are those of the trainers (docs/initialisation.md explains them).  In the formulas `share` is
i / C, `along` is i / (n - 1) over the tensor's own n numbers, `depth` runs 0..1 over the blocks and `height` is
1 - block / blocks.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial

import numpy as np

from rookery.config import Config, shapes
from rookery.formats.checkpoint import Checkpoint
from rookery.initialise.lazy import Fill, lazy_checkpoint, uniform_blocks
from rookery.initialise.orthogonal import orthogonal

__all__ = ["initialise"]


def initialise(config: Config, seed: int = 0, dtype: str = "F32") -> Checkpoint:
    """The checkpoint that training a model of this config starts from.

    dtype: "F32", "F16" or "BF16", how every tensor is stored.

    Equal (config, seed, dtype) give equal numbers, up to the rounding of the linear algebra library for the
    orthogonal matrices.  Raises SettingsError for other dtypes and for seeds that are negative or exceed 64 bits.
    """
    table, all_shapes = {**_COMMON, **_TABLES[_table_name(config)]}, shapes(config)

    def recipe(name: str) -> Fill:
        block = re.match(r"blocks\.(\d+)\.", name)
        rule = table[name[block.end() :] if block else name]
        return rule(Place(config, int(block[1]) if block else 0, all_shapes[name]))

    return lazy_checkpoint(config, recipe, seed, dtype)


@dataclass(frozen=True, slots=True)
class Place:
    """Where a tensor sits: all that its initial value depends on besides chance."""

    config: Config
    block: int
    shape: tuple[int, ...]

    @property
    def depth(self) -> float:
        """0 in the first block, 1 in the last; 0 if there is one block."""
        return self.block / max(self.config.layers - 1, 1)

    @property
    def height(self) -> float:
        return 1 - self.block / self.config.layers

    @property
    def share(self) -> np.ndarray:
        return np.arange(self.config.width) / self.config.width

    @property
    def index(self) -> np.ndarray:
        return np.arange(math.prod(self.shape))

    @property
    def along(self) -> np.ndarray:
        """0 to 1 over the tensor's numbers; 0 if there is one number."""
        along: np.ndarray = self.index / max(self.index.size - 1, 1)
        return along

    @property
    def lane(self) -> np.ndarray:
        """-1 to 1 over the lanes of each head, flatter in the middle."""
        half = (self.config.head_size - 1) / 2
        q: np.ndarray = (self.index % self.config.head_size - half) / half
        eased: np.ndarray = q * np.abs(q)
        return eased


Rule = Callable[[Place], Fill]


def _vector(formula: Callable[[Place], np.ndarray]) -> Rule:
    def fill(place: Place, random: np.random.Generator) -> Iterator[np.ndarray]:
        yield formula(place).astype(np.float32)

    return lambda place: partial(fill, place)


def _constant(value: float) -> Rule:
    return _vector(lambda place: np.full(place.shape, value))


def _uniform(limit: float) -> Rule:
    return lambda place: partial(uniform_blocks, place.shape, -limit, limit)


def _orthogonal(gain: float = 1.0, *, grow: bool = False) -> Rule:
    """grow: multiply the gain by sqrt(rows / columns) of a tall matrix."""

    def fill(shape: tuple[int, ...], random: np.random.Generator) -> Iterator[np.ndarray]:
        rows, columns = shape
        yield orthogonal(random, rows, columns, gain * (max(1.0, rows / columns) ** 0.5 if grow else 1.0))

    return lambda place: partial(fill, place.shape)


def _table_name(config: Config) -> str:
    return "5.0 r2" if config.version == "5.0" and not config.bonus_exp else config.version


_ZERO, _ONE = _constant(0), _constant(1)

_COMMON: Mapping[str, Rule] = {
    "emb.weight": _uniform(1e-4),
    "head.weight": _orthogonal(0.5, grow=True),
    **{f"{norm}.weight": _ONE for norm in ("ln0", "ln1", "ln2", "ln_out")},
    **{f"{norm}.bias": _ZERO for norm in ("ln0", "ln1", "ln2", "ln_out", "att.ln_x")},
    "att.ln_x.weight": _vector(lambda p: np.full(p.shape, ((1 + p.block) / p.config.layers) ** 0.7)),
    "att.receptance.weight": _orthogonal(),
    "att.key.weight": _orthogonal(0.1),
    "att.value.weight": _orthogonal(),
    "att.gate.weight": _orthogonal(0.1),
    "att.output.weight": _ZERO,
    "ffn.key.weight": _orthogonal(),
    "ffn.value.weight": _ZERO,
    "ffn.receptance.weight": _ZERO,
}

# Mix coefficients of v4 and v5: 1 keeps the current token.
_DOVE_MIXES: Mapping[str, Rule] = {
    "att.time_mix_k": _vector(lambda p: p.share**p.height),
    "att.time_mix_v": _vector(lambda p: p.share**p.height + 0.3 * p.depth),
    "att.time_mix_r": _vector(lambda p: p.share ** (0.5 * p.height)),
    "att.time_mix_g": _vector(lambda p: p.share ** (0.5 * p.height)),
    "ffn.time_mix_k": _vector(lambda p: p.share**p.height),
    "ffn.time_mix_r": _vector(lambda p: p.share**p.height),
}

_DOVE: Mapping[str, Rule] = {
    **_DOVE_MIXES,
    "att.time_decay": _vector(lambda p: -5 + 8 * p.along ** (0.7 + 1.3 * p.depth)),
    "att.time_first": _vector(lambda p: np.log(0.3) + 0.5 * ((p.index + 1) % 3 - 1)),
    "att.receptance.weight": _ZERO,
    "att.key.weight": _ZERO,
    "ffn.key.weight": _orthogonal(grow=True),
}

_EAGLE: Mapping[str, Rule] = {
    **_DOVE_MIXES,
    "att.time_decay": _vector(lambda p: -6 + 5 * p.along ** (0.7 + 1.3 * p.depth)),
    "att.time_first": _constant(-3),
    "att.time_faaaa": _vector(lambda p: p.depth * (1 - p.along)),
}

# A bonus per lane, with a zigzag of period three.
_LANE_BONUS = _vector(lambda p: p.depth * (1 - p.along) + 0.1 * ((p.index + 1) % 3 - 1))

_FINCH: Mapping[str, Rule] = {
    **{f"att.time_maa_{x}": _vector(lambda p: 1 - p.share**p.height) for x in "xwk"},
    "att.time_maa_v": _vector(lambda p: 1 - (p.share**p.height + 0.3 * p.depth)),
    **{f"att.time_maa_{x}": _vector(lambda p: 1 - p.share ** (0.5 * p.height)) for x in "rg"},
    **{f"ffn.time_maa_{x}": _vector(lambda p: 1 - p.share ** (p.height**3)) for x in "kr"},
    "att.time_maa_w1": _ZERO,
    "att.time_maa_w2": _uniform(0.01),
    "att.time_decay": _EAGLE["att.time_decay"],
    "att.time_decay_w1": _ZERO,
    "att.time_decay_w2": _uniform(0.01),
    "att.time_faaaa": _LANE_BONUS,
}


def _goose_decay(p: Place) -> np.ndarray:
    slow: np.ndarray = -6 + 6 * p.along ** (1 + p.depth**0.3)
    return slow + 0.5 + 2.5 * p.lane


_GOOSE: Mapping[str, Rule] = {
    **{f"att.x_{x}": _vector(lambda p: 1 - p.share ** (0.2 * p.height)) for x in "rg"},
    **{f"att.x_{x}": _vector(lambda p: 1 - p.share ** (0.9 * p.height)) for x in "wa"},
    **{f"att.x_{x}": _vector(lambda p: 1 - p.share ** (0.7 * p.height)) for x in "kv"},
    "att.w0": _vector(_goose_decay),
    "att.a0": _vector(lambda p: -0.19 + 0.3 * p.lane + 0.4 * (p.along - 0.5)),
    "att.v0": _vector(lambda p: 0.73 - 0.4 * (p.along - 0.5)),
    **{f"att.{x}1": _ZERO for x in "wavg"},
    **{f"att.{x}2": _orthogonal(0.1, grow=True) for x in "wavg"},
    "att.k_k": _vector(lambda p: 0.71 - 0.1 * (p.along - 0.5)),
    "att.k_a": _constant(1.02),
    "att.r_k": _constant(-0.04),
    "ffn.x_k": _vector(lambda p: 1 - p.share ** (p.height**4)),
}

_TABLES: Mapping[str, Mapping[str, Rule]] = {
    "4": _DOVE,
    "5.0": _EAGLE,
    "5.0 r2": _EAGLE,
    "5.1": _EAGLE,
    "5.2": {**_EAGLE, "att.time_faaaa": _LANE_BONUS},
    "6": _FINCH,
    "7": _GOOSE,
}
