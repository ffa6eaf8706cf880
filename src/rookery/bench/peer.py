"""
Another program, run beside rookery on the same weights.

It lives in a child process (child.py), which brings its own libraries with their own threads and may choose what it
is when it is imported.  What can be run is in `PEERS`.
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Any

from rookery.bench.child import Child, require
from rookery.bench.peer_kinds import PEERS
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
        require(self._kind.modules, f"comparing with {name}")
        self._checkpoint = checkpoint
        self._threads = threads
        self.about: dict[str, Any] = {}
        self.configurations: list[str] = []

    def __enter__(self) -> Peer:
        with ExitStack() as stack:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="rookery-peer-")))
            model, environment = self._kind.weights(self._checkpoint, folder), self._kind.environment(self._checkpoint)
            self._child = stack.enter_context(Child(self._kind.title, self._kind.runner, environment))
            self.about = self._child.start(model, self._threads)
            self.configurations = self.about.get("configurations", [""])
            self._open = stack.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._open.close()

    @property
    def batches(self) -> bool:
        """Whether it generates several sequences together."""
        return self._kind.batches

    def prefill(self, configuration: str, tokens: Sequence[int]) -> float:
        return float(self._child.ask("prefill", configuration, list(tokens))["seconds"])

    def decode(self, configuration: str, tokens: Sequence[int]) -> float:
        """One token after another."""
        return float(self._child.ask("decode", configuration, list(tokens))["seconds"])

    def batched(self, configuration: str, tokens: Sequence[int], batch: int) -> float:
        """`batch` sequences together, each over all the tokens, every one beginning at another place."""
        return float(self._child.ask("batched", configuration, list(tokens), batch)["seconds"])

    def logits(self, configuration: str, tokens: Sequence[int]) -> list[float]:
        """After the last token."""
        logits: list[float] = self._child.ask("logits", configuration, list(tokens))["logits"]
        return logits
