"""
RWKV-7's recurrence on a GPU: rookery's kernels beside flash-linear-attention's.

    python benchmarks/wkv_gpu.py [--sequences 8] [--rows 4096] [--heads 12] [--lanes 64] [--repetitions 20]

Milliseconds of the forward and of the forward and backward pass, rows in bfloat16, decays and states in float32; the
least of the repetitions, in which the contenders take turns.  flash-linear-attention takes part where it is installed
(pip install flash-linear-attention): by the operator that its chunk_rwkv7 names, with the same numbers.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable

try:
    import torch
except ModuleNotFoundError:
    sys.exit("wkv_gpu.py needs torch; install it: pip install 'rookery[gpu]'")

from rookery.ops import wkv

Contender = Callable[..., tuple[torch.Tensor, torch.Tensor]]


def main() -> None:
    options = _options()
    if not torch.cuda.is_available():
        sys.exit("wkv_gpu.py needs a GPU of NVIDIA or AMD, and torch sees none here")
    print(f"{torch.cuda.get_device_name()}, torch {torch.__version__}; {vars(options)}")
    rows, state = _operands(options)
    contenders = {"rookery": _ours(options), **_theirs(options)}
    for what, backward in (("forward", False), ("forward and backward", True)):
        least = _times(contenders, rows, state, backward, options.repetitions)
        for name, milliseconds in least.items():
            print(f"{what:>22}  {name:<24}{milliseconds:8.3f} ms")


def _times(contenders: dict[str, Contender], rows, state, backward: bool, repetitions: int) -> dict[str, float]:
    least = dict.fromkeys(contenders, float("inf"))
    for repetition in range(repetitions + 3):
        for name, contender in contenders.items():
            taken = _once(contender, rows, state, backward)
            if repetition >= 3:  # the first ones compile and warm up
                least[name] = min(least[name], taken)
    return least


def _once(contender: Contender, rows: list[torch.Tensor], state: torch.Tensor, backward: bool) -> float:
    given = [x.detach().requires_grad_(backward) for x in (*rows, state)]
    begin, end = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
    torch.cuda.synchronize()
    begin.record()
    y, final = contender(*given)
    if backward:
        torch.autograd.backward((y, final), (torch.ones_like(y), torch.ones_like(final)))
    end.record()
    torch.cuda.synchronize()
    return begin.elapsed_time(end)


def _operands(options: argparse.Namespace) -> tuple[list[torch.Tensor], torch.Tensor]:
    """r w k v a b (rows, width) and the states."""
    torch.manual_seed(0)
    shape = (options.sequences * options.rows, options.heads * options.lanes)
    r, k, v, z, key = (torch.randn(shape, device="cuda", dtype=torch.bfloat16) for _ in range(5))
    w = torch.exp(-0.6065306597126334 * torch.sigmoid(z.float()))
    key = torch.nn.functional.normalize(key.unflatten(-1, (options.heads, -1)), dim=-1).flatten(-2)
    rate = torch.sigmoid(torch.randn_like(key))
    state = torch.zeros(options.sequences, options.heads, options.lanes, options.lanes, device="cuda")
    return [r, w, k, v, -key, key * rate], state


def _ours(options: argparse.Namespace) -> Contender:
    offsets = torch.arange(options.sequences + 1) * options.rows
    return lambda *given: wkv.wkv7(*given, offsets)


def _theirs(options: argparse.Namespace) -> dict[str, Contender]:
    try:
        from fla.ops.generalized_delta_rule import chunk_dplr_delta_rule
    except ImportError as error:
        print(f"without flash-linear-attention: {error}")
        return {}

    def contender(*given: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        *rows, state = given
        shape = (options.sequences, options.rows, options.heads, options.lanes)
        r, w, k, v, a, b = (x.reshape(shape) for x in rows)
        return chunk_dplr_delta_rule(
            q=r, k=k, v=v, a=a, b=b, gk=w.log(), scale=1.0, initial_state=state, output_final_state=True
        )

    return {"flash-linear-attention": contender}


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, default in (("sequences", 8), ("rows", 4096), ("heads", 12), ("lanes", 64), ("repetitions", 20)):
        parser.add_argument(f"--{name}", type=int, default=default)
    return parser.parse_args()


if __name__ == "__main__":
    main()
