"""Nothing grows beyond the limits of `scripts/size.py`."""

from __future__ import annotations

import ast
import importlib.util
import sys
from types import ModuleType

import pytest
from sources import PACKAGE, REPOSITORY

MODEL_LINES = 120


@pytest.fixture(scope="module")
def size() -> ModuleType:
    spec = importlib.util.spec_from_file_location("size", REPOSITORY / "scripts" / "size.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["size"] = module
    spec.loader.exec_module(module)
    return module


def test_limits_are_kept(size):
    assert [f"{s.where}: {s.kind} {s.amount}, limit {size.LIMITS[s.kind]}" for s in size.over()] == []


def test_everything_is_measured(size):
    found = size.sizes(("src",))
    assert {s.kind for s in found} == set(size.LIMITS)
    assert sum(s.kind == "file" for s in found) > 80


def test_a_version_fits_on_a_page():
    for path in PACKAGE.glob("models/v*.py"):
        assert sum(bool(line.strip()) for line in path.read_text().splitlines()) <= MODEL_LINES, path.name


CODE = """
def f(a, b, /, c, d=1, *rest, e, g=2, **more):
    if a:
        pass
    elif b:

        for x in c:
            with d:
                pass
    else:
        pass
    def inside(self, x):
        while x:
            pass
"""


def test_the_measures_themselves(size):
    f = ast.parse(CODE).body[0]
    assert isinstance(f, ast.FunctionDef)
    inside = f.body[1]
    assert isinstance(inside, ast.FunctionDef)
    assert (size._parameters(f), size._nesting(f)) == (4, 3)
    assert (size._parameters(inside), size._nesting(inside)) == (1, 1)
    assert size._full(CODE.splitlines()) == 12
