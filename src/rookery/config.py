"""
What a model is, read off its tensors.

`Config.infer` looks at names and shapes only: which version, how large, which low-rank widths.  `shapes` lists
every tensor a version has, so that a checkpoint can be checked before any number is read.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from rookery.errors import FormatError, MissingTensor, SettingsError, UnsupportedError

__all__ = [
    "GROUP_NORM_EPS",
    "PILE_ROWS",
    "REMOVALS",
    "VERSIONS",
    "WORLD_ROWS",
    "Config",
    "canonical_shapes",
    "optional",
    "shapes",
]

Shapes = Mapping[str, tuple[int, ...]]

GROUP_NORM_EPS = 64e-5  # 1e-5 * 8^2: training divides by 8 before a GroupNorm of eps 1e-5
BIRDS = {"4": "Dove", "5": "Eagle", "6": "Finch", "7": "Goose"}
# Rows of the embedding by which a vocabulary is recognised: the World's ids end at 65529, the Pile's at 50276.
WORLD_ROWS, PILE_ROWS = range(65530, 65537), (50277, 50304)
VERSIONS = ("4", "5.0", "5.1", "5.2", "6", "7")
REMOVALS = ("1", "2", "1+w")

# Marks of published variants that look like a known version but compute something else.
_VARIANTS = {
    "ffn.s_emb.weight": "RWKV-7a/7b (DeepEmbed)",
    "ffn.enn.weight": "RWKV-8 rc00",
    "rosa.rosa_qkv.emb": "RWKV-8 ROSA",
    "att.gate_w1": "RWKV-6a",
    "att.time_maa_rkvw_w1": "RWKV-6b/6c",
    "att.time_maa_rkvw_w2": "RWKV-6b/6c",
}


@dataclass(frozen=True, slots=True)
class Config:
    """The sizes of a model.

    version:   "4", "5.0", "5.1", "5.2", "6" or "7".
    layers, width, vocab, ffn: blocks, channels, rows of the embedding, channels inside the channel mix.
    head_size: lanes per head; equal to `width` for v4, which has no heads.
    ranks:     widths of the low-rank matrices by name (v6: "mix", "decay"; v7: "w", "a", "v", "g").
    group_norm_eps: of the per-head normalisation (v5 and later).
    bonus_exp: v5.0 only: the bonus is stored as `time_first` and used as its exponential.
    removal:   v7 only: c in S <- (diag(w) - c kk rate kk^T) S + k v^T, how much of what lies under a key a write may
               take away.  "1": all of it, as in every released model.  "2": twice that, which turns its sign; grows
               without bound where a decay w is small and the write repeats.  "1+w", per channel: turns the sign of
               what the decay has left; all eigenvalues lie between -1 and 1 (docs/state-tracking.md).
    """

    version: str
    layers: int
    width: int
    vocab: int
    ffn: int
    head_size: int
    ranks: Mapping[str, int] = field(default_factory=dict)
    group_norm_eps: float = GROUP_NORM_EPS
    bonus_exp: bool = False
    removal: str = "1"

    def __post_init__(self) -> None:
        if self.removal not in REMOVALS or (self.removal != "1" and self.version != "7"):
            known = ", ".join(REMOVALS) if self.version == "7" else "1, since only RWKV-7 removes"
            raise SettingsError(f"removal={self.removal!r}: expected {known}")

    @property
    def heads(self) -> int:
        return self.width // self.head_size

    @property
    def bird(self) -> str:
        return BIRDS[self.version[0]]

    @classmethod
    def infer(cls, given: Shapes, origin: str = "checkpoint") -> Config:
        """The config of a checkpoint with these official tensor names and shapes.

        Raises FormatError (naming `origin`) when the tensors are no RWKV model, UnsupportedError for variants
        that rookery knows of and does not run.
        """
        for mark, variant in _VARIANTS.items():
            if f"blocks.0.{mark}" in given:
                raise UnsupportedError(f"{origin}: this is {variant}, which is not supported; expected RWKV 4 to 7")
        read = _Reader(given, origin)
        vocab, width = read.matrix("emb.weight")
        version = _version(given)
        head_size = width
        if version == "7":
            head_size = read.heads("att.r_k", width)
        elif version in ("5.2", "6"):
            head_size = read.heads("att.time_faaaa", width)
        elif version in ("5.0", "5.1"):
            heads = max(read.shape("blocks.0.att.time_decay"), default=0)
            head_size = width // heads if heads and width % heads == 0 else 0
        if head_size < 1 or width % head_size:
            raise FormatError(f"{origin}: head size {head_size} does not divide the width {width}")
        return cls(
            version=version,
            layers=_layers(given, origin),
            width=width,
            vocab=vocab,
            ffn=read.matrix("blocks.0.ffn.key.weight")[0],
            head_size=head_size,
            ranks=_ranks(version, read),
            bonus_exp=version == "5.0" and "blocks.0.att.time_first" in given,
        )


def shapes(config: Config) -> dict[str, tuple[int, ...]]:
    """Every tensor of the version with its official shape, in the order the trainers write them.

    RWKV-7's unused `blocks.0.att.v0/v1/v2` are listed; a reader must not require them.
    """
    c, f, v = config.width, config.ffn, config.vocab
    out: dict[str, tuple[int, ...]] = {"emb.weight": (v, c)}
    for layer in range(config.layers):
        b = f"blocks.{layer}."
        for norm in ("ln0", "ln1", "ln2") if layer == 0 else ("ln1", "ln2"):
            out |= {f"{b}{norm}.weight": (c,), f"{b}{norm}.bias": (c,)}
        out |= {f"{b}att.{name}": shape for name, shape in _time_mix(config).items()}
        out |= {f"{b}ffn.{name}": shape for name, shape in _channel_mix(config).items()}
        out |= {f"{b}ffn.key.weight": (f, c), f"{b}ffn.value.weight": (c, f)}
    return out | {"ln_out.weight": (c,), "ln_out.bias": (c,), "head.weight": (v, c)}


def canonical_shapes(config: Config) -> dict[str, tuple[int, ...]]:
    """`shapes` as models see them: vectors stored as (1, 1, C) are (C,); everything else is unchanged."""
    return {name: shape[2:] if shape[:2] == (1, 1) else shape for name, shape in shapes(config).items()}


def optional(name: str) -> bool:
    """Whether a listed tensor may be absent: RWKV-7 never uses block 0's value residual."""
    return re.fullmatch(r"blocks\.0\.att\.v[012]", name) is not None


