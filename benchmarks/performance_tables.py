"""The tables of docs/performance.md from what benchmarks/performance.py measured."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any

from rookery.cli.bench_tables import as_markdown

__all__ = ["tables"]

Found = dict[str, dict[str, Any]]
Run = dict[str, Any]

SMALL, LARGE = 0.25e9, 1e9  # parameters: below is the 0.1B model, above the 1.5B model


def tables(found: Found) -> str:
    """All of them, as Markdown."""
    runs = {key: result["runs"][0] for key, result in found.items() if "runs" in result}
    first = {key: result["first_token"] for key, result in found.items() if "first_token" in result}
    parts = [_machine(found)]
    if runs:
        parts += [_table("Against llama.cpp: ours / theirs = ratio, tokens per second", list(_against(runs)))]
        parts += [_table("Shares of what the machine delivered in the same rounds", list(_shares(runs)))]
    if first:
        parts += [_table("First token of a 512-token prompt; memory", list(_first(first)))]
    parts += [as_markdown({"kernels": found[key]["kernels"]}) for key in ("kernels",) if key in found]
    parts += [as_markdown({"context": found[key]["context"]}) for key in ("context",) if key in found]
    if "busy" in found:
        parts += [
            _table(
                "While another process keeps a processor busy: decode, tokens per second", list(_busy(found["busy"]))
            )
        ]
    parts += [_table("What was to be reached", [("", "measured", "must", "aim", ""), *_goals(found, runs, first)])]
    return "\n\n".join(parts)


def _table(title: str, rows: list[tuple[str, ...]]) -> str:
    lines = [f"| {' | '.join(row)} |" for row in rows]
    return "\n".join([f"### {title}", "", lines[0], "|" + "---|" * len(rows[0]), *lines[1:]])


def _machine(found: Found) -> str:
    """Of all lines together: they may have been measured one after another on several days."""
    machines = [result["machine"] for result in found.values() if "machine" in result]
    if not machines:
        return "Nothing has been measured yet."
    known = machines[0]
    used = [m["used_by_others"] for m in machines]
    used += [count for result in found.values() for run in result.get("runs", ()) for count in run["used_by_others"]]
    known_used = [count for count in used if count is not None]
    dates = sorted(m["date"][:16].replace("T", " ") for m in machines)
    peers = {
        run["peer"]["settings"].split(",")[0] for r in found.values() for run in r.get("runs", ()) if "peer" in run
    }
    others = f"; other processes used {min(known_used):.1f} to {max(known_used):.1f} processors" if known_used else ""
    return (
        f"{known['processor']}, {known['usable_cores']} processors, {known['kernels']} kernels; {known['system']}; "
        f"rookery {known['rookery']}, Python {known['python']}, numpy {known['numpy']}, {', '.join(sorted(peers))}; "
        f"{dates[0]} to {dates[-1]} UTC{others}."
    )


def _against(runs: dict[str, Run]) -> Iterator[tuple[str, ...]]:
    batches = list(next(iter(runs.values()))["batched"])
    yield ("model", "threads", "prefill", "decode", *(f"{batch} sequences" for batch in batches))
    for key, run in runs.items():
        if "ratios" in run:
            pairs = [_pair(run, "prefill"), _pair(run, "decode"), *(_batch(run, batch) for batch in batches)]
            yield (key.rsplit(" ", 1)[0], str(run["threads"]), *pairs)


def _pair(run: Run, metric: str) -> str:
    return f"{run[metric]['median']:.0f} / {run['peer'][metric]['median']:.0f} = {run['ratios'][metric]:.2f}"


def _batch(run: Run, batch: str) -> str:
    ours, theirs = run["batched"][batch]["median"], run["peer"]["batched"][batch]["median"]
    return f"{ours:.0f} / {theirs:.0f} = {run['ratios']['batched'][batch]:.2f}"


def _shares(runs: dict[str, Run]) -> Iterator[tuple[str, ...]]:
    yield ("model", "threads", "MB per token", "tokens/s", "reading, GB/s", "share", "int8, GOP/s", "prefill's share")
    for key, run in runs.items():
        yield (
            key.rsplit(" ", 1)[0],
            str(run["threads"]),
            f"{run['bytes_per_token'] / 1e6:.0f}",
            f"{run['decode']['median']:.1f}",
            f"{run['read_bytes_per_s']['median'] / 1e9:.1f}",
            f"{run['shares']['decode']['of_read']:.0%}",
            f"{run['int8_ops_per_s']['median'] / 1e9:.0f}",
            f"{run['shares']['prefill']['of_int8']:.0%}",
        )


def _first(first: dict[str, dict[str, Any]]) -> Iterator[tuple[str, ...]]:
    yield ("model", "threads", "start", "load", "prefill", "first token", "resident", "weights +", "packed +, private")
    for key, found in first.items():
        for run in found["runs"]:
            seconds = (f"{run[part]['median']:.2f} s" for part in ("start_s", "load_s", "prefill_s", "total_s"))
            memory = (f"{number / 2**20:.0f} MiB" for number in _memory(run))
            yield (key.removesuffix(" first token"), str(run["threads"]), *seconds, *memory)


def _memory(run: Run) -> tuple[float, float, float]:
    """Resident after decoding; beyond all weights; without mapped files beyond the packed ones."""
    memory = run["memory"]["decoded"]
    weights = run["packed_bytes"] + run["embedding_bytes"]
    return memory["now"], memory["now"] - weights, memory["anonymous"] - run["packed_bytes"]


def _busy(found: dict[str, Any]) -> Iterator[tuple[str, ...]]:
    keys = [key for key in next(iter(found["programs"].values())) if key != "ratio"]
    yield (
        "",
        *(key.replace("_", ", ") + (" thread" if key.endswith("_1") else " threads") for key in keys),
        "busy, all / one",
    )
    for name, row in found["programs"].items():
        yield (name, *(f"{row[key]['median']:.1f}" for key in keys), f"{row['ratio']:.2f}")


# ---------------------------------------------------------------- goals


def _goals(found: Found, runs: dict[str, Run], first: dict[str, dict[str, Any]]) -> Iterator[tuple[str, ...]]:
    """One row for each that something was measured for."""
    one = [run for run in runs.values() if run["threads"] == 1 and "ratios" in run]
    more = [run for run in runs.values() if run["threads"] > 1 and "ratios" in run]
    ratio = "of llama.cpp, geometric mean"
    yield from _goal(f"decode, 1 thread, Q8_0 and Q4_K, {ratio}", _mean(one, _decode, "Q8_0", "Q4_K"), 1.5, 2)
    yield from _goal(f"decode, 2 threads, Q8_0 and Q4_K, {ratio}", _mean(more, _decode, "Q8_0", "Q4_K"), 1.6, 2.3)
    yield from _goal("decode above 1B, share of reading, the least", _least(runs, lambda p: p > LARGE), 0.85, 0.95)
    yield from _goal("decode of 0.1B, share of reading, the least", _least(runs, lambda p: p < SMALL), 0.75, 0.90)
    yield from _goal(f"prefill, Q8_0, {ratio}", _mean(one + more, _prefill, "Q8_0"), 2.5, 3.3)
    yield from _goal(f"prefill, Q4_K and Q5_K, {ratio}", _mean(one + more, _prefill, "Q4_K", "Q5_K"), 1.4, 1.7)
    yield from _goal(f"8 and 32 sequences, {ratio}", _mean(one + more, _batched, "Q8_0", "Q4_K", "Q5_K"), 2.2, 3.5)
    for name, must, aim in (("Q8_0", 0.70, 0.78), ("Q4_K", 0.62, 0.70)):
        yield from _goal(f"product of 480 tokens, {name}, share of int8, the least", _kernel(found, name), must, aim)
    busy = found["busy"]["programs"]["rookery"]["ratio"] if "busy" in found else None
    yield from _goal("2 threads beside a busy process, of 1 thread", busy, 0.8, 1)
    large = [_memory(run) for f in first.values() for run in f["runs"] if run["parameters"] > LARGE]
    yield from _goal(
        "resident above 1B, MiB beyond the weights", _most(beyond / 2**20 for _, beyond, _ in large), -96, None
    )
    medium = [
        f["runs"][-1]["total_s"]["median"]
        for f in first.values()
        if SMALL < f["runs"][-1]["parameters"] < LARGE and f["runs"][-1]["format"] == "Q8_0"
    ]
    yield from _goal("first token, 0.4B Q8_0, seconds", _most(medium), -2.5, -1.2)


def _goal(what: str, measured: float | None, must: float, aim: float | None) -> Iterator[tuple[str, ...]]:
    """must, aim: at least so much; if negative, at most."""
    if measured is None:
        return
    sign = 1 if must > 0 else -1
    kept = "aim" if aim is not None and sign * measured >= aim else "must" if sign * measured >= must else "short"
    yield (what, f"{measured:.2f}", f"{abs(must):g}", "" if aim is None else f"{abs(aim):g}", kept)


def _mean(runs: list[Run], ratios: Callable[[Run], list[float]], *formats: str) -> float | None:
    found = [ratio for run in runs if run["format"] in formats for ratio in ratios(run)]
    return math.exp(sum(map(math.log, found)) / len(found)) if found else None


def _decode(run: Run) -> list[float]:
    return [run["ratios"]["decode"]]


def _prefill(run: Run) -> list[float]:
    return [run["ratios"]["prefill"]]


def _batched(run: Run) -> list[float]:
    return list(run["ratios"]["batched"].values())


def _least(runs: dict[str, Run], chosen: Callable[[int], bool]) -> float | None:
    return min((run["shares"]["decode"]["of_read"] for run in runs.values() if chosen(run["parameters"])), default=None)


def _most(values: Any) -> float | None:
    return max(values, default=None)


def _kernel(found: Found, name: str) -> float | None:
    if "kernels" not in found:
        return None
    rows = [run["formats"][name]["tokens"] for run in found["kernels"]["kernels"]["runs"] if name in run["formats"]]
    return min((list(row.values())[-1]["of_int8"] for row in rows), default=None)
