"""
The native core built without Python, for this processor and for others that qemu emulates.

Builds are kept in `build/check-PROCESSOR`; the first takes some 20 seconds, later ones what has changed.
"""

from __future__ import annotations

import functools
import os
import platform
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

__all__ = ["build", "emulated", "emulator", "need", "prefix", "python"]

REPOSITORY = Path(__file__).parents[1]
TOOLCHAIN = REPOSITORY / "cmake" / "aarch64-linux-gnu.cmake"


def need(tool: str, package: str) -> str:
    """The path of a program; the test is skipped where it is missing."""
    found = shutil.which(tool)
    if found is None:
        pytest.skip(f"needs {tool} (Debian: {package})")
    return found


def prefix(processor: str) -> str:
    """What the names of this processor's compiler and binutils begin with."""
    if processor == platform.machine():
        return ""
    if processor != "aarch64":
        pytest.skip(f"nothing here compiles for {processor}")
    need("aarch64-linux-gnu-g++", "g++-aarch64-linux-gnu")
    return "aarch64-linux-gnu-"


@functools.cache
def build(processor: str) -> Path:
    """The folder in which `core_check` and its objects are, up to date."""
    cmake, folder = need("cmake", "cmake"), REPOSITORY / "build" / f"check-{processor}"
    options = [f"-DCMAKE_TOOLCHAIN_FILE={TOOLCHAIN}"] if prefix(processor) else []
    if shutil.which("ninja"):
        options.append("-GNinja")
    source = ["-S", str(REPOSITORY), "-B", str(folder), "-DCMAKE_BUILD_TYPE=Release", "-DROOKERY_CHECK=ON"]
    for command in ([cmake, *source, *options], [cmake, "--build", str(folder), "--parallel", "2"]):
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-4000:]
    return folder


def emulator(processor: str, model: str) -> list[str]:
    """The words before a program's name that run it on a model of a processor."""
    library = ["-L", "/usr/aarch64-linux-gnu"] if prefix(processor) else []
    return [need(f"qemu-{processor}", "qemu-user"), *library, "-cpu", model]


@functools.cache
def emulated(processor: str, model: str, *arguments: str) -> str:
    """What `core_check` prints there."""
    command = [*emulator(processor, model), str(build(processor) / "core_check"), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, f"{done.returncode}: {done.stdout[-2000:]}{done.stderr[-2000:]}"
    return done.stdout


def python() -> tuple[str, dict[str, str]]:
    """The interpreter itself, without any script in front of it, and an environment that finds the same packages."""
    program = os.readlink("/proc/self/exe") if os.path.exists("/proc/self/exe") else sys.executable
    return program, {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
