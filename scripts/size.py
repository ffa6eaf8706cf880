"""
The sizes we hold ourselves to: lines of a file, lines, parameters and nesting of a function.

    python scripts/size.py [FOLDER ...]    the largest of each, and whatever is over its limit

Lines are those that are not blank; docstrings and comments count.  Parameters are those of a call by position:
keyword-only ones name themselves, and so do the options of a command.  Files of C++ are counted by lines only.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

__all__ = ["LIMITS", "Size", "over", "sizes"]

REPOSITORY = Path(__file__).parents[1]
FOLDERS = ("src", "tests", "scripts", "benchmarks", "examples")
SUFFIXES = (".py", ".cc", ".h", ".inl")

LIMITS = {"file": 500, "function": 50, "parameters": 6, "nesting": 4}

FORMULAS = "wkv"  # such ops take the operands their formula has

_BLOCKS = (ast.If, ast.For, ast.While, ast.With, ast.Try, ast.Match, ast.AsyncFor, ast.AsyncWith)


@dataclass(frozen=True, slots=True, order=True)
class Size:
    """One measurement: `amount` of `kind` at `where`."""

    amount: int
    kind: str
    where: str

    @property
    def over(self) -> bool:
        return self.amount > LIMITS[self.kind]


def sizes(folders: tuple[str, ...] = FOLDERS) -> list[Size]:
    """All measurements, the largest first."""
    found: list[Size] = []
    for folder in folders:
        for path in sorted((REPOSITORY / folder).rglob("*")):
            if path.suffix in SUFFIXES:
                found += _of_file(path)
    return sorted(found, reverse=True)


def over(folders: tuple[str, ...] = FOLDERS) -> list[Size]:
    """Those beyond their limit."""
    return [size for size in sizes(folders) if size.over]


def _of_file(path: Path) -> Iterator[Size]:
    where = str(path.relative_to(REPOSITORY))
    text = path.read_text(encoding="utf-8")
    lines = text.splitlines()
    yield Size(_full(lines), "file", where)
    if path.suffix == ".py":
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                name = f"{where}:{node.lineno} {node.name}"
                yield Size(_full(lines[node.lineno - 1 : node.end_lineno]), "function", name)
                yield Size(_parameters(node), "parameters", name)
                yield Size(_nesting(node), "nesting", name)


def _full(lines: list[str]) -> int:
    return sum(bool(line.strip()) for line in lines)


def _parameters(node: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    if node.name.startswith(FORMULAS) or any("click" in ast.dump(d) for d in node.decorator_list):
        return 0
    given = [a.arg for a in (*node.args.posonlyargs, *node.args.args)]
    return len(given) - (given[:1] in (["self"], ["cls"]))


def _nesting(node: ast.AST) -> int:
    """How deep blocks lie in blocks; a chain of elif is one block.  Functions inside are measured on their own."""
    deepest = 0
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            continue
        chained = isinstance(node, ast.If) and isinstance(child, ast.If) and node.orelse == [child]
        deepest = max(deepest, _nesting(child) + (isinstance(child, _BLOCKS) and not chained))
    return deepest


def main() -> int:
    found = sizes(tuple(sys.argv[1:]) or FOLDERS)
    for kind, limit in LIMITS.items():
        print(f"{kind} (limit {limit})")
        for size in [size for size in found if size.kind == kind][:8]:
            print(f"  {size.amount:5d}{' !' if size.over else '  '} {size.where}")
    return int(any(size.over for size in found))


if __name__ == "__main__":
    sys.exit(main())
