"""
The RWKV versions, one file each: maths only.

Every version offers the same two functions over the op vocabulary (`rookery.ops`):

    time_mix(o, p, x, s, v_first) -> (y, v_first)     x: (rows, width), output of ln1
    channel_mix(o, p, x, s) -> y                      x: (rows, width), output of ln2

`o` offers the ops, `p` holds the block's parameters under their official names, `s` the block's state
(`att_x`, `wkv`, `ffn_x`).  `v_first` is the first block's value, which RWKV-7 mixes into later ones.
"""

from __future__ import annotations

from types import ModuleType

from rookery.models import v4, v5, v6, v7

__all__ = ["definition"]

_DEFINITIONS: dict[str, ModuleType] = {"4": v4, "5": v5, "6": v6, "7": v7}


def definition(version: str) -> ModuleType:
    """The module that defines a version such as "7" or "5.2"."""
    return _DEFINITIONS[version.partition(".")[0]]
