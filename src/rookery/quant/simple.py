"""
Round-to-nearest codes for the 4- and 5-bit formats.

The order of the float32 operations is part of the format's custom: other tools produce the same bytes.
"""

from __future__ import annotations

import numpy as np

from rookery.quant.blocks import reciprocal, saturated

__all__ = ["affine_codes", "signed_codes"]


def signed_codes(x: np.ndarray, half: int) -> tuple[np.ndarray, np.ndarray]:
    """Codes 0 .. 2 half - 1 of x (n, 32), and the scales (n,): x ~ d (q - half).

    The number of largest magnitude gets code 0, so d carries the opposite of its sign.  A number as large on the
    other side has no code of its own and is off by up to one step.
    """
    extreme = np.take_along_axis(x, np.abs(x).argmax(axis=-1, keepdims=True), axis=-1)
    d = saturated(extreme / np.float32(-half))
    q = np.clip(x * reciprocal(d) + np.float32(half + 0.5), 0, 2 * half - 1)
    return q.astype(np.uint8), d[:, 0]


def affine_codes(x: np.ndarray, top: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Codes 0 .. top of x (n, 32), the scales (n,) and the offsets (n,): x ~ d q + m with m the smallest number."""
    m = saturated(x.min(axis=-1, keepdims=True))
    d = saturated((x.max(axis=-1, keepdims=True) - m) / np.float32(top))
    q = np.clip((x - m) * reciprocal(d) + np.float32(0.5), 0, top)
    return q.astype(np.uint8), d[:, 0], m[:, 0]
