"""
File formats: what a model file is decides what it holds, never its name.

`open_checkpoint` sniffs the content, reads the tensor list, and checks every name and shape against the version's
own list before a single number is read.  A new format is one module with `NAME`, `sniff` and `read`, and one line
in `READERS`; writing it is a module with `write` and a line in `WRITERS`.
"""

from __future__ import annotations

from rookery.formats.check import check_finite
from rookery.formats.checkpoint import Checkpoint, Tensor
from rookery.formats.opening import READERS, open_checkpoint, read_tensors
from rookery.formats.saving import WRITERS, save_checkpoint

__all__ = [
    "READERS",
    "WRITERS",
    "Checkpoint",
    "Tensor",
    "check_finite",
    "open_checkpoint",
    "read_tensors",
    "save_checkpoint",
]
