"""`rookery bench`: speed and memory of a model on this machine."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from rookery.cli.common import json_option, print_json
from rookery.cli.tables import human_bytes, print_facts, print_table
from rookery.errors import SettingsError

if TYPE_CHECKING:
    from rookery.bench.speed import Settings

__all__ = ["command"]


@click.command("bench")
@click.argument("model", type=click.Path(path_type=Path))
@click.option("--prompt-tokens", type=int, default=512, show_default=True, help="Length of the prompt that is read.")
@click.option("--decode-tokens", type=int, default=128, show_default=True, help="Tokens generated one by one.")
@click.option("--batch", default="1,8", show_default=True, help="Sequences that generate together, comma-separated.")
@click.option("--threads", default="0", help="Numbers of threads to measure, comma-separated; default: all.")
@click.option("--repeat", type=int, default=3, show_default=True, help="Rounds; minimum, median, maximum are shown.")
@click.option("--profile", is_flag=True, help="Show where the time of a generated token goes, by op and by layer.")
@click.option("--against", type=click.Choice(["rwkv", "llama.cpp"]), help="Measure that too, on the same weights.")
@json_option
def command(
    model: Path,
    prompt_tokens: int,
    decode_tokens: int,
    batch: str,
    threads: str,
    repeat: int,
    profile: bool,
    against: str | None,
    as_json: bool,
) -> None:
    """Measure how fast MODEL loads, reads a prompt, and generates alone and in a batch, and the memory it takes.

    The tokens are random; speed does not depend on them.  Everything is measured in rounds, so that other work on the
    machine meets all of it alike.
    """
    from rookery.bench.speed import Settings

    settings = Settings(prompt_tokens, decode_tokens, _numbers("--batch", batch, 1), repeat)
    runs = []
    for count in _numbers("--threads", threads, 0):
        runs.append(_run(model, count, settings, profile, against))
        if not as_json:
            _print(runs[-1])
    if as_json:
        print_json({"model": str(model), "runs": runs})


def _numbers(option: str, text: str, least: int) -> list[int]:
    parts = [part.strip() for part in text.split(",")]
    if not all(part.isdecimal() and int(part) >= least for part in parts):
        raise SettingsError(f"{option} is {text!r}; expected numbers of {least} or more, such as 1,8")
    return [int(part) for part in parts]


def _run(path: Path, threads: int, settings: Settings, profile: bool, against: str | None) -> dict[str, Any]:
    from contextlib import ExitStack

    from rookery.bench.memory import forget_peak, resident_bytes
    from rookery.bench.peer import Peer
    from rookery.bench.speed import bench, load_timed, random_tokens

    forget_peak()
    before = resident_bytes()
    model, seconds = load_timed(path, threads)
    result: dict[str, Any] = {
        "model": str(model),
        "threads": model.executor.threads,
        "kernels": getattr(model.executor, "table", None),
        "load_s": seconds,
        "load_average": list(os.getloadavg()) if hasattr(os, "getloadavg") else None,
        "memory_before": before,
    }
    with ExitStack() as stack:
        peer = stack.enter_context(Peer(against, model.checkpoint, model.executor.threads)) if against else None
        result |= bench(model, settings, peer)
    if profile:
        from rookery.bench.profiling import profile as profiled

        result["profile"] = profiled(model, random_tokens(model.config.vocab, settings.decode_tokens))
    return result


def _print(run: dict[str, Any]) -> None:
    memory = run["memory"]
    token = run.get("bytes_per_token")
    print_facts(
        [
            ("model", run["model"]),
            ("threads", f"{run['threads']}, {run['kernels']} kernels"),
            ("machine's load", f"{run['load_average'][0]:.1f} (average of a minute)" if run["load_average"] else ""),
            ("loaded in", f"{run['load_s']:.2f} s"),
            (
                "resident",
                f"{human_bytes(memory['now'])}, peak {human_bytes(memory['peak'])}" if "now" in memory else "",
            ),
            ("read per token", f"{human_bytes(token)}, {run['decode_bytes_per_s'] / 1e9:.1f} GB/s" if token else ""),
            ("state", f"{human_bytes(run['state_bytes'])} per conversation, constant"),
        ]
    )
    click.echo()
    print_table(("", "minimum", "median", "maximum", "unit"), list(_rows(run)))
    if "ratios" in run:
        _print_peer(run)
    if "profile" in run:
        _print_profile(run["profile"])
    click.echo()


def _rows(run: dict[str, Any]) -> Iterator[tuple[str, ...]]:
    yield _row("prefill", run["prefill"])
    yield _row("decode", run["decode"])
    for batch, spread in run["batched"].items():
        yield _row(f"decode, batch {batch}", spread)
    if "ratios" in run:
        yield from _peer_rows(run["peer"])
    yield _row("numpy sum", run["read_bytes_per_s"], 1e9, "GB/s")


def _peer_rows(peer: dict[str, Any]) -> Iterator[tuple[str, ...]]:
    spreads = {"prefill": peer["prefill"], "decode": peer["decode"]}
    spreads |= {f"decode, batch {batch}": spread for batch, spread in peer["batched"].items()}
    for metric, spread in spreads.items():
        which = f" ({spread['configuration']})" if "configuration" in spread else ""
        yield _row(f"{peer['name']} {metric}{which}", spread)


def _row(name: str, spread: dict[str, Any], scale: float = 1, unit: str = "tokens/s") -> tuple[str, ...]:
    return (name, *(f"{spread[key] / scale:.1f}" for key in ("min", "median", "max")), unit)


def _print_peer(run: dict[str, Any]) -> None:
    peer, ratios = run["peer"], run["ratios"]
    speeds = {"prefill": ratios["prefill"], "decode": ratios["decode"]}
    speeds |= {f"decode, batch {batch}": ratio for batch, ratio in ratios["batched"].items()}
    threads = f"{peer['threads']} thread{'s' * (peer['threads'] != 1)}"
    click.echo()
    print_facts(
        [
            (peer["name"], f"{peer['settings']}; {threads}"),
            *((metric, f"{ratio:.2f} times the speed of {peer['name']} (medians)") for metric, ratio in speeds.items()),
            ("logits", f"differ by {peer['logits_difference']:.1e} of the largest"),
        ]
    )


def _print_profile(found: dict[str, Any]) -> None:
    total = sum(row["ns"] for row in found["ops"].values()) or 1
    ops = found["ops"].items()
    rows = [(name, row["count"], f"{row['ns'] / 1000:.1f}", f"{row['ns'] / total:.1%}") for name, row in ops]
    click.echo()
    print_table(("op", "count", "us per token", "share"), rows)
    click.echo()
    layers = [(name, f"{ns / 1000:.1f}", f"{ns / total:.1%}") for name, ns in found["layers"].items()]
    print_table(("layer", "us per token", "share"), layers)
