"""The bar on stderr, and JSON on stdout."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from typing import Any

import pytest

from rookery.cli import common


@pytest.fixture
def bars(monkeypatch: pytest.MonkeyPatch) -> Callable[[], list[str]]:
    """On a terminal, with a clock that leaps: what the bar does."""
    from rich.progress import Progress

    done: list[str] = []
    clock = iter(range(0, 1000, 3))
    monkeypatch.setattr(common.time, "monotonic", lambda: next(clock))
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    monkeypatch.setenv("TERM", "xterm")

    def noted(name: str) -> Callable[[Any], None]:
        return lambda _: done.append(name)

    monkeypatch.setattr(Progress, "start", noted("start"))
    monkeypatch.setattr(Progress, "stop", noted("stop"))
    return lambda: done


def test_a_bar_is_gone_when_all_is_done(bars: Callable[[], list[str]]) -> None:
    with common.progress("Reading") as report:
        report(1, 2)
        report(2, 2)
        assert bars() == ["start", "stop"]
    assert bars() == ["start", "stop"]


def test_a_bar_that_would_be_gone_at_once_is_not_shown(bars: Callable[[], list[str]]) -> None:
    with common.progress("Reading") as report:
        report(2, 2)
    assert bars() == []


def test_a_bar_ends_with_the_work(bars: Callable[[], list[str]]) -> None:
    with common.progress("Reading") as report:
        report(1, 2)
    assert bars() == ["start", "stop"]


def test_json_has_no_infinity(capsys: pytest.CaptureFixture[str]) -> None:
    common.print_json({"a": [float("inf"), 1.5, (float("nan"),)], "b": -float("inf")})
    assert json.loads(capsys.readouterr().out, parse_constant=pytest.fail) == {"a": [None, 1.5, [None]], "b": None}
