"""What lies in the repository: portable text, and nothing large or built."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest
from sources import REPOSITORY


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
    sizes = {str(p.relative_to(REPOSITORY)): p.stat().st_size for p in listed()}
    assert sizes.pop("src/rookery/gosling.rookery") <= 24 << 20  # the built-in model
    large = [f"{name}: {size >> 10} KiB" for name, size in sizes.items() if size > 1 << 20]
    built = [str(p.relative_to(REPOSITORY)) for p in listed() if p.suffix in {".so", ".o", ".pyc", ".whl", ".pyd"}]
    assert large + built == []
