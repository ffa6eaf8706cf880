"""
What fine-tuning leaves behind, apart from the model it was made for: low-rank changes of matrices, tuned initial
states, whole tensors.

Read from files of RWKV-PEFT's form or our own, applied to a checkpoint when its tensors are loaded, and written.
Needs no torch.
"""

from __future__ import annotations

from rookery.adapter.applying import adapted
from rookery.adapter.content import Adapter, LowRank
from rookery.adapter.reading import read_adapter
from rookery.adapter.writing import write_adapter

__all__ = ["Adapter", "LowRank", "adapted", "read_adapter", "write_adapter"]
