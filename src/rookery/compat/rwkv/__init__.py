"""
The `rwkv` package's surface: `from rwkv.model import RWKV` becomes `from rookery.compat.rwkv.model import RWKV`.

model.py     RWKV: a model whose states are lists of arrays
utils.py     where scripts look for PIPELINE; it is in pipeline.py
pipeline.py  PIPELINE and PIPELINE_ARGS: text in, text out
strategy.py  the package's strategy strings

Arrays are numpy's where the package has torch tensors; nothing here imports torch.
"""

from __future__ import annotations

from rookery.compat.rwkv.model import RWKV
from rookery.compat.rwkv.pipeline import PIPELINE, PIPELINE_ARGS

__all__ = ["PIPELINE", "PIPELINE_ARGS", "RWKV"]
