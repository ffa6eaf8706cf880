"""
A program that is measured in a process of its own (peer_process.py): the two speak JSON, one line each way.
"""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import ExitStack, suppress
from pathlib import Path
from types import TracebackType
from typing import Any

from rookery.errors import MissingExtra, RookeryError

__all__ = ["Child", "require"]


def require(modules: Sequence[str], purpose: str) -> None:
    """MissingExtra unless all of these packages are installed, of the extra that has the peers."""
    missing = [module for module in modules if importlib.util.find_spec(module) is None]
    if missing:
        raise MissingExtra(f"{purpose} needs {' and '.join(missing)}: pip install 'rookery[peers]'")


class Child:
    """`with Child(title, runner) as child: about = child.start(model, threads)`, then `child.ask(...)`.

    title:       what messages call it.
    runner:      the module that runs it over there, see peer_process.py.
    environment: variables to set.

    RookeryError, with the last words of the process, when it stops.
    """

    def __init__(self, title: str, runner: str, environment: Mapping[str, str] | None = None) -> None:
        self._title, self._runner, self._environment = title, runner, environment or {}

    def __enter__(self) -> Child:
        self._open = ExitStack()
        self._errors = self._open.enter_context(tempfile.TemporaryFile())
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._open.close()

    def start(self, model: Path, threads: int) -> dict[str, Any]:
        """Run it on a model file; what it has to say of itself, when it has loaded."""
        command = [sys.executable, "-m", "rookery.bench.peer_process", self._runner, str(model), str(threads)]
        self._process = self._open.enter_context(
            subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self._errors,
                env={**os.environ, **self._environment},
                text=True,
            )
        )
        self._open.callback(self._process.kill)
        return self._answer()

    def ask(self, what: str, configuration: str, *arguments: Any) -> dict[str, Any]:
        """Call a method of one of its configurations."""
        assert self._process.stdin is not None
        with suppress(BrokenPipeError):  # _answer says why
            self._process.stdin.write(json.dumps([what, configuration, *arguments]) + "\n")
            self._process.stdin.flush()
        return self._answer()

    def _answer(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            self._errors.seek(0)
            last = self._errors.read().decode(errors="replace").strip().splitlines()[-1:] or ["no message"]
            raise RookeryError(f"{self._title} stopped: {last[0]}")
        answer: dict[str, Any] = json.loads(line)
        return answer
