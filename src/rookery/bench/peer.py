"""
Another program, run beside rookery on the same weights.

It lives in a child process (peer_process.py), which brings its own libraries with their own threads and may choose
what it is when it is imported.  The two speak JSON, one line each way.  What can be run is in `PEERS`.
"""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from pathlib import Path
from types import TracebackType
from typing import Any

from rookery.bench.peer_kinds import PEERS
from rookery.errors import MissingExtra, RookeryError
from rookery.formats import Checkpoint

__all__ = ["PEERS", "Peer"]


class Peer:
    """`with Peer("rwkv", checkpoint, threads) as peer:` a program of `PEERS` with these weights.

    about:          versions and settings, as the child tells them.
    configurations: names of the ways it can run; every measurement is of one of them.
    prefill, decode, batched: seconds for the tokens, measured over there.

    MissingExtra where it is not installed, UnsupportedError for a model it cannot run, RookeryError when it stops.
    """

    def __init__(self, name: str, checkpoint: Checkpoint, threads: int) -> None:
        self.name = name
        self._kind = PEERS[name]
        missing = [module for module in self._kind.modules if importlib.util.find_spec(module) is None]
        if missing:
            raise MissingExtra(f"comparing with {name} needs {' and '.join(missing)}: pip install 'rookery[peers]'")
        self._checkpoint = checkpoint
        self._threads = threads
        self.about: dict[str, Any] = {}
        self.configurations: list[str] = []

    def __enter__(self) -> Peer:
        with ExitStack() as stack:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="rookery-peer-")))
            model = self._kind.weights(self._checkpoint, folder)
            self._errors = stack.enter_context(open(folder / "errors", "w+b"))
            self._process = stack.enter_context(self._started(model))
            stack.callback(self._process.kill)
            self.about = self._answer()
            self.configurations = self.about.get("configurations", [""])
            self._open = stack.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._open.close()

    def _started(self, model: Path) -> subprocess.Popen[str]:
        child = [sys.executable, "-m", "rookery.bench.peer_process", self._kind.runner, str(model), str(self._threads)]
        return subprocess.Popen(
            child,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            env={**os.environ, **self._kind.environment(self._checkpoint)},
            text=True,
        )

    @property
    def batches(self) -> bool:
        """Whether it generates several sequences together."""
        return self._kind.batches

    def prefill(self, configuration: str, tokens: Sequence[int]) -> float:
        return float(self._ask("prefill", configuration, list(tokens))["seconds"])

    def decode(self, configuration: str, tokens: Sequence[int]) -> float:
        """One token after another."""
        return float(self._ask("decode", configuration, list(tokens))["seconds"])

    def batched(self, configuration: str, tokens: Sequence[int], batch: int) -> float:
        """`batch` sequences together, each over all the tokens, every one beginning at another place."""
        return float(self._ask("batched", configuration, list(tokens), batch)["seconds"])

    def logits(self, configuration: str, tokens: Sequence[int]) -> list[float]:
        """After the last token."""
        logits: list[float] = self._ask("logits", configuration, list(tokens))["logits"]
        return logits

    def _ask(self, what: str, configuration: str, *arguments: Any) -> dict[str, Any]:
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
            raise RookeryError(f"{self._kind.title} stopped: {last[0]}")
        answer: dict[str, Any] = json.loads(line)
        return answer