def _layers(given: Shapes, origin: str) -> int:
    """One more than the largest block index.  Every block has many tensors, so a wild index is caught here."""
    numbers = (m[1] for name in given if (m := re.match(r"blocks\.([0-9]+)\.", name)))
    layers = 1 + max((int(n) if len(n) < 7 else len(given) for n in numbers), default=-1)
    if layers > len(given):
        raise FormatError(f"{origin}: tensors name {layers} blocks or more, but there are only {len(given)} tensors")
    return layers


def _version(given: Shapes) -> str:
    att = "blocks.0.att."
    if att + "r_k" in given:
        return "7"
    if any(name.startswith(att + "time_maa") for name in given):
        return "6"
    if att + "ln_x.weight" not in given:
        return "4"
    if att + "gate.weight" not in given:
        return "5.0"
    decay = [n for n in given.get(att + "time_decay", ()) if n > 1]
    return "5.2" if len(decay) > 1 or given.get(att + "time_decay", (0, 1))[1:2] > (1,) else "5.1"


def _ranks(version: str, read: _Reader) -> dict[str, int]:
    if version == "6":
        return {
            "mix": read.matrix("blocks.0.att.time_maa_w1")[1] // 5,
            "decay": read.matrix("blocks.0.att.time_decay_w1")[1],
        }
    if version == "7":
        ranks = {n: read.matrix(f"blocks.0.att.{n}1")[1] for n in "wag"}
        later = next((n for n in ("blocks.1.att.v1", "blocks.0.att.v1") if n in read.given), None)
        return ranks | {"v": read.matrix(later)[1] if later else 32}
    return {}


