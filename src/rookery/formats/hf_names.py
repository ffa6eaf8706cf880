"""
Tensor names of Hugging Face directories.

RWKV-7 in the layout of flash-linear-attention (`model.layers.N.attn ...`), whose low-rank matrices are linear layers
and so the transposes of the official ones; RWKV-4 to 6 in the layout that begins with `rwkv.`.
"""

from __future__ import annotations

import re

from rookery.errors import FormatError
from rookery.formats import lazy
from rookery.formats.checkpoint import Tensor

__all__ = ["EMBEDDING", "is_hf", "official", "oriented", "rwkv6_name", "rwkv7_name", "rwkv7_tensors", "unfused"]

Tensors = dict[str, Tensor]

EMBEDDING = "model.embeddings.weight"
_EMBEDDING6 = "rwkv.embeddings.weight"

# Beginnings of names: official, flash-linear-attention.  Inside a block they follow the block's own prefix.
_TOP7 = [("emb.", "model.embeddings."), ("ln_out.", "model.norm."), ("head.", "lm_head.")]
_BLOCK7 = [
    ("ln0.", "pre_norm."),
    ("ln1.", "attn_norm."),
    ("ln2.", "ffn_norm."),
    ("att.receptance.", "attn.r_proj."),
    ("att.key.", "attn.k_proj."),
    ("att.value.", "attn.v_proj."),
    ("att.output.", "attn.o_proj."),
    ("att.ln_x.", "attn.g_norm."),
    *((f"att.{x}0", f"attn.{x}_lora.lora.2.bias") for x in "wav"),
    *((f"att.{x}1", f"attn.{x}_lora.lora.0.weight") for x in "wavg"),
    *((f"att.{x}2", f"attn.{x}_lora.lora.2.weight") for x in "wavg"),
    ("att.", "attn."),
    ("ffn.", "ffn."),
]
_PARTS6 = [(".ln0.", ".pre_ln."), (".att.", ".attention."), (".ffn.", ".feed_forward.")]
# Versions 4 and 5 spell the vectors out.
_LONG_MIX = {"key": "k", "value": "v", "receptance": "r", "gate": "g"}
_LOW_RANK = re.compile(r"blocks\.[0-9]+\.att\.[wavg][12]$")
_MIX7 = re.compile(r"blocks\.[0-9]+\.att\.x_[rwkvag]$")


def is_hf(tensors: Tensors) -> bool:
    """Whether the names are those of one of the two layouts."""
    return EMBEDDING in tensors or _EMBEDDING6 in tensors


def official(name: str) -> str:
    """The official name of a tensor of either layout; unknown names unchanged."""
    if block := re.match(r"model\.layers\.([0-9]+)\.", name):
        return f"blocks.{block[1]}.{_swap(name[block.end() :], [(hf, name) for name, hf in _BLOCK7])}"
    if not name.startswith("rwkv."):
        return _swap(name, [(hf, name) for name, hf in _TOP7])
    name = _swap(name.removeprefix("rwkv."), [("embeddings.", "emb.")])
    for ours, theirs in _PARTS6:
        name = name.replace(theirs, ours)
    return re.sub(r"(?<=\.time_mix_)(key|value|receptance|gate)$", lambda m: _LONG_MIX[m[1]], name)


def rwkv7_name(name: str) -> str:
    """The name of an official RWKV-7 tensor in the flash-linear-attention layout."""
    block = re.match(r"blocks\.([0-9]+)\.", name)
    if block is None:
        return _swap(name, _TOP7)
    return f"model.layers.{block[1]}.{_swap(name[block.end() :], _BLOCK7)}"


def rwkv6_name(name: str) -> str:
    """The name of an official RWKV-6 tensor in the `rwkv.` layout."""
    for ours, theirs in _PARTS6:
        name = name.replace(ours, theirs)
    return name if name.startswith("head.") else f"rwkv.{_swap(name, [('emb.', 'embeddings.')])}"


def oriented(tensors: Tensors) -> Tensors:
    """Officially named tensors of a layout, low-rank matrices turned from linear layers into right factors."""
    return {n: lazy.transposed(t) if _LOW_RANK.match(n) and len(t.shape) == 2 else t for n, t in tensors.items()}


def rwkv7_tensors(tensors: Tensors) -> Tensors:
    """The other direction of `oriented`, for tensors as `open_checkpoint` gives them, with the layout's names."""
    mixes = {n: lazy.reshaped(t, (1, 1, *t.shape)) if _MIX7.match(n) else t for n, t in tensors.items()}
    return {rwkv7_name(name): tensor for name, tensor in oriented(mixes).items()}


def unfused(tensors: Tensors, origin: str) -> Tensors:
    """Older exports hold the six mix vectors in one tensor `x_x` (6, 1, 1, C), in the order r, w, k, v, a, g."""
    out: Tensors = {}
    for name, tensor in tensors.items():
        if not name.endswith(".attn.x_x"):
            out[name] = tensor
            continue
        if tensor.shape[:1] != (6,):
            raise FormatError(f"{origin}: tensor {name!r} has shape {tensor.shape}, expected (6, 1, 1, width)")
        out |= {f"{name[:-1]}{letter}": lazy.part(tensor, i) for i, letter in enumerate("rwkvag")}
    return out


def _swap(name: str, beginnings: list[tuple[str, str]]) -> str:
    """The name with the first beginning that fits replaced."""
    for old, new in beginnings:
        if name.startswith(old):
            return new + name[len(old) :]
    return name
