"""Accuracy against length, a panel for each task and depth, a line for each model."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

__all__ = ["plot"]

_COLOURS = {
    "v7": "#0b6e4f",
    "v7:1+w": "#1b9e77",
    "v7:2": "#7fc97f",
    "v6": "#386cb0",
    "v5.2": "#80b1d3",
    "v4": "#984ea3",
    "transformer": "#b5541c",
}
_NAMES = {
    "v7": "RWKV-7",
    "v7:1+w": "RWKV-7, removal 1+w",
    "v7:2": "RWKV-7, removal 2",
    "v6": "RWKV-6",
    "v5.2": "RWKV-5",
    "v4": "RWKV-4",
    "transformer": "Transformer",
}
_DASHED = ("v7:1+w", "v7:2")
_COLUMNS = 3


def plot(entries: list[dict[str, Any]], path: Path) -> None:
    """Draw what `summary` gives."""
    import matplotlib

    matplotlib.use("Agg")
    matplotlib.rcParams.update({"svg.fonttype": "path", "font.size": 9, "svg.hashsalt": "rookery"})
    from matplotlib.figure import Figure

    panels: dict[tuple[str, int], list[dict[str, Any]]] = {}
    for entry in entries:
        panels.setdefault((entry["task"], entry["layers"]), []).append(entry)
    columns = min(_COLUMNS, len(panels))
    rows = math.ceil(len(panels) / columns)
    figure = Figure(figsize=(3.2 * columns + 0.6, 2.5 * rows + 0.7), layout="constrained")
    every = figure.subplots(rows, columns, squeeze=False).reshape(-1)
    for axes, ((name, layers), found) in zip(every, panels.items(), strict=False):
        _panel(axes, found, f"{name}, {layers} {'layer' if layers == 1 else 'layers'}")
    for axes in every[len(panels) :]:
        axes.set_axis_off()
    labels = {label: line for axes in every for line, label in zip(*axes.get_legend_handles_labels(), strict=True)}
    figure.legend(labels.values(), labels, loc="outside upper center", ncols=min(4, len(labels)), frameon=False)
    metadata = {"Date": None} if path.suffix.lower() == ".svg" else None  # the same figures, the same file
    figure.savefig(path, dpi=160, metadata=metadata)


def _panel(axes: Any, found: list[dict[str, Any]], title: str) -> None:
    lengths: list[int] = []
    for entry in found:
        model, lengths = entry["model"], [int(n) for n in entry["accuracy"]]
        style = "--" if model in _DASHED else "-"
        axes.plot(
            lengths,
            list(entry["accuracy"].values()),
            f"o{style}",
            color=_COLOURS[model],
            label=_NAMES[model],
            markersize=3,
            linewidth=1.5,
        )
    axes.axhline(found[0]["chance"], color="#999999", linewidth=0.8, linestyle=":")  # guessing
    axes.axvline(found[0]["trained"], color="#cccccc", linewidth=0.8)  # beyond it nothing was trained
    axes.set_xscale("log", base=2)
    axes.set_xticks(lengths, [str(n) for n in lengths])
    axes.minorticks_off()
    axes.set_ylim(0, 1.05)
    axes.set_title(title, loc="left", fontsize=9)
    axes.set_xlabel("length")
    axes.set_ylabel("right answers")
    axes.spines[["top", "right"]].set_visible(False)
