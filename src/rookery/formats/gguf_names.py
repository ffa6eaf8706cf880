"""
GGUF's tensor names for RWKV-6 and RWKV-7, beside the official ones.

Used by the reader and the writer.  A rule says how the tensor is stored in GGUF:

same:      as it is.
vector:    flat, (C,) for the official (1, 1, C).
heads:     the numbers of (heads, head size), whatever the shape.
transpose: the last two dimensions swapped.
"""

from __future__ import annotations

from typing import NamedTuple

__all__ = ["ARCHITECTURES", "KEPT_F32", "MATRICES", "OLDER", "TOP", "Fused", "Name"]


class Name(NamedTuple):
    """gguf and official: within a block, without the `blk.l.` and `blocks.l.` prefixes."""

    gguf: str
    official: str
    rule: str = "same"


class Fused(NamedTuple):
    """Vectors that GGUF stacks in one tensor: `official` + letter, in the order of `letters`."""

    gguf: str
    official: str
    letters: str


class Architecture(NamedTuple):
    version: str
    names: tuple[Name, ...]
    fused: Fused


TOP = {
    "token_embd.weight": "emb.weight",
    "token_embd_norm.weight": "blocks.0.ln0.weight",
    "token_embd_norm.bias": "blocks.0.ln0.bias",
    "output_norm.weight": "ln_out.weight",
    "output_norm.bias": "ln_out.bias",
    "output.weight": "head.weight",
}

_NORMS = (("attn_norm", "ln1"), ("attn_norm_2", "ln2"), ("time_mix_ln", "att.ln_x"))
_COMMON = (
    *(Name(f"{gguf}.{x}", f"{official}.{x}") for gguf, official in _NORMS for x in ("weight", "bias")),
    *(Name(f"time_mix_{x}.weight", f"att.{x}.weight") for x in ("receptance", "key", "value", "output")),
    *(Name(f"channel_mix_{x}.weight", f"ffn.{x}.weight") for x in ("key", "value")),
)

_V6 = (
    *_COMMON,
    Name("time_mix_gate.weight", "att.gate.weight"),
    Name("channel_mix_receptance.weight", "ffn.receptance.weight"),
    Name("time_mix_lerp_x.weight", "att.time_maa_x", "vector"),
    Name("channel_mix_lerp_k.weight", "ffn.time_maa_k", "vector"),
    Name("channel_mix_lerp_r.weight", "ffn.time_maa_r", "vector"),
    Name("time_mix_w1.weight", "att.time_maa_w1", "transpose"),
    Name("time_mix_w2.weight", "att.time_maa_w2", "transpose"),
    Name("time_mix_first.weight", "att.time_faaaa", "heads"),
    Name("time_mix_decay.weight", "att.time_decay", "vector"),
    Name("time_mix_decay_w1.weight", "att.time_decay_w1", "transpose"),
    Name("time_mix_decay_w2.weight", "att.time_decay_w2", "transpose"),
)

_V7 = (
    *_COMMON,
    *(Name(f"time_mix_{x}.weight", f"att.{x}", "vector") for x in ("w0", "a0", "v0", "k_k", "k_a")),
    *(Name(f"time_mix_{x}{i}.weight", f"att.{x}{i}", "transpose") for x in "wavg" for i in (1, 2)),
    Name("time_mix_r_k.weight", "att.r_k", "heads"),
    Name("channel_mix_lerp_k.weight", "ffn.x_k", "vector"),
)

ARCHITECTURES = {
    "rwkv6": Architecture("6", _V6, Fused("time_mix_lerp_fused.weight", "att.time_maa_", "wkvrg")),
    "rwkv7": Architecture("7", _V7, Fused("time_mix_lerp_fused.weight", "att.x_", "rwkvag")),
}

# Older rwkv6 files hold the vectors of `time_mix_lerp_fused` one by one.
OLDER = {"rwkv6": tuple(Name(f"time_mix_lerp_{x}.weight", f"att.time_maa_{x}", "vector") for x in "wkvrg"), "rwkv7": ()}

# What the standard quantiser quantises.  Everything else of two dimensions stays a 16-bit float in a quantised file.
MATRICES = frozenset(
    {"token_embd.weight", "output.weight"}
    | {f"time_mix_{x}.weight" for x in ("receptance", "key", "value", "gate", "output")}
    | {f"channel_mix_{x}.weight" for x in ("key", "value", "receptance")}
)

# Kept in float32 in files of every type, as are all tensors of one dimension.
KEPT_F32 = frozenset(f"time_mix_{x}.weight" for x in ("first", "w1", "w2", "decay_w1", "decay_w2", "lerp_fused"))
