"""
What the machine can deliver at this moment, and what a program asks of it.

A model that decodes can be no faster than its weights are read, and one that reads a prompt no faster than the
processor multiplies.  Both limits move with whatever else the machine does, so they are measured between the rounds.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from rookery import _native

if TYPE_CHECKING:
    from rookery.ops.record import Program

__all__ = ["Ceilings", "integer_operations", "last_level_cache"]

_CACHES = "/sys/devices/system/cpu/cpu0/cache"
_UNKNOWN_CACHE = 64 << 20
_MOST = 512 << 20  # bytes; what is larger would measure the same, for longer
_TRIES = 3  # in each round; the best counts, since disturbances only slow down
_PEAK_S = 0.004
_DENSE = ("F32", "F16", "BF16")


class Ceilings:
    """
    table, threads: those of the executor that is measured.
    like: bytes a token reads; at least four times the last-level cache is read, so that it is memory that is measured.
    """

    def __init__(self, table: str, threads: int, like: int = 0) -> None:
        self._native = _native.Ceilings(table, threads, min(max(4 * last_level_cache(), like), _MOST))
        self.read(), self.int8()

    @property
    def nbytes(self) -> int:
        """Bytes that are read."""
        return int(self._native.nbytes)

    def read(self) -> float:
        """Bytes per second that the threads read, each from one end of its own stretch to the other."""
        return max(float(self._native.touch()) for _ in range(_TRIES))

    def int8(self) -> float:
        """Additions and multiplications per second of the kernels' int8 product of four, on registers."""
        return max(float(self._native.peak(_PEAK_S)) for _ in range(_TRIES))


def last_level_cache() -> int:
    """Bytes of the processor's largest cache; a generous guess where the system does not tell."""
    sizes = []
    for path in Path(_CACHES).glob("index*/size"):
        text = path.read_text().strip()
        unit = {"K": 1 << 10, "M": 1 << 20}.get(text[-1:], 1)
        sizes.append(int(text.rstrip("KM")) * unit)
    return max(sizes, default=_UNKNOWN_CACHE)


def integer_operations(program: Program, rows: int, wanted: int) -> int:
    """Additions and multiplications of the integer matrix products in a call: 2 x outputs x inputs x rows of each.

    What comes after `take`, such as the head, has only the wanted rows.  Products with 16- and 32-bit weights are
    computed in floats and not counted, nor is anything else.
    """
    count = 0
    taken: set[int] = set()
    for op in program.ops:
        if op.name == "take" or taken.intersection(op.inputs):
            taken.add(op.out)
        if op.name == "linear" and program.matrices[op.matrix].format not in _DENSE:
            outputs, inputs = program.matrices[op.matrix].shape
            count += 2 * outputs * inputs * (wanted if op.out in taken else rows)
    return count
