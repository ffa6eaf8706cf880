"""
What tensors are called in files other than the official ones, and the way back.

`official` takes tensors from any file of the torch world (.pth, safetensors) to the official names and orientation:
prefixes left by trainers are cut, Hugging Face layouts and the web-rwkv contents are recognised by what they hold.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from rookery.errors import FormatError
from rookery.formats import hf_names, webrwkv
from rookery.formats.checkpoint import Tensor

__all__ = ["official"]

Tensors = dict[str, Tensor]

_TRAINER_PREFIX = re.compile(r"^_forward_module\.")


def official(tensors: Tensors, origin: str, tied: bool = False) -> Tensors:
    """Official names and orientation.  Unknown names pass unchanged, to be refused by name later.

    tied: the head is the embedding, should a Hugging Face layout lack the head.
    FormatError, naming `origin` and the tensor, when two tensors would get the same name.
    """
    tensors = _renamed(tensors, lambda name: _TRAINER_PREFIX.sub("", name), origin)
    if hf_names.is_hf(tensors):
        tensors = hf_names.unfused(tensors, origin)
        if tied and hf_names.EMBEDDING in tensors:
            tensors = {"lm_head.weight": tensors[hf_names.EMBEDDING], **tensors}
        return hf_names.oriented(_renamed(tensors, hf_names.official, origin))
    return webrwkv.oriented(_renamed(tensors, webrwkv.rename(tensors), origin))


def _renamed(tensors: Tensors, rename: Callable[[str], str], origin: str) -> Tensors:
    out: Tensors = {}
    for name, tensor in tensors.items():
        new = rename(name)
        if new in out:
            raise FormatError(f"{origin}: tensor {name!r} means the same as another one of the file; remove one")
        out[new] = tensor
    return out
