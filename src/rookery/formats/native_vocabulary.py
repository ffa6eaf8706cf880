"""
The vocabulary inside a native file: all ids, all lengths (uint32), then the bytes of all tokens.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from rookery.errors import FormatError

__all__ = ["parsed_vocabulary", "stored_vocabulary"]

_NUMBER = np.dtype("<u4")


def stored_vocabulary(vocabulary: Mapping[int, bytes] | None) -> bytes:
    """The bytes for a file; empty where there is no vocabulary."""
    known = sorted((vocabulary or {}).items())
    ids = np.array([id for id, _ in known], _NUMBER)
    lengths = np.array([len(token) for _, token in known], _NUMBER)
    return ids.tobytes() + lengths.tobytes() + b"".join(token for _, token in known)


def parsed_vocabulary(data: np.ndarray, tokens: int, what: str) -> dict[int, bytes]:
    """Token bytes by id; FormatError, beginning with `what`, for what no writer writes."""
    front = 2 * _NUMBER.itemsize * tokens
    if not 0 < front < data.size:
        raise FormatError(f"{what} has {data.size} bytes, too few for {tokens} tokens; fetch the file again")
    ids, lengths = data[:front].view(_NUMBER).reshape(2, tokens)
    ends = np.cumsum(lengths, dtype=np.int64)
    if ends[-1] != data.size - front or not lengths.all() or not (ids[1:] > ids[:-1]).all():
        raise FormatError(f"{what} should have ids that ascend, and tokens that fill it; fetch the file again")
    text = data[front:].tobytes()
    return {
        id: text[begin:end]
        for id, begin, end in zip(ids.tolist(), (ends - lengths).tolist(), ends.tolist(), strict=True)
    }
