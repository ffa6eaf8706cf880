"""The loss of runs as a picture."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from rookery.errors import MissingExtra, SettingsError
from rookery.train.log import LOG, read_log

__all__ = ["draw"]

_SMOOTH = 50  # points a curve is averaged over, at most


def draw(runs: Sequence[Path], picture: Path) -> None:
    """The training loss, averaged over stretches, and the validation loss of each run, against tokens read.

    runs: folders of runs.  picture: .png, .svg or .pdf.
    MissingExtra without matplotlib; SettingsError for a folder without a log or with an empty one.
    """
    try:
        from matplotlib.figure import Figure
    except ImportError:
        raise MissingExtra("a plot needs matplotlib: pip install 'rookery[plot]'") from None
    figure = Figure(figsize=(7, 4), layout="constrained")
    axes = figure.subplots()
    for i, folder in enumerate(runs):
        tokens, losses, checked = _curves(folder)
        colour = f"C{i}"
        axes.plot(tokens, losses, color=colour, alpha=0.35, linewidth=1)
        axes.plot(*_averaged(tokens, losses), color=colour, label=f"{folder.name}: training")
        if len(checked):
            axes.plot(
                checked[:, 0], checked[:, 1], color=colour, linestyle="--", marker=".", label=f"{folder.name}: held out"
            )
    axes.set_xlabel("million tokens read")
    axes.set_ylabel("loss, nats per token")
    axes.grid(alpha=0.3)
    axes.legend(frameon=False)
    try:
        figure.savefig(picture, dpi=150)
    except (OSError, ValueError) as error:
        raise SettingsError(f"{picture}: cannot be drawn ({error}); expected a name such as loss.png") from None


def _curves(folder: Path) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Million tokens after each step, its loss; (million tokens, loss) of each validation."""
    tokens, losses, checked, read = [], [], [], 0
    for line in read_log(folder / LOG):
        if "validation" in line:
            checked.append((read / 1e6, line["validation"]))
        elif not line.get("skipped"):
            read += line["tokens"]
            tokens.append(read / 1e6)
            losses.append(line["loss"])
    if not losses:
        raise SettingsError(f"{folder}: holds no log of a run; give the folder that rookery train wrote")
    return np.asarray(tokens), np.asarray(losses), np.asarray(checked).reshape(-1, 2)


def _averaged(x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Means over stretches of equal length."""
    stretch = max(1, min(_SMOOTH, len(y) // 20))
    whole = len(y) // stretch * stretch
    return x[:whole].reshape(-1, stretch).mean(1), y[:whole].reshape(-1, stretch).mean(1)
