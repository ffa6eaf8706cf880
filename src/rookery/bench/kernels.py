"""
The matrix products alone: how near each weight format comes to the machine's limits, without a model around it.

One product is a program of its own with a matrix of random blocks.  "Streamed" reads a different matrix each time,
several times the last-level cache in all; "cached" the same small one; with many tokens the processor is the limit.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from time import perf_counter
from typing import Any

import numpy as np

from rookery import _native
from rookery.bench.ceilings import Ceilings, last_level_cache
from rookery.bench.speed import Spread
from rookery.ops.native import compiled
from rookery.ops.record import Recorder
from rookery.quant import FORMATS
from rookery.quant.layouts import LAYOUTS
from rookery.weights import Tensor

__all__ = ["FORMAT_NAMES", "kernels"]

FORMAT_NAMES = ("F32", "F16", "BF16", *LAYOUTS)
_SHAPE = (2048, 2048)
_CACHED_ROWS = 256  # a matrix that the second-level cache holds
_TOKENS = (2, 4, 8, 32, 480)
_PRODUCTS = 2.0e9  # operations of a measurement with many tokens, so that it lasts milliseconds
_SCALE = 0.001


def kernels(threads: int, repeat: int, formats: Sequence[str] = FORMAT_NAMES) -> dict[str, Any]:
    """{"shape", "tokens", "threads", "kernels", "formats", ...}: see `rookery bench --kernels` in docs/cli.md.

    Of each format "streamed" and "cached" {"bytes_per_s", "of_read"}, and per number of tokens {"ops_per_s",
    "of_int8"}; shares are medians over rounds in which the ceiling was measured just before.
    """
    table = _native.kernel_tables()[0]
    ceilings = Ceilings(table, threads)
