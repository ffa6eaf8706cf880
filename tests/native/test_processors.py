"""
The native core on processors that are not at hand: every kernel against its formula, and the same bytes everywhere.

`core_check` (tests/native/check) runs natively, cross-compiled under qemu, and on emulated processors that lack the
instructions of the better tables: one of those reaching a table below would end the program.
"""

from __future__ import annotations

import functools
import platform
import re
import signal
import subprocess
from pathlib import Path

import pytest
from goldens import GOLDENS
from processors import build, emulated, emulator, need, prefix, python
from recording import record_golden

from rookery import _native

# processor, model, tables that it must run, the best first
MODELS = [
    ("x86_64", "Conroe", ["portable"]),  # no AVX at all
    ("x86_64", "SandyBridge", ["portable"]),  # AVX without AVX2
    ("x86_64", "Haswell", ["avx2", "portable"]),
    ("aarch64", "cortex-a53", ["portable"]),  # no dot products
    ("aarch64", "neoverse-n1", ["neon", "portable"]),
    ("aarch64", "max", ["neon", "portable"]),
]
ROUNDING = 5e-5  # of logits near 1, as in tests/test_versions.py


@functools.cache
def natively() -> str:
    """What `core_check` prints on this processor."""
    program = build(platform.machine()) / "core_check"
    done = subprocess.run([str(program)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
    return done.stdout


def checked(printed: str) -> list[str]:
    return re.findall(r"^checked (\w+)$", printed, re.MULTILINE)


def digests(printed: str) -> dict[str, str]:
    return dict(re.findall(r"^digest (\S+) (\w+)$", printed, re.MULTILINE))


def test_this_processor():
    assert checked(natively()) == _native.kernel_tables()


@pytest.mark.parametrize(("processor", "model", "tables"), MODELS)
def test_an_emulated_processor(processor, model, tables):
    printed = emulated(processor, model)
    assert checked(printed) == tables
    assert f"best {tables[0]}\n" in printed


def test_files_tokens_and_vocabularies_are_the_same_on_every_processor():
    here = digests(natively())
    assert len(here) > 20
    assert digests(emulated("aarch64", "max", "portable")) == {}
    assert digests(emulated("aarch64", "max")) == here


@pytest.mark.parametrize("table", ["neon", "portable"])
def test_goldens_on_aarch64(table, tmp_path, monkeypatch):
    """Whole models through program and threads, against the official logits, and bit by bit in any pieces."""
    files = [tmp_path / name for name in GOLDENS]
    for path in files:
        record_golden(path.name, path, monkeypatch, ROUNDING)
    printed = emulated("aarch64", "max", table, *map(str, files))
    assert f"best {table}\n" in printed


def test_the_replay_can_fail(tmp_path, monkeypatch):
    record_golden("v7", tmp_path / "v7", monkeypatch, 1e-9)
    with pytest.raises(AssertionError, match="logits: number"):
        emulated("aarch64", "max", "neon", str(tmp_path / "v7"))


def test_a_table_beyond_the_processor_is_refused():
    with pytest.raises(AssertionError, match="no table neon here"):
        emulated("aarch64", "cortex-a53", "neon")


EXTENSION = """
import numpy
from rookery import _native
from goldens import GOLDENS, load_golden
from models_at_hand import golden_model
print(_native.kernel_tables())
for name in GOLDENS:
    golden, small = load_golden(name), golden_model(name)
    count = len(golden.tokens)
    rows = numpy.arange(count, dtype=numpy.int32)
    logits = small.native().run(golden.tokens.astype(numpy.int32), [count], [small.layout.zeros()], rows)
    numpy.testing.assert_allclose(logits, golden.logits, rtol=5e-5, atol=5e-5)
"""


def test_the_extension_without_avx2():
    """What is installed, bindings and all, on a processor that has less than this one."""
    if platform.machine() != "x86_64":
        pytest.skip("emulates an x86 processor")
    program, environment = python()
    command = [*emulator("x86_64", "SandyBridge"), program, "-c", EXTENSION]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stdout == "['portable']\n"


FOREIGN = [
    ("x86_64", "SandyBridge", "vpaddd %ymm0, %ymm0, %ymm0"),
    ("x86_64", "Conroe", "vaddps %xmm0, %xmm0, %xmm0"),
    ("x86_64", "Haswell", "vaddps %zmm0, %zmm0, %zmm0"),
    ("aarch64", "cortex-a53", ".arch armv8.2-a+dotprod; sdot v0.4s, v0.16b, v0.16b"),
]


@pytest.mark.parametrize(("processor", "model", "instruction"), FOREIGN)
def test_the_emulator_refuses_what_a_processor_lacks(processor, model, instruction, tmp_path: Path):
    """Otherwise the tests above would prove nothing."""
    compiler, program = need(prefix(processor) + "g++", "g++"), tmp_path / "program"
    source = f'int main() {{ asm volatile("{instruction}"); }}'
    subprocess.run(
        [compiler, "-x", "c++", "-", "-o", str(program)], input=source, text=True, check=True, capture_output=True
    )
    done = subprocess.run([*emulator(processor, model), str(program)], capture_output=True, check=False, cwd=tmp_path)
    assert done.returncode == -signal.SIGILL
