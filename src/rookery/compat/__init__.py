"""
The surface of other packages, so that scripts written for them run with a changed import.

`pipeline` is the text side of the `rwkv` package: PIPELINE and PIPELINE_ARGS.
"""

from __future__ import annotations

from rookery.compat.pipeline import PIPELINE, PIPELINE_ARGS

__all__ = ["PIPELINE", "PIPELINE_ARGS"]
