"""Ctrl-C ends the reply, not the program."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

__all__ = ["cancelled_by_interrupt"]


@contextmanager
def cancelled_by_interrupt(cancel: Callable[[], None]) -> Iterator[Callable[[], bool]]:
    """Inside, the first Ctrl-C calls `cancel`, the second raises KeyboardInterrupt as usual.

    Yields a function that says whether there was one.
    """
    pressed = False

    def handle(_number: int, _frame: FrameType | None) -> None:
        nonlocal pressed
        pressed = True
        signal.signal(signal.SIGINT, before)
        cancel()

    if threading.current_thread() is not threading.main_thread():  # only the main thread receives signals
        yield lambda: False
        return
    before = signal.signal(signal.SIGINT, handle)
    try:
        yield lambda: pressed
    finally:
        signal.signal(signal.SIGINT, before)
