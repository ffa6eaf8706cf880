"""Where and when something was measured: a figure without that is a hope."""

from __future__ import annotations

import datetime
import os
import platform
import shlex
import sys
from typing import Any

import numpy as np

__all__ = ["BUSY", "load_average", "machine"]

BUSY = 0.5  # load average from which figures are provisional


def machine() -> dict[str, Any]:
    """Processor, kernel table, versions, the command and the time, for people to repeat it."""
    from rookery import __version__, _native
    from rookery.diagnosing import processor

    load = load_average()
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
        "busy": load is not None and load > BUSY,
    }


def load_average() -> float | None:
    """Processes that wanted a processor, on average over the last minute; None where the system does not tell."""
    return os.getloadavg()[0] if hasattr(os, "getloadavg") else None


def _memory() -> int | None:
    names = getattr(os, "sysconf_names", {})
    if "SC_PHYS_PAGES" not in names or "SC_PAGE_SIZE" not in names:
        return None
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
