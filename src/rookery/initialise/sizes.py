"""
How large a model is: the default widths of every version, and the sizes that were released.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

from rookery.config import VERSIONS, Config
from rookery.errors import SettingsError

__all__ = ["RELEASED", "make_config", "released_config"]

_EAGLE = {"0.4B": (24, 1024), "1.5B": (24, 2048), "3B": (32, 2560), "7B": (32, 4096)}

# version -> name -> (layers, width).  World vocabulary; the v4 names are those of the Pile and World series.
RELEASED: Mapping[str, Mapping[str, tuple[int, int]]] = {
    "4": {
        "169M": (12, 768),
        "430M": (24, 1024),
        "1.5B": (24, 2048),
        "3B": (32, 2560),
        "7B": (32, 4096),
        "14B": (40, 5120),
    },
    "5.2": _EAGLE,
    "6": {"1.6B": (24, 2048), "3B": (32, 2560), "7B": (32, 4096), "14B": (61, 4096)},
    "7": {"0.1B": (12, 768), "0.4B": (24, 1024), "1.5B": (24, 2048), "2.9B": (32, 2560), "7.2B": (32, 4096)},
}

# Ranks (w, a, v, g) of the released RWKV-7 models by width; they follow no single rule.
_GOOSE_RANKS = {
    768: (64, 64, 32, 128),
    1024: (64, 64, 32, 128),
    2048: (96, 96, 64, 256),
    2560: (96, 96, 64, 320),
    4096: (128, 128, 96, 480),
}
_WORLD_VOCAB = 65536


def make_config(
    version: str,
    *,
    layers: int,
    width: int,
    vocab: int,
    head_size: int = 64,
    ffn: int | None = None,
    ranks: Mapping[str, int] | None = None,
) -> Config:
    """The config of a model of these sizes, with the version's defaults for what is not given.

    version:   "4", "5.0", "5.1", "5.2", "6" or "7".  "5.0" is the first preview, whose bonus is an exponent.
    head_size: must divide `width`; v4 has no heads and ignores it.
    ffn:       width inside the channel mix; 4 * width for v4, 5.0 and 7, else 3.5 * width rounded down to 32s.
    ranks:     low-rank widths that replace the default ones: "mix", "decay" (v6); "w", "a", "v", "g" (v7).

    Raises SettingsError for sizes no model can have.
    """
    if version not in VERSIONS:
        raise SettingsError(f"unknown version {version!r}; known: {', '.join(VERSIONS)}")
    head_size = width if version == "4" else head_size
    ffn = _default_ffn(version, width) if ffn is None else ffn
    for what, size, least in (
        ("layers", layers, 1),
        ("width", width, 2),
        ("vocab", vocab, 1),
        ("head_size", head_size, 2),
        ("ffn", ffn, 1),
    ):
        if not isinstance(size, int) or size < least:
            raise SettingsError(f"{what} is {size!r}; expected a whole number of at least {least}")
    if width % head_size:
        raise SettingsError(f"head_size {head_size} does not divide width {width}; choose a width that is a multiple")
    return Config(
        version=version,
        layers=layers,
        width=width,
        vocab=vocab,
        ffn=ffn,
        head_size=head_size,
        ranks=_merge(version, default_ranks(version, width), ranks or {}),
        bonus_exp=version == "5.0",
    )


def released_config(version: str, size: str) -> Config:
    """The config of a released model, such as ("7", "0.1B"), with the World vocabulary; see `RELEASED`."""
    sizes = RELEASED.get(version)
    if sizes is None:
        raise SettingsError(f"no released sizes of version {version!r} are known; known: {', '.join(RELEASED)}")
    size = size.upper()
    if size not in sizes:
        raise SettingsError(f"no released RWKV-{version} of size {size!r} is known; known: {', '.join(sizes)}")
    layers, width = sizes[size]
    ranks = dict(zip("wavg", _GOOSE_RANKS[width], strict=True)) if version == "7" else None
    return make_config(version, layers=layers, width=width, vocab=_WORLD_VOCAB, ranks=ranks)


def default_ranks(version: str, width: int) -> dict[str, int]:
    """The low-rank widths the trainers choose; for v7 the newer rule."""
    if version == "6":
        return {"mix": 32, "decay": 64} if width < 4096 else {"mix": 64, "decay": 128}
    if version == "7":
        root = math.sqrt(width)
        return {name: _thirties(factor * root) for name, factor in (("w", 2.5), ("a", 2.5), ("v", 1.7), ("g", 5.0))}
    return {}


def _thirties(x: float) -> int:
    """The nearest multiple of 32 (ties to even), at least 32."""
    return max(32, 32 * round(x / 32))


def _default_ffn(version: str, width: int) -> int:
    if version in ("5.1", "5.2", "6"):
        return max(32, width * 7 // 2 // 32 * 32)
    return 4 * width


def _merge(version: str, default: dict[str, int], given: Mapping[str, int]) -> dict[str, int]:
    for name, rank in given.items():
        if name not in default:
            known = ", ".join(default) or "none"
            raise SettingsError(f"RWKV-{version} has no low-rank matrix {name!r}; known: {known}")
        if not isinstance(rank, int) or rank < 1:
            raise SettingsError(f"rank {name!r} is {rank!r}; expected a whole number of at least 1")
    return {**default, **given}
