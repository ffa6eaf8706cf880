"""
More than one process: each has a part of the model, of the optimizer's state and of every batch.

    torchrun --nproc-per-node 2 -m rookery train ...

Torch does the work (FSDP2: parameters are gathered block by block when they are needed, gradients are summed and dealt
out again); here is how it is begun and ended, and the few things that processes have to agree on.  With one process
everything here does nothing.  What is the same on all processes must be decided on all: no process may leave the loop,
or compute a pass, that the others do not.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from torch import nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard
from torch.distributed.tensor import DTensor

from rookery.errors import RookeryError, SettingsError

__all__ = [
    "anyone",
    "by_first",
    "clip",
    "first",
    "in_turn",
    "mean",
    "meet",
    "most",
    "neighbours",
    "placed",
    "rank",
    "together",
    "total",
    "whole",
    "world",
]

T = TypeVar("T")
M = TypeVar("M", bound=nn.Module)

PATIENCE = timedelta(days=1)  # for what one process does alone, say tokenising; torch's own is half an hour


def world() -> int:
    """Processes that train together."""
    return dist.get_world_size() if dist.is_initialized() else 1


def rank() -> int:
    """The number of this one, from 0."""
    return dist.get_rank() if dist.is_initialized() else 0


def neighbours() -> int:
    """Processes on this machine, this one included: they share its processors."""
    return int(os.environ.get("LOCAL_WORLD_SIZE", "1")) if dist.is_initialized() else 1


def first() -> bool:
    """Whether this process is the one that writes and speaks."""
    return rank() == 0


def meet() -> None:
    """Wait for all."""
    if dist.is_initialized():
        dist.barrier()


def total(value: float) -> float:
    """The sum of the processes' values, in float64."""
    return _reduced(value, torch.float64, dist.ReduceOp.SUM)


def mean(value: float) -> float:
    """The mean of the processes' values."""
    return total(value) / world()


def most(value: int) -> int:
    """The largest of the processes' values."""
    return int(_reduced(value, torch.int64, dist.ReduceOp.MAX))


def anyone(flag: bool) -> bool:
    """Whether it is so on any process."""
    return most(int(flag)) > 0


def by_first(function: Callable[[], T], group: Any = None) -> T:
    """What `function` returns to the first process, which alone calls it; all raise its errors."""
    if not dist.is_initialized():
        return function()
    outcome: list[Any] = [None, None]
    if first():
        try:
            outcome[0] = function()
        except (RookeryError, OSError) as error:
            outcome[1] = error
    dist.broadcast_object_list(outcome, group=group, device=torch.device("cpu"))
    if outcome[1] is not None:
        raise outcome[1]
    found: T = outcome[0]
    return found


def in_turn(function: Callable[[], T]) -> T:
    """What `function` returns: called by the first process, then, as it has left files for them, by the others."""
    kept: list[T] = []
    group = dist.new_group(backend="gloo", timeout=PATIENCE) if dist.is_initialized() else None
    by_first(lambda: kept.append(function()), group)
    return kept[0] if kept else function()


def placed(model: M, device: str = "cpu") -> M:
    """The model on the device, dealt to all processes; before the optimizer is made of its parameters."""
    if not dist.is_initialized():
        return model.to(device)
    mesh = init_device_mesh(device, (world(),), mesh_dim_names=("data",))
    for block in model.get_submodule("blocks").children():
        fully_shard(block, mesh=mesh)
    # The head is read after the forward, by the loss: it stays whole until the gradients are there.
    fully_shard(model, mesh=mesh, reshard_after_forward=False)
    return model


def whole(model: nn.Module) -> dict[str, torch.Tensor]:
    """All parameters by name: on the first process, gathered; on the others nothing.  For all to call."""
    if not dist.is_initialized():
        return dict(model.named_parameters())
    found = {}
    model.reshard()
    for name, parameter in model.named_parameters():
        full = parameter.detach().full_tensor()
        if first():
            found[name] = full.cpu()
    return found


def clip(model: nn.Module, norm: float) -> float:
    """Scale the gradients of all processes down to a norm; what it was."""
    found: Any = torch.nn.utils.clip_grad_norm_(model.parameters(), norm)
    return float(found.full_tensor() if isinstance(found, DTensor) else found)


@contextmanager
def together() -> Iterator[None]:
    """Be one of the processes that torchrun started, if it did; leave them in order."""
    if int(os.environ.get("WORLD_SIZE", "1")) <= 1:
        yield
        return
    _join()
    try:
        yield
        meet()  # who tears down while another still talks to it ends both
    except RuntimeError as error:
        raise _lost(error) from error
    finally:
        dist.destroy_process_group()


def _join() -> None:
    missing = [name for name in ("RANK", "LOCAL_RANK", "MASTER_ADDR", "MASTER_PORT") if name not in os.environ]
    if missing:
        raise SettingsError(f"WORLD_SIZE is set but {missing[0]} is not; start with torchrun, or unset WORLD_SIZE")
    if torch.cuda.is_available():
        torch.cuda.set_device(int(os.environ["LOCAL_RANK"]) % torch.cuda.device_count())
        dist.init_process_group("cpu:gloo,cuda:nccl")
    else:
        dist.init_process_group("gloo")


def _lost(error: RuntimeError) -> Exception:
    """A sentence for a process whose neighbour has gone; other errors as they are."""
    text = str(error)
    if isinstance(error, dist.DistError) or "Connection closed by peer" in text or "Connection reset by peer" in text:
        return SettingsError(
            f"process {rank()} of {world()} has lost another one; see what that one said, and start the run again: it "
            "goes on from its last checkpoint"
        )
    return error


def _reduced(value: float, dtype: torch.dtype, operation: Any) -> float:
    if not dist.is_initialized():
        return value
    number = torch.tensor(value, dtype=dtype)
    dist.all_reduce(number, operation)
    return number.item()
