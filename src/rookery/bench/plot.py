"""The picture of `rookery.bench.context`: what grows with the context and what does not."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

from rookery.errors import MissingExtra, SettingsError

__all__ = ["SUFFIXES", "check_plot", "plot"]

SUFFIXES = (".svg", ".png", ".pdf")
_COLOURS = {"rookery": "#0b6e4f", "transformer": "#b5541c"}
_NAMES = {"rookery": "RWKV in Rookery", "transformer": "transformer in llama.cpp"}


def check_plot(path: Path) -> None:
    """What can be said before anything is measured: MissingExtra without matplotlib, SettingsError for the path."""
    if importlib.util.find_spec("matplotlib") is None:
        raise MissingExtra("a plot needs matplotlib; install it with: pip install 'rookery[plot]'")
    if path.suffix.lower() not in SUFFIXES:
        raise SettingsError(f"--plot is {path}; expected a name that ends in {', '.join(SUFFIXES)}")
    if not path.absolute().parent.is_dir():
        raise SettingsError(f"--plot is {path}; there is no folder {path.absolute().parent}")


def plot(found: dict[str, Any], path: Path) -> None:
    """Draw what `contexts` found: resident memory and time per token, side by side."""
    import matplotlib

    matplotlib.use("Agg")
    matplotlib.rcParams.update({"svg.fonttype": "path", "font.size": 10, "svg.hashsalt": "rookery"})
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9.0, 3.6), layout="constrained")
    memory, time = figure.subplots(1, 2)
    _panel(memory, found, "resident_bytes", 2.0**-20, "resident memory, MiB")
    _panel(time, found, "token_s", 1e3, "time per token, ms (best of 32)")
    handles, labels = memory.get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper center", ncols=len(labels), frameon=False)
    metadata = {"Date": None} if path.suffix.lower() == ".svg" else None  # the same figures, the same file
    figure.savefig(path, dpi=160, metadata=metadata)


def _panel(axes: Any, found: dict[str, Any], key: str, scale: float, label: str) -> None:
    lengths, highest = found["lengths"], 0.0
    for name, program in found["programs"].items():
        values = [point[key] * scale for point in program["points"]]
        highest = max(highest, *values)
        axes.plot(lengths, values, "o-", color=_COLOURS[name], label=_NAMES[name], markersize=4, linewidth=1.8)
        axes.annotate(
            f"{values[-1]:.3g}" if values[-1] < 1000 else f"{values[-1]:.0f}",
            (lengths[-1], values[-1]),
            xytext=(6, 0),
            textcoords="offset points",
            va="center",
            color=_COLOURS[name],
        )
    axes.set_xscale("log", base=2)
    axes.set_xticks(lengths, [_short(length) for length in lengths])
    axes.minorticks_off()
    axes.set_ylim(0, 1.1 * highest)  # flat lines at the very top would be cut through
    axes.margins(x=0.12)
    axes.set_xlabel("tokens read before")
    axes.set_title(label, loc="left", fontsize=10)
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(axis="y", color="#dddddd", linewidth=0.6)


def _short(count: int) -> str:
    """2048 -> "2k"."""
    return f"{count >> 10}k" if count >= 1024 and count % 1024 == 0 else str(count)
