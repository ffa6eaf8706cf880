"""What `rookery bench` measured, in sections of facts and tables: for a terminal, or for a page."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import click

from rookery.cli.tables import human_bytes, print_facts, print_table

__all__ = ["Section", "Table", "as_markdown", "print_section", "sections"]

Facts = list[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class Table:
    """Column headings and rows of text."""

    columns: Sequence[str]
    rows: Sequence[Sequence[str]]


@dataclass(frozen=True, slots=True)
class Section:
    """What belongs together: label and value pairs, then tables."""

    title: str
    facts: Facts = field(default_factory=list)
    tables: Sequence[Table] = ()


def sections(found: dict[str, Any]) -> Iterator[Section]:
    """Everything that was measured, in the order it is worth reading.  Parts that were not asked for are left out."""
    if "machine" in found:
        yield _machine(found["machine"])
    for run in found.get("runs", ()):
        tables = [Table(("", "minimum", "median", "maximum", "unit", "share"), list(_speeds(run)))]
        tables += _profile_tables(run["profile"]) if "profile" in run else []
        yield Section(_threads(run["threads"]), _facts(run), tables)
    if "first_token" in found:
        yield _first_token(found["first_token"])
    if "kernels" in found:
        yield from _kernels(found["kernels"])
    if "context" in found:
        yield _context(found["context"])


def print_section(section: Section) -> None:
    """On stdout, for people."""
    click.echo(click.style(section.title, bold=True))
    print_facts(section.facts)
    for table in section.tables:
        click.echo()
        print_table(table.columns, table.rows)
    click.echo()


def as_markdown(found: dict[str, Any]) -> str:
    """All of it as a part of a page."""
    parts = []
    for section in sections(found):
        parts.append(f"### {section.title[0].upper()}{section.title[1:]}")
        if facts := [f"- {label}: {value}" for label, value in section.facts if value]:
            parts.append("\n".join(facts))
        parts += [_markdown(table) for table in section.tables]
    return "\n\n".join(parts)


def _markdown(table: Table) -> str:
    lines = [f"| {' | '.join(table.columns)} |", "|" + "---|" * len(table.columns)]
    lines += [f"| {' | '.join(cell.replace('|', ' ') for cell in row)} |" for row in table.rows]
    return "\n".join(lines)


def _machine(where: dict[str, Any]) -> Section:
    load = "" if where["load_average"] is None else f"{where['load_average']:.1f} on average in the last minute"
    busy = ": these figures are provisional" if where["busy"] else ""
    cores = f"{where['usable_cores']} of {where['cores']} processors"
    facts = [
        ("processor", f"{where['processor']}, {cores}, {where['kernels']} kernels"),
        (
            "versions",
            f"rookery {where['rookery']}, Python {where['python']}, numpy {where['numpy']}, {where['system']}",
        ),
        ("measured", f"{where['date']} by: {where['command']}"),
        ("machine's load", load),
        ("used by others", f"{_used([where['used_by_others']])}{busy}"),
    ]
    return Section("machine", facts)


def _used(processors: Sequence[float | None]) -> str:
    known = [f"{count:.1f}" for count in processors if count is not None]
    return f"{' and '.join(known)} processors" if known else ""


# ---------------------------------------------------------------- runs


def _threads(count: int) -> str:
    return f"{count} thread{'s' * (count != 1)}"


def _facts(run: dict[str, Any]) -> Facts:
    memory = run["memory"]
    facts = [
        ("model", run["model"]),
        ("threads", f"{run['threads']}, {run['kernels']} kernels"),
        (
            "used by others",
            f"{_used(run['used_by_others'])} before and after" if None not in run["used_by_others"] else "",
        ),
        ("loaded in", f"{run['load_s']:.2f} s"),
        (
            "weights",
            f"{human_bytes(run['packed_bytes'])}, and {human_bytes(run['embedding_bytes'])} of embedding in the file",
        ),
        ("resident", f"{_resident(run)} after decoding" if "now" in memory["decoded"] else ""),
        ("read per token", f"{human_bytes(run['bytes_per_token'])}, {run['decode_bytes_per_s'] / 1e9:.1f} GB/s"),
        ("multiplied per token", _operations(run["integer_operations"]["token"])),
        ("state", f"{human_bytes(run['state_bytes'])} per conversation, constant"),
    ]
    return facts + (_peer_facts(run) if "ratios" in run else [])


def _resident(run: dict[str, Any]) -> str:
    """What the process holds, and what of that is more than the weights."""
    memory = run["memory"]["decoded"]
    weights = run["packed_bytes"] + run["embedding_bytes"]
    private = memory["anonymous"] - run["packed_bytes"]
    return (
        f"{human_bytes(memory['now'])} (weights {'+' if memory['now'] >= weights else '-'} "
        f"{human_bytes(abs(memory['now'] - weights))}; without mapped files: packed + {human_bytes(private)})"
    )


def _operations(count: float) -> str:
    return f"{count / 1e9:.3g} billion int8 operations" if count else "nothing in int8"


def _peer_facts(run: dict[str, Any]) -> Facts:
    peer, ratios = run["peer"], run["ratios"]
    speeds = {"prefill": ratios["prefill"], "decode": ratios["decode"]}
    speeds |= {f"decode, batch {batch}": ratio for batch, ratio in ratios["batched"].items()}
    return [
        (peer["name"], f"{peer['settings']}; {_threads(peer['threads'])}"),
        *((metric, f"{ratio:.2f} times the speed of {peer['name']} (medians)") for metric, ratio in speeds.items()),
        ("logits", f"differ by {peer['logits_difference']:.1e} of the largest"),
    ]


def _speeds(run: dict[str, Any]) -> Iterator[tuple[str, ...]]:
    shares = run["shares"]
    yield _speed("prefill", run["prefill"], _share(shares["prefill"]))
    yield _speed("decode", run["decode"], _share(shares["decode"]))
    for batch, spread in run["batched"].items():
        yield _speed(f"decode, batch {batch}", spread, _share(shares["batched"][batch]))
    if "ratios" in run:
        yield from _peer_speeds(run["peer"])
    yield _speed("reading memory", run["read_bytes_per_s"], "", 1e9, "GB/s")
    yield _speed("int8 products", run["int8_ops_per_s"], "", 1e9, "GOP/s")


def _peer_speeds(peer: dict[str, Any]) -> Iterator[tuple[str, ...]]:
    spreads = {"prefill": peer["prefill"], "decode": peer["decode"]}
    spreads |= {f"decode, batch {batch}": spread for batch, spread in peer["batched"].items()}
    for metric, spread in spreads.items():
        which = f" ({spread['configuration']})" if "configuration" in spread else ""
        yield _speed(f"{peer['name']} {metric}{which}", spread)


def _speed(
    name: str, spread: dict[str, Any], share: str = "", scale: float = 1, unit: str = "tokens/s"
) -> tuple[str, ...]:
    return (name, *(f"{spread[key] / scale:.1f}" for key in ("min", "median", "max")), unit, share)


def _share(shares: dict[str, float]) -> str:
    names = {"of_read": "reading", "of_int8": "int8"}
    return ", ".join(f"{share:.0%} of {names[of]}" for of, share in shares.items() if share)


# ---------------------------------------------------------------- where the time goes


def _profile_tables(found: dict[str, Any]) -> list[Table]:
    waited = found["waiting"]["barriers"] + found["waiting"]["join"]
    total = sum(row["ns"] for row in found["ops"].values()) + waited or 1
    rows = [(name, str(row["count"]), *_time(row["ns"], total)) for name, row in found["ops"].items()]
    rows.append(("waiting at barriers", "", *_time(found["waiting"]["barriers"], total)))
    rows.append(("waking, joining", "", *_time(found["waiting"]["join"], total)))
    layers = [(name, *_time(ns, total)) for name, ns in found["layers"].items()]
    products = ("matrix", "count", "format", "MiB", "us per token", "share", "GB/s")
    return [
        Table(("op", "count", "us per token", "share"), rows),
        Table(("layer", "us per token", "share"), layers),
        Table(products, list(_matrices(found["matrices"], total))),
    ]


def _time(ns: float, total: float) -> tuple[str, str]:
    return f"{ns / 1000:.1f}", f"{ns / total:.1%}"


def _matrices(matrices: dict[str, dict[str, Any]], total: float) -> Iterator[tuple[str, ...]]:
    """Those of all layers that do the same together; the most expensive first."""
    kinds: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for name, row in matrices.items():
        kinds.setdefault((re.sub(r"^blocks\.\d+\.", "", name).removesuffix(".weight"), row["format"]), []).append(row)
    for (name, format), rows in sorted(kinds.items(), key=lambda item: -sum(row["ns"] for row in item[1])):
        ns, nbytes = sum(row["ns"] for row in rows), sum(row["bytes"] for row in rows)
        known = [row for row in rows if row["bytes_per_s"]]
        seconds = sum(row["bytes"] / row["bytes_per_s"] for row in known)
        speed = f"{sum(row['bytes'] for row in known) / seconds / 1e9:.1f}" if known else ""
        yield (name, str(len(rows)), format, f"{nbytes / 2**20:.1f}", *_time(ns, total), speed)


# ---------------------------------------------------------------- the rest


def _first_token(found: dict[str, Any]) -> Section:
    columns = ("threads", "start", "load", "prefill", "first token", "resident")
    rows = []
    for run in found["runs"]:
        times = (f"{run[part]['median']:.3f} s" for part in ("start_s", "load_s", "prefill_s", "total_s"))
        rows.append((str(run["threads"]), *times, _resident(run) if "now" in run["memory"]["decoded"] else ""))
    return Section(
        f"from the start of the process to the first token after {found['prompt_tokens']}", [], [Table(columns, rows)]
    )


def _kernels(found: dict[str, Any]) -> Iterator[Section]:
    for run in found["runs"]:
        reading, int8 = run["read_bytes_per_s"]["median"] / 1e9, run["int8_ops_per_s"]["median"] / 1e9
        facts = [("reading memory", f"{reading:.1f} GB/s"), ("int8 products", f"{int8:.0f} GOP/s")]
        counts = found["tokens"]
        columns = (
            "format",
            "streamed, GB/s",
            "of reading",
            "in cache, GB/s",
            *(f"{c} tokens, GOP/s" for c in counts),
            "of int8",
        )
        rows = [_kernel(name, row) for name, row in run["formats"].items()]
        rows_, cols = found["shape"]
        title = f"products with matrices of {rows_} x {cols}: {_threads(run['threads'])}, {run['kernels']} kernels"
        yield Section(title, facts, [Table(columns, rows)])


def _kernel(name: str, row: dict[str, Any]) -> tuple[str, ...]:
    many = [f"{found['ops_per_s']['median'] / 1e9:.0f}" for found in row["tokens"].values()]
    last = list(row["tokens"].values())[-1]["of_int8"]
    return (
        name,
        f"{row['streamed']['bytes_per_s']['median'] / 1e9:.1f}",
        f"{row['streamed']['of_read']:.0%}",
        f"{row['cached']['bytes_per_s']['median'] / 1e9:.1f}",
        *many,
        f"{last:.0%}" if last else "",
    )


def _context(found: dict[str, Any]) -> Section:
    programs = found["programs"]
    columns = ["tokens read"]
    for name in programs:
        columns += [f"{name}: MiB", "ms per token, best", "median"]
    rows = []
    for number, length in enumerate(found["lengths"]):
        row = [str(length)]
        for program in programs.values():
            point = program["points"][number]
            row += [
                f"{point['resident_bytes'] / 2**20:.0f}",
                *(f"{1000 * point[k]:.2f}" for k in ("token_s", "median_token_s")),
            ]
        rows.append(row)
    facts = [(name, program["about"]) for name, program in programs.items()]
    return Section("memory and time per token, by the length of the context", facts, [Table(columns, rows)])
