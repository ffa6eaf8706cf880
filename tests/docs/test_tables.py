"""Tables of the pages are shown as tables: none is torn in two by a blank line, no row has a cell too many."""

from __future__ import annotations

import re
from itertools import groupby
from pathlib import Path

import pytest
from pages import PAGES, text

_RULE = re.compile(r"\|([ :]*-+[ :]*\|)+")


def tables(page: str) -> list[list[str]]:
    """Runs of lines that begin with a bar, outside of code."""
    page = re.sub(r"^( *)```.*?^\1```", "", page, flags=re.MULTILINE | re.DOTALL)
    runs = groupby(page.splitlines(), key=lambda line: line.startswith("|"))
    return [list(lines) for is_table, lines in runs if is_table]


def cells(row: str) -> int:
    return len(re.findall(r"(?<!\\)\|", re.sub(r"`[^`]*`", "", row.replace(r"\|", ""))))


def test_finds_what_is_torn():
    torn = tables("| a | b |\n|---|---|\n| 1 | 2 |\n\n| 3 | 4 |\n")
    assert [len(table) > 1 and bool(_RULE.fullmatch(table[1])) for table in torn] == [True, False]


@pytest.mark.parametrize("page", PAGES, ids=str)
def test_every_table_has_a_heading_and_even_rows(page: Path) -> None:
    for table in tables(text(page)):
        assert _RULE.fullmatch("".join(table[1:2])), table[0]
        assert {cells(row) for row in table} == {cells(table[0])}, table[0]
