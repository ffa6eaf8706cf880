"""
The surface of other packages, so that scripts written for them run with a changed import.

rwkv/  the `rwkv` package: RWKV, PIPELINE, PIPELINE_ARGS

docs/compatibility.md says what differs.
"""

from __future__ import annotations

from rookery.compat.rwkv import PIPELINE, PIPELINE_ARGS, RWKV

__all__ = ["PIPELINE", "PIPELINE_ARGS", "RWKV"]
