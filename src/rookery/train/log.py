"""The log of a run: one JSON object a line, and what a resumed run does with lines from beyond its checkpoint."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

__all__ = ["LOG", "Log", "read_log"]

LOG = "log.jsonl"  # in the folder of a run


class Log:
    """Appends to `path`.  Lines of steps after `step` are from a run that was cut off: they go.

    path: None writes nothing: another process does.
    """

    def __init__(self, path: Path | None, step: int) -> None:
        if path is not None:
            _cut_off(path, step)
        self._file = open(path or os.devnull, "a", buffering=1)  # noqa: SIM115

    def write(self, **values: Any) -> None:
        """One line; it must have a `step`."""
        self._file.write(json.dumps(values) + "\n")

    def close(self) -> None:
        self._file.close()


def _cut_off(path: Path, step: int) -> None:
    kept = [line for line in read_log(path) if line["step"] <= step]
    partial = path.with_name(path.name + ".partial")
    partial.write_text("".join(json.dumps(line) + "\n" for line in kept))
    os.replace(partial, path)


def read_log(path: Path) -> Iterator[dict[str, Any]]:
    """The lines of a log; what a crash left half-written at its end is passed over."""
    if not path.exists():
        return
    with open(path) as file:
        for line in file:
            try:
                values = json.loads(line)
            except ValueError:
                continue
            if isinstance(values, dict) and "step" in values:
                yield values
