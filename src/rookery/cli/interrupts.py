"""Signals: Ctrl-C ends the reply, not the program; being terminated leaves nothing half-written behind."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import NoReturn

__all__ = ["cancelled_by_interrupt", "ended_as_by_errors"]


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


@contextmanager
def ended_as_by_errors() -> Iterator[None]:
    """Inside, SIGTERM and SIGHUP unwind the program as an error does, so that drafts of files are removed.

    The exit code is what shells say of a signal, 128 and its number.  A second signal ends the program at once.
    Signals that somebody else takes care of, or that are ignored as `nohup` wants it, stay as they are.
    """

    def handle(number: int, _frame: FrameType | None) -> NoReturn:
        signal.signal(number, signal.SIG_DFL)
        raise SystemExit(128 + number)

    taken = []
    if threading.current_thread() is threading.main_thread():
        known = (getattr(signal, name, None) for name in ("SIGTERM", "SIGHUP"))
        taken = [number for number in known if number is not None and signal.getsignal(number) is signal.SIG_DFL]
    for number in taken:
        signal.signal(number, handle)
    try:
        yield
    finally:
        for number in taken:
            signal.signal(number, signal.SIG_DFL)
