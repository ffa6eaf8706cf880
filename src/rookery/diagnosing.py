"""
Is this installation sound?  Each check says what it found, and what to do where something is wrong.

For `rookery doctor`.  A check never raises: what goes wrong is its result.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import os
import platform
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

__all__ = ["EXTRAS", "Check", "diagnose", "processor"]

# extra: what it is for, and the modules it needs.
EXTRAS = {
    "pile": ("the tokenizer of the Pile models", ("tokenizers",)),
    "plot": ("rookery bench --plot", ("matplotlib",)),
    "peers": ("rookery bench --against rwkv or llama.cpp", ("torch", "rwkv", "llama_cpp")),
}
_REQUIRED = ("numpy", "click", "rich", "prompt_toolkit", "platformdirs", "pyrwkv-tokenizer")

_TEXT = "The Eiffel Tower is in the city of 巴黎"
_IDS = (6699, 304, 25740, 109, 37480, 4600, 4596, 22590, 30449, 4706, 33, 12147, 18435)  # by the official tokenizer


@dataclass(frozen=True, slots=True)
class Check:
    """One finding.  ok: True, False, or None for mere information."""

    name: str
    found: str
    ok: bool | None = None


def diagnose() -> Iterator[Check]:
    """Every check, in the order they are worth reading."""
    yield from (_rookery(), _python(), _machine())
    yield from _packages()
    for name, check in _CHECKS.items():
        yield _guarded(name, check)
    yield from _extras()


def _guarded(name: str, check: Callable[[], Check]) -> Check:
    try:
        return check()
    except Exception as error:  # whatever breaks is a finding
        return Check(name, f"{type(error).__name__}: {error}", False)


def _rookery() -> Check:
    from rookery import __version__

    return Check("rookery", f"{__version__} in {Path(__file__).parent}")


def _python() -> Check:
    ok = sys.version_info >= (3, 11)
    return Check("python", f"{platform.python_version()} ({sys.executable})" + ("" if ok else "; 3.11 is needed"), ok)


def _machine() -> Check:
    return Check("machine", f"{platform.system()} {platform.release()}, {platform.machine()}, {processor()}")


def processor() -> str:
    """What the processor calls itself."""
    info = _cpuinfo()
    return info.get("model name") or platform.processor() or "unknown processor"


def _cpuinfo() -> dict[str, str]:
    """The first processor in /proc/cpuinfo; nothing where there is no such file."""
    try:
        text = Path("/proc/cpuinfo").read_text(errors="replace").split("\n\n")[0]
    except OSError:
        return {}
    pairs = (line.split(":", 1) for line in text.splitlines() if ":" in line)
    return {key.strip(): value.strip() for key, value in pairs}


def _packages() -> Iterator[Check]:
    for name in _REQUIRED:
        try:
            yield Check(name, importlib.metadata.version(name), True)
        except importlib.metadata.PackageNotFoundError:
            yield Check(name, f"absent; install it with: pip install {name}", False)


def _kernels() -> Check:
    from rookery import _native

    tables = list(_native.kernel_tables())
    forced = os.environ.get("ROOKERY_CPU")
    features = _cpuinfo().get("flags", _cpuinfo().get("Features", "")).split()
    known = ("avx2", "fma", "f16c", "avx512f", "avx512_vnni", "avx512_bf16", "asimd", "asimddp")
    has = " ".join(name for name in known if name in features) or "unknown"
    text = f"{tables[0]} (of {', '.join(tables)}); processor features: {has}"
    if forced and forced not in tables:
        return Check("kernels", f"ROOKERY_CPU={forced}, but this processor runs {', '.join(tables)}", False)
    return Check("kernels", text + (f"; forced by ROOKERY_CPU={forced}" if forced else ""), True)


def _threads() -> Check:
    from rookery import _native

    affinity = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    use = _native.usable_processors()
    return Check("threads", f"{use} used; {os.cpu_count()} processors, {affinity} allowed, cgroup quota {_quota()}")


def _quota() -> str:
    """The cgroup's share of processors, where it is limited."""
    try:
        quota, period = Path("/sys/fs/cgroup/cpu.max").read_text().split()
        return "none" if quota == "max" else f"{int(quota) / int(period):g}"
    except (OSError, ValueError):
        return "unknown"


def _memory() -> Check:
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
    except OSError:
        return Check("memory", "unknown")
    kib = {line.split(":")[0]: int(line.split()[1]) for line in lines if len(line.split()) > 1}
    return Check("memory", f"{kib['MemTotal'] / 2**20:.1f} GiB, {kib['MemAvailable'] / 2**20:.1f} GiB available")


def _cache() -> Check:
    import platformdirs

    folder = Path(platformdirs.user_cache_dir("rookery"))
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            return Check("tokenizer cache", str(folder), True)
    except OSError as error:
        why = f"{folder} cannot be written ({error.strerror}); vocabularies are parsed anew every time"
        return Check("tokenizer cache", why)


def _vocabulary() -> Check:
    from rookery.tokenizer import world

    ids = tuple(world().encode(_TEXT))
    back = world().decode(ids) == _TEXT
    if ids != _IDS or not back:
        return Check("tokenization", f"{_TEXT!r} became {ids}; reinstall rookery", False)
    return Check("tokenization", f"World vocabulary, {world().vocab_size} ids, as the official one", True)


def _mathematics() -> Check:
    """Tiny random models of every version, every kernel table, against the float64 oracle."""
    from rookery import _native
    from rookery.config import VERSIONS

    tables = list(_native.kernel_tables())
    for table in tables:
        for version in VERSIONS:
            wrong = _differs(version, table)
            if wrong:
                return Check("mathematics", f"RWKV-{version} with {table} kernels: {wrong}; reinstall rookery", False)
    return Check("mathematics", f"RWKV {', '.join(VERSIONS)} with {', '.join(tables)}: as the float64 oracle", True)


def _differs(version: str, table: str) -> str | None:
    """Where the native executor leaves the oracle, in words."""
    from rookery.formats.check import checked
    from rookery.initialise import make_config, random_model
    from rookery.layout import StateLayout
    from rookery.ops.oracle import first_difference
    from rookery.parameters import parameters

    sizes = make_config(version, layers=2, width=48, vocab=61, ffn=80, head_size=16)
    checkpoint = checked(random_model(sizes, seed=3))
    config = checkpoint.config
    assert config is not None
    p = parameters(config, checkpoint.tensors)
    tokens = [7 * i % config.vocab for i in range(9)]
    with _forced(table):
        found = first_difference(StateLayout(config), p, tokens)
    return f"{found.op} is off by {found.error:.2g}" if found else None


@contextmanager
def _forced(table: str) -> Iterator[None]:
    before = os.environ.get("ROOKERY_CPU")
    os.environ["ROOKERY_CPU"] = table
    try:
        yield
    finally:
        os.environ.pop("ROOKERY_CPU")
        if before is not None:
            os.environ["ROOKERY_CPU"] = before


def _extras() -> Iterator[Check]:
    for name, (purpose, modules) in EXTRAS.items():
        missing = [module for module in modules if importlib.util.find_spec(module) is None]
        if missing:
            hint = f"absent ({', '.join(missing)}): {purpose}; install with: pip install 'rookery[{name}]'"
            yield Check(f"extra {name}", hint)
        else:
            yield Check(f"extra {name}", f"present: {purpose}", True)


_CHECKS: dict[str, Callable[[], Check]] = {
    "kernels": _kernels,
    "threads": _threads,
    "memory": _memory,
    "tokenizer cache": _cache,
    "tokenization": _vocabulary,
    "mathematics": _mathematics,
}
