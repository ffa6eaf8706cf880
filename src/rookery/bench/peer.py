"""
The official `rwkv` package, run beside rookery on the same weights.

It lives in a child process: it chooses the RWKV version when it is imported, and brings torch with its own threads.
The two speak JSON, one line each way.
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

from rookery.errors import MissingExtra, RookeryError
from rookery.formats import Checkpoint, save_checkpoint

__all__ = ["Peer"]


class Peer:
    """`with Peer(checkpoint, threads) as peer:` the package with these weights in float32.

    prefill, decode: seconds for the tokens, measured over there.  about: versions and settings.
    """

    def __init__(self, checkpoint: Checkpoint, threads: int) -> None:
        missing = [name for name in ("torch", "rwkv") if importlib.util.find_spec(name) is None]
        if missing:
            raise MissingExtra(f"comparing with rwkv needs {' and '.join(missing)}: pip install 'rookery[peers]'")
        self._checkpoint = checkpoint
        self._threads = threads
        self.about: dict[str, Any] = {}

    def __enter__(self) -> Peer:
        with ExitStack() as stack:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="rookery-peer-")))
            save_checkpoint(self._checkpoint, folder / "model.pth", "pth", "F32")
            self._errors = stack.enter_context(open(folder / "errors", "w+b"))
            self._process = stack.enter_context(self._started(folder / "model.pth"))
            stack.callback(self._process.kill)
            self.about = self._answer()
            self._open = stack.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._open.close()

    def _started(self, model: Path) -> subprocess.Popen[str]:
        assert self._checkpoint.config is not None  # open_checkpoint has filled it in
        goose = self._checkpoint.config.version == "7"
        return subprocess.Popen(
            [sys.executable, "-m", "rookery.bench.peer_process", str(model), str(self._threads)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            env={**os.environ, "RWKV_V7_ON": str(int(goose)), "RWKV_JIT_ON": "1", "RWKV_CUDA_ON": "0"},
            text=True,
        )

    def prefill(self, tokens: Sequence[int]) -> float:
        return float(self._ask("prefill", tokens)["seconds"])

    def decode(self, tokens: Sequence[int]) -> float:
        return float(self._ask("decode", tokens)["seconds"])

    def logits(self, tokens: Sequence[int]) -> list[float]:
        """After the last token."""
        logits: list[float] = self._ask("logits", tokens)["logits"]
        return logits

    def _ask(self, what: str, tokens: Sequence[int]) -> dict[str, Any]:
        assert self._process.stdin is not None
        with suppress(BrokenPipeError):  # _answer says why
            self._process.stdin.write(json.dumps([what, list(tokens)]) + "\n")
            self._process.stdin.flush()
        return self._answer()

    def _answer(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            self._errors.seek(0)
            last = self._errors.read().decode(errors="replace").strip().splitlines()[-1:] or ["no message"]
            raise RookeryError(f"the rwkv package stopped: {last[0]}")
        answer: dict[str, Any] = json.loads(line)
        return answer
