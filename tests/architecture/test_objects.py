"""
Object files that cannot poison one another: no instruction of a better table can reach a processor that lacks it.
"""

from __future__ import annotations

import platform
import re
import subprocess
from pathlib import Path

import pytest
from processors import build, need, prefix
from sources import REPOSITORY

KERNELS = REPOSITORY / "src" / "native" / "kernels"
PROCESSORS = {"avx2": "x86_64", "avx512": "x86_64", "neon": "aarch64", "portable": platform.machine()}
PROCESSORS |= {f"{kind}_{name}": processor for kind in ("fused", "wkv") for name, processor in PROCESSORS.items()}


def compile_options(name: str) -> list[str]:
    """The options CMakeLists.txt gives to a kernel file."""
    text = (REPOSITORY / "CMakeLists.txt").read_text()
    found = re.search(rf'set_source_files_properties\(src/native/kernels/{name}\.cc[^"]*?"([^"]+)"\)', text, re.DOTALL)
    assert found, f"no compile options for {name}.cc"
    return re.sub(r"\$<\$<CXX_COMPILER_ID:GNU>:([^>]+)>", r"\1", found[1]).split(";")


@pytest.mark.parametrize("name", sorted(path.stem for path in KERNELS.glob("*.cc")))
def test_a_kernel_file_exports_its_table_and_nothing_else(name, tmp_path):
    """
    A function that two files both define inline is kept once.  If a kernel file defined one for newer instructions, the
    linker might keep that copy, and code for older processors would run it.
    """
    tools = prefix(PROCESSORS[name])
    compiler, nm, target = need(tools + "g++", "g++"), need(tools + "nm", "binutils"), tmp_path / "kernel.o"
    options = [*compile_options(name), "-std=c++20", "-O1", f"-I{KERNELS.parent}", "-c", "-o", str(target)]
    done = subprocess.run(
        [compiler, *options, str(KERNELS / f"{name}.cc")], capture_output=True, text=True, check=False
    )
    if "unrecognized" in done.stderr or "unknown" in done.stderr:
        pytest.skip(f"this compiler does not know the instructions of {name}.cc")
    assert done.returncode == 0, done.stderr
    symbols = subprocess.run([nm, "-C", str(target)], capture_output=True, text=True, check=True).stdout.splitlines()
    kinds = [(line[17:18], line[19:]) for line in symbols]
    assert [symbol for kind, symbol in kinds if kind in "wWvVu"] == []  # weak or unique: may be merged
    assert [symbol.lower() for kind, symbol in kinds if kind in "TDRB"] == [f"rookery::k{name.replace('_', '')}"]
    assert {symbol for kind, symbol in kinds if kind == "U"} <= {"memcpy", "memset", "sqrtf", "__stack_chk_fail"}


def instructions(processor: str) -> dict[str, list[tuple[str, str]]]:
    """Of every object of the core: (bytes, text) of its instructions."""
    objdump = need(prefix(processor) + "objdump", "binutils")
    found = {}
    for path in sorted(build(processor).rglob("src/native/**/*.o")):
        printed = subprocess.run([objdump, "-d", "-w", str(path)], capture_output=True, text=True, check=True).stdout
        found[Path(path.name.split(".")[0]).name] = [
            (parts[1].strip(), parts[2].strip()) for line in printed.splitlines() if len(parts := line.split("\t")) >= 3
        ]
    assert {"portable", "cpu", "program", "matrix", "sampler"} <= found.keys()
    assert all(code for code in found.values())
    return found


def kinds(code: list[tuple[str, str]]) -> set[str]:
    """
    What x86 instructions are beyond the common ones: 64-bit code has no other use for the first bytes of their
    encodings.
    """
    firsts = {raw[:2] for raw, _ in code}
    vnni = any(text.startswith(("vpdp", "{vex} vpdp")) for _, text in code)
    return {name for byte, name in (("c4", "AVX"), ("c5", "AVX"), ("62", "AVX-512")) if byte in firsts} | (
        {"VNNI"} if vnni else set()
    )


def test_instructions_of_x86():
    found = {name: kinds(code) for name, code in instructions("x86_64").items()}
    assert found.pop("avx512") == {"AVX", "AVX-512", "VNNI"}
    assert found.pop("avx2") == {"AVX"}
    for kind in ("fused", "wkv"):
        assert found.pop(f"{kind}_avx512") == {"AVX", "AVX-512"}
        assert found.pop(f"{kind}_avx2") == {"AVX"}
    assert {name: kind for name, kind in found.items() if kind} == {}


def test_instructions_of_aarch64():
    dot = re.compile(r"(su|us|[su])(dot|mmla)\b|bf(dot|mmla)\b")
    found = instructions("aarch64")
    assert {name for name, code in found.items() if any(dot.match(text) for _, text in code)} == {"neon"}
    # Half-precision arithmetic and SVE are not asked for either, and the options of no file allow them.
    beyond = re.compile(r"\bz\d+\.|\bf(add|mul|mla|sub)\s+v\d+\.[48]h")
    assert [name for name, code in found.items() if any(beyond.search(text) for _, text in code)] == []