def _time_mix(config: Config) -> dict[str, tuple[int, ...]]:
    c, n, h, version = config.width, config.head_size, config.heads, config.version
    vector, square = (1, 1, c), (c, c)
    matrices = {f"{name}.weight": square for name in ("receptance", "key", "value", "output")}
    norm = {"ln_x.weight": (c,), "ln_x.bias": (c,)}
    if version == "4":
        return {
            "time_decay": (c,),
            "time_first": (c,),
            **{f"time_mix_{x}": vector for x in "kvr"},
            **matrices,
        }
    if version.startswith("5"):
        lanes = (h, n) if version == "5.2" else (h,)
        gate = {} if version == "5.0" else {"gate.weight": square}
        return {
            **{f"time_mix_{x}": vector for x in ("kvrg" if gate else "kvr")},
            "time_decay": lanes,
            "time_first" if config.bonus_exp else "time_faaaa": lanes,
            **matrices,
            **gate,
            **norm,
        }
    if version == "6":
        m, d = config.ranks["mix"], config.ranks["decay"]
        return {
            **{f"time_maa_{x}": vector for x in "xwkvrg"},
            "time_maa_w1": (c, 5 * m),
            "time_maa_w2": (5, m, c),
            "time_decay": vector,
            "time_decay_w1": (c, d),
            "time_decay_w2": (d, c),
            "time_faaaa": (h, n),
            **matrices,
            "gate.weight": square,
            **norm,
        }
    out: dict[str, tuple[int, ...]] = {f"x_{x}": vector for x in "rwkvag"}
    for name in "wav":
        r = config.ranks[name]
        out |= {f"{name}0": vector, f"{name}1": (c, r), f"{name}2": (r, c)}
    r = config.ranks["g"]
    out |= {"g1": (c, r), "g2": (r, c), "k_k": vector, "k_a": vector, "r_k": (h, n)}
    return {**out, **matrices, **norm}


def _channel_mix(config: Config) -> dict[str, tuple[int, ...]]:
    c = config.width
    if config.version == "7":
        return {"x_k": (1, 1, c)}
    mix = "time_maa" if config.version == "6" else "time_mix"
    return {f"{mix}_k": (1, 1, c), f"{mix}_r": (1, 1, c), "receptance.weight": (c, c)}


class _Reader:
    """Shapes by name, with errors that name the file."""

    def __init__(self, given: Shapes, origin: str) -> None:
        self.given = given
        self.origin = origin

    def shape(self, name: str) -> tuple[int, ...]:
        if name not in self.given:
            raise MissingTensor(f"{self.origin}: tensor {name!r} is missing; this is not a whole RWKV checkpoint")
        if 0 in self.given[name]:
            raise FormatError(f"{self.origin}: tensor {name!r} is empty, shape {self.given[name]}")
        return self.given[name]

    def matrix(self, name: str) -> tuple[int, int]:
        shape = self.shape(name)
        if len(shape) != 2:
            raise FormatError(f"{self.origin}: tensor {name!r} has shape {shape}, expected a matrix")
        return shape[0], shape[1]

    def heads(self, name: str, width: int) -> int:
        """The head size from a (heads, lanes) tensor of block 0."""
        shape = self.shape(f"blocks.0.{name}")
        while len(shape) > 2 and shape[-1] == 1:
            shape = shape[:-1]
        if len(shape) != 2 or shape[0] * shape[1] != width:
            raise FormatError(
                f"{self.origin}: tensor 'blocks.0.{name}' has shape {shape}, expected (heads, head size) with "
                f"a product of {width}"
            )
        return shape[1]
