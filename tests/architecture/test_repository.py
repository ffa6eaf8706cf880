"""What lies in the repository: portable text, and object files that cannot poison one another."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest
from sources import REPOSITORY

KERNELS = REPOSITORY / "src" / "native" / "kernels"


def listed() -> list[Path]:
    """The files git tracks: what lies beside them, such as models from trying things out, is nobody's business."""
    git = shutil.which("git")
    if git is None or not (REPOSITORY / ".git").exists():
        pytest.skip("this is not a git checkout")
    names = (
        subprocess.run([git, "ls-files", "-z"], cwd=REPOSITORY, capture_output=True, check=True)
        .stdout.decode()
        .split("\0")
    )
    return [REPOSITORY / name for name in names if name and (REPOSITORY / name).is_file()]


def texts() -> dict[Path, str]:
    found = {}
    for path in listed():
        data = path.read_bytes()
        if b"\0" not in data:
            found[path] = data.decode("utf-8")
    return found


def test_no_path_of_one_machine():
    """Somebody's folders mean nothing to anybody else."""
    private = re.compile(r"(?<![\w.])/(home|Users|root|work)/[\w.-]+")
    bad = [f"{path.relative_to(REPOSITORY)}: {m[0]}" for path, text in texts().items() for m in private.finditer(text)]
    assert bad == []


def test_text_ends_with_one_line_break_and_has_no_tabs_or_trailing_blanks():
    strict = {".py", ".cc", ".h", ".inl", ".md", ".toml"}
    bad = []
    for path, text in texts().items():
        if path.suffix in strict and text:
            untidy = not text.endswith("\n") or text.endswith("\n\n") or "\t" in text or "\r" in text
            if untidy or re.search(r"[ ]+$", text, re.MULTILINE):
                bad.append(str(path.relative_to(REPOSITORY)))
    assert bad == []


def test_nothing_large_and_nothing_built_is_committed():
    large = [
        f"{p.relative_to(REPOSITORY)}: {p.stat().st_size >> 10} KiB" for p in listed() if p.stat().st_size > 1 << 20
    ]
    built = [str(p.relative_to(REPOSITORY)) for p in listed() if p.suffix in {".so", ".o", ".pyc", ".whl", ".pyd"}]
    assert large + built == []


def compile_options(name: str) -> list[str]:
    """The options CMakeLists.txt gives to a kernel file."""
    text = (REPOSITORY / "CMakeLists.txt").read_text()
    found = re.search(rf'set_source_files_properties\(src/native/kernels/{name}\.cc[^"]*?"([^"]+)"\)', text, re.DOTALL)
    assert found, f"no compile options for {name}.cc"
    return found[1].split(";")


@pytest.mark.parametrize("name", sorted(path.stem for path in KERNELS.glob("*.cc")))
def test_a_kernel_file_exports_its_table_and_nothing_else(name, tmp_path):
    """
    A function that two files both define inline is kept once.  If a kernel file defined one for newer instructions, the
    linker might keep that copy, and code for older processors would run it.
    """
    compiler, nm = shutil.which("g++"), shutil.which("nm")
    if compiler is None or nm is None:
        pytest.skip("needs g++ and nm")
    target = tmp_path / "kernel.o"
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
    assert [symbol.lower() for kind, symbol in kinds if kind in "TDRB"] == [f"rookery::k{name}"]
    assert {symbol for kind, symbol in kinds if kind == "U"} <= {"memcpy", "memset", "sqrtf", "__stack_chk_fail"}
