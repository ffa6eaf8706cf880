"""What has to be right before a Triton kernel starts: what it is given, where, and how exactly it multiplies."""

from __future__ import annotations

import os
from collections.abc import Sequence
from importlib import import_module
from types import ModuleType
from typing import Any

import torch
from torch import Tensor

from rookery.errors import MissingExtra, SettingsError

__all__ = ["check", "check_heads", "edges", "kernels", "launch", "precision"]

LANES = (16, 32, 64, 128)
_TYPES = (torch.float32, torch.bfloat16, torch.float16)

# What products are made of on each device, by torch's setting.
_PRODUCTS = {
    "cuda": {"highest": "ieee", "high": "tf32", "medium": "bf16"},
    "hip": {"highest": "ieee", "high": "ieee", "medium": "bf16"},  # AMD's matrix units multiply float32 itself
    "cpu": {"highest": "ieee", "high": "ieee", "medium": "rounded"},  # the interpreter
}


def kernels(name: str) -> ModuleType:
    """The module of kernels of that name.  MissingExtra without triton."""
    try:
        return import_module(f"rookery.ops.wkv.{name}")
    except ModuleNotFoundError as error:
        if error.name != "triton":
            raise
        raise MissingExtra(
            "on a GPU the recurrences need triton; install it: pip install 'rookery[gpu]', or be patient with "
            "ROOKERY_WKV=reference"
        ) from None


def launch(module: ModuleType, name: str, programs: int, *given: Any, **constants: Any) -> None:
    """Start so many programs of a kernel on the device of the tensors it is given."""
    if programs:
        with torch.cuda.device_of(given[0]):  # triton starts kernels on the current one
            getattr(module, name)[(programs,)](*given, **constants, **module.OPTIONS[name])


def precision(x: Tensor) -> str:
    """What the products of rows like x are made of: PRECISION of the kernels."""
    wanted = torch.get_float32_matmul_precision()
    if wanted == "highest" and x.dtype != torch.float32:
        wanted = "high"
    return _PRODUCTS["hip" if torch.version.hip and x.is_cuda else x.device.type][wanted]


def edges(offsets: Tensor, rows: int, segments: int) -> tuple[int, ...]:
    """The offsets as numbers.  SettingsError unless they cut the rows into the segments."""
    found = tuple(offsets.tolist())
    if len(found) != segments + 1 or found[0] != 0 or found[-1] != rows or list(found) != sorted(found):
        shown = f"{list(found[:8])}{'...' if found[8:] else ''}"
        raise SettingsError(
            f"offsets {shown}: expected {segments + 1}, one more than states, that rise from 0 to the {rows} rows"
        )
    return found


def check(rows: Sequence[Tensor], state: Tensor, width: int) -> None:
    """SettingsError unless the kernels can take rows (rows, width) with states like state."""
    x = rows[0]
    if x.device.type != "cuda" and not (x.device.type == "cpu" and _interpreted()):
        raise SettingsError(
            f"ROOKERY_WKV=triton takes tensors on a GPU, not on {x.device}; unset it, or start with TRITON_INTERPRET=1 "
            "to try the kernels, slowly, without one"
        )
    for y in (*rows, state):
        if y.dtype not in _TYPES or y.device != x.device:
            raise SettingsError(
                f"the GPU's recurrences take float32, bfloat16 and float16 on one device, not {y.dtype} on {y.device} "
                f"beside {x.dtype} on {x.device}; set ROOKERY_WKV=reference for other types"
            )
    for y in rows:
        if y.shape != (len(x), width):
            raise SettingsError(f"rows of shape {tuple(y.shape)}: expected ({len(x)}, {width}), as the states have it")


def check_heads(rows: Sequence[Tensor], state: Tensor) -> None:
    """The same for states (segments, heads, N, N)."""
    if state.dim() != 4 or state.shape[2] != state.shape[3] or state.shape[2] not in LANES:
        raise SettingsError(
            f"states of shape {tuple(state.shape)}: on a GPU expected (segments, heads, N, N) with N of "
            f"{', '.join(map(str, LANES))}; set ROOKERY_WKV=reference for others"
        )
    check(rows, state, state.shape[1] * state.shape[2])


def _interpreted() -> bool:
    return os.environ.get("TRITON_INTERPRET", "0").lower() in ("1", "true", "on", "yes")
