"""The `rwkv` package keeps its pipeline in a module of this name, so scripts import it from here."""

from __future__ import annotations

from rookery.compat.rwkv.pipeline import PIPELINE, PIPELINE_ARGS

__all__ = ["PIPELINE", "PIPELINE_ARGS"]
