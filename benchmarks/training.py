"""
Training steps on processors: blocks fused against op by op, in one interleaved run.

    python benchmarks/training.py [--threads 1 --threads 2] [--width 256 --layers 6 --vocab 4096] [--steps 7]

Both ways use the same recurrences, loss and optimizer.  Prints the median of tokens/s of each, in float32 and with
products in bfloat16, and where the time of a fused step goes.  Seconds are of the wall; --cpu takes the process's own,
for machines that are shared, and means little with several threads.
"""

from __future__ import annotations

import argparse
import os
import platform
from collections.abc import Callable
from statistics import median
from time import perf_counter, process_time
from typing import Any

import torch
from torch.profiler import profile

from rookery.initialise import make_config, random_model
from rookery.train.loss import cross_entropy
from rookery.train.model import TrainedModel
from rookery.train.optim import optimizer

SEGMENTS, LENGTH = 16, 256

# What the time goes to, by how torch's profiler names it.
PARTS = {
    "products": ("aten::mm", "aten::addmm", "mkldnn::_linear_pointwise"),
    "recurrences": ("_Wkv", "_WkvBackward"),
    "groups": ("_Group", "_GroupBackward"),
    "loss": ("_CrossEntropy", "_CrossEntropyBackward"),
    "optimizer": ("aten::_fused_adamw_",),
}


class Way:
    """One way to train a model."""

    def __init__(self, options: argparse.Namespace, *, fused: bool, half: torch.dtype | None) -> None:
        config = make_config(
            options.version,
            layers=options.layers,
            width=options.width,
            vocab=options.vocab,
            head_size=options.head_size,
        )
        self.model = TrainedModel.of(random_model(config, seed=1), fused=fused, half=half)
        self.optimizer = optimizer(self.model.named_parameters(), 0.1)
        g = torch.Generator().manual_seed(0)
        self.tokens, self.targets = torch.randint(0, options.vocab, (2, SEGMENTS * LENGTH), generator=g)
        self.weights = torch.full((SEGMENTS * LENGTH,), 1 / (SEGMENTS * LENGTH))

    def step(self) -> None:
        hidden, _ = self.model(self.tokens, [LENGTH] * SEGMENTS)
        head = self.model.head.weight
        cross_entropy(hidden, head, self.targets, self.weights, half=self.model.half).backward()
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)


def parts_of(way: Way) -> str:
    """Shares of a step's time by part; a loss's products count as products."""
    with profile() as found:
        way.step()
    times = {event.key: event.self_cpu_time_total for event in found.key_averages()}
    whole = sum(times.values())
    shares = {part: sum(times.get(name, 0) for name in names) / whole for part, names in PARTS.items()}
    shares["rest"] = 1 - sum(shares.values())
    return ", ".join(f"{part} {share:.0%}" for part, share in shares.items())


def compare(options: argparse.Namespace, half: torch.dtype | None, clock: Callable[[], float]) -> None:
    ways = {name: Way(options, fused=name == "fused", half=half) for name in ("op by op", "fused")}
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for turn in range(options.steps + 1):
        for name, way in ways.items():
            start = clock()
            way.step()
            if turn:  # the first only warms up
                seconds[name].append(clock() - start)
    speeds = {name: SEGMENTS * LENGTH / median(times) for name, times in seconds.items()}
    gain = speeds["fused"] / speeds["op by op"]
    print(f"  {'bfloat16' if half else 'float32':9}", end="")
    print(*(f"{name} {speed:.0f} tokens/s" for name, speed in speeds.items()), f"{gain:.2f}x", sep=", ")
    print(f"            fused: {parts_of(ways['fused'])}")


def arguments() -> Any:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, action="append", help="of torch; may be repeated (default: 1)")
    parser.add_argument("--version", default="7", help="of RWKV")
    for name, default in (("layers", 6), ("width", 256), ("vocab", 4096), ("head-size", 64), ("steps", 7)):
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--cpu", action="store_true", help="seconds of the process instead of the wall")
    return parser.parse_args()


def main() -> None:
    options = arguments()
    print(f"{platform.processor() or platform.machine()}, {os.cpu_count()} processors, load {os.getloadavg()[0]:.1f}")
    print(f"torch {torch.__version__}, {torch.backends.cpu.get_cpu_capability()}; RWKV-{options.version}", end=" ")
    print(f"D{options.width} L{options.layers} V{options.vocab}, {SEGMENTS} x {LENGTH} tokens")
    for threads in options.threads or [1]:
        torch.set_num_threads(threads)
        print(f"threads {threads}")
        for half in (None, torch.bfloat16):
            compare(options, half, process_time if options.cpu else perf_counter)


if __name__ == "__main__":
    main()
