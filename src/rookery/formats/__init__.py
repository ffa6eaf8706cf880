"""
File formats: what a model file is decides what it holds, never its name.

`open_checkpoint` sniffs the content, reads the tensor list, and checks every name and shape against the version's
own list before a single number is read.  A new format is one module with `NAME`, `sniff` and `read` (and `write`).
"""

from __future__ import annotations

from rookery.formats.checkpoint import Checkpoint, Tensor

__all__ = ["Checkpoint", "Tensor"]
