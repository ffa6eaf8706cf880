"""How much memory this process holds."""

from __future__ import annotations

import contextlib
from pathlib import Path

__all__ = ["forget_peak", "resident_bytes"]


def resident_bytes() -> dict[str, int]:
    """{"now", "peak", "anonymous"}: bytes of the process in memory.

    "now" includes pages of mapped files, which the system may take back at any time; "anonymous" does not.  Only
    "peak" is known where there is no /proc.
    """
    try:
        lines = Path("/proc/self/status").read_text().splitlines()
    except OSError:
        return {"peak": _peak()}
    kib = {line.split(":")[0]: line.split()[1] for line in lines if line.endswith(" kB")}
    names = {"now": "VmRSS", "peak": "VmHWM", "anonymous": "RssAnon"}
    return {name: 1024 * int(kib[key]) for name, key in names.items() if key in kib}


def forget_peak() -> None:
    """Let "peak" begin anew, where the system can do that."""
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")


def _peak() -> int:
    import resource
    import sys

    used = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return used if sys.platform == "darwin" else 1024 * used
