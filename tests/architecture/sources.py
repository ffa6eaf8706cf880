"""The package's source, parsed: who imports whom, and when."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

__all__ = ["PACKAGE", "REPOSITORY", "Import", "imports"]

REPOSITORY = Path(__file__).parents[2]
PACKAGE = REPOSITORY / "src" / "rookery"


@dataclass(frozen=True, slots=True)
class Import:
    """One import statement's target.

    importer: module name, without "rookery.".  target: full name of what is imported.
    when: "loading" (with the module), "running" (inside a function), "checking" (for types only).
    """

    importer: str
    target: str
    when: str
    line: int

    @property
    def unit(self) -> str:
        """The top-level module or package of the importer."""
        return self.importer.partition(".")[0]

    @property
    def target_unit(self) -> str:
        """The same of the target; "" for what is not ours."""
        package, _, rest = self.target.partition(".")
        return rest.partition(".")[0] if package == "rookery" else ""

    def __str__(self) -> str:
        return f"{self.importer}:{self.line} imports {self.target} ({self.when})"


def imports() -> list[Import]:
    """Every import of the package.  `rookery/__init__.py` is left out: it only names what is public."""
    found = []
    for path in sorted(PACKAGE.rglob("*.py")):
        module = ".".join(path.relative_to(PACKAGE).with_suffix("").parts).removesuffix(".__init__")
        if module != "__init__":
            found += _walk(ast.parse(path.read_text(encoding="utf-8")), module, "loading")
    return found


def _walk(node: ast.AST, module: str, when: str) -> Iterator[Import]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.Import):
            yield from (Import(module, alias.name, when, child.lineno) for alias in child.names)
        elif isinstance(child, ast.ImportFrom):
            assert child.level == 0, f"{module}:{child.lineno}: imports are written in full"
            whole = child.module == "rookery"
            names = [f"rookery.{alias.name}" for alias in child.names] if whole else [child.module or ""]
            yield from (Import(module, name, when, child.lineno) for name in names)
        else:
            yield from _walk(child, module, _moment(child, when))


def _moment(node: ast.AST, when: str) -> str:
    if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test):
        return "checking"
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda) and when == "loading":
        return "running"
    return when
