"""Two checkpoints, tensor by tensor: is a converted model still the same model?"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from rookery.config import optional
from rookery.errors import FormatError, MissingTensor
from rookery.formats.checkpoint import Checkpoint, Tensor
from rookery.quant import FORMATS

__all__ = ["differences"]

_NUMBERS = 1 << 22  # compared at a time

# Formats that store these transformed may change their last bit when that is undone.
_TRANSFORMED = ("time_decay", "time_first", "time_faaaa")
_LAST_BITS = 1e-6


def differences(
    before: Checkpoint, after: Checkpoint, progress: Callable[[int, int], None] | None = None
) -> dict[str, float]:
    """The largest absolute difference of every tensor, relative to its largest number; 0 where all are equal.

    FormatError where a tensor is stored in the same type and yet differs, or has another shape; MissingTensor where
    `after` lacks one.  The value residual of block 0, which no RWKV-7 model uses, does not count.
    """
    found: dict[str, float] = {}
    wanted = before.tensors | before.initial_state
    written = after.tensors | after.initial_state
    for done, (name, tensor) in enumerate(wanted.items(), 1):
        if not optional(name):
            if name not in written:
                raise MissingTensor(f"{after.path}: tensor {name!r} was not written; convert again")
            found[name] = _difference(tensor, written[name], f"{after.path}: tensor {name!r}")
            _check(name, tensor, written[name], found[name], str(after.path))
        before.release()
        after.release()
        if progress:
            progress(done, len(wanted))
    return found


def _check(name: str, a: Tensor, b: Tensor, error: float, path: str) -> None:
    # A wider type holds every number of a narrower one.
    exact = a.format == b.format or b.format == "F32"
    allowed = _LAST_BITS if name.endswith(_TRANSFORMED) else 0.0
    if exact and FORMATS[a.format].block == 1 and not error <= allowed:
        raise FormatError(f"{path}: tensor {name!r} differs from the source by {error:.2g}; convert again")


def _difference(a: Tensor, b: Tensor, what: str) -> float:
    if a.shape != b.shape:
        raise FormatError(f"{what} has shape {b.shape}, expected {a.shape}; convert again")
    left, right = _rows(a), _rows(b)
    step = max(1, _NUMBERS // (a.shape[-1] if a.shape else 1))
    largest = worst = 0.0
    for start in range(0, len(left), step):
        x = FORMATS[a.format].decode(left[start : start + step]).astype(np.float32)
        y = FORMATS[b.format].decode(right[start : start + step]).astype(np.float32)
        largest = max(largest, float(np.max(np.abs(x), initial=0)))
        if not np.array_equal(x, y, equal_nan=True):
            worst = max(worst, float(np.max(np.abs(x - y))))
            worst = math.inf if math.isnan(worst) else worst
    return worst / max(largest, 1e-30)


def _rows(tensor: Tensor) -> np.ndarray:
    stored = tensor.load()
    return stored.reshape(-1, stored.shape[-1]) if stored.ndim else stored.reshape(1, 1)
