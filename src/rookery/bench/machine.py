"""Where and when something was measured: a figure without that is a hope."""

from __future__ import annotations

import datetime
import os
import platform
import shlex
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

__all__ = ["load_average", "machine", "used_by_others"]

_BUSY = 0.1  # processors that others use, from which figures are provisional
_BUSY_LOAD = 0.5  # the same for the load average, where the first is not known
_LOOK_S = 0.2


def machine() -> dict[str, Any]:
    """Processor, kernel table, versions, the command and the time, for people to repeat it."""
    from rookery import __version__, _native
    from rookery.diagnosing import processor

    load, others = load_average(), used_by_others()
    return {
        "processor": processor(),
        "cores": os.cpu_count(),
        "usable_cores": int(_native.usable_processors()),
        "kernels": os.environ.get("ROOKERY_CPU") or _native.kernel_tables()[0],
        "memory_bytes": _memory(),
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
        "python": platform.python_version(),
        "numpy": np.__version__,
        "rookery": __version__,
        "command": shlex.join(["rookery", *sys.argv[1:]]),
        "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "load_average": load,
        "used_by_others": others,
        "busy": others > _BUSY if others is not None else load is not None and load > _BUSY_LOAD,
    }


def load_average() -> float | None:
    """Processes that wanted a processor, on average over the last minute; None where the system does not tell."""
    return os.getloadavg()[0] if hasattr(os, "getloadavg") else None


def used_by_others() -> float | None:
    """How many processors other processes are using just now, while this one sleeps; what a host takes from its guest
    included.  None where there is no /proc."""
    before = _busy_ticks()
    time.sleep(_LOOK_S)
    after = _busy_ticks()
    if before is None or after is None:
        return None
    return float(round((after - before) / os.sysconf("SC_CLK_TCK") / _LOOK_S, 2))


def _busy_ticks() -> int | None:
    try:
        user, nice, system, _, _, *others = map(int, Path("/proc/stat").read_text().split("\n")[0].split()[1:9])
    except (OSError, ValueError):
        return None
    return user + nice + system + sum(others)


def _memory() -> int | None:
    names = getattr(os, "sysconf_names", {})
    if "SC_PHYS_PAGES" not in names or "SC_PAGE_SIZE" not in names:
        return None
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
