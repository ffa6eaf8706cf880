"""The pages say what the code does."""

from __future__ import annotations

from pathlib import Path

import pytest

from rookery.cli.conversation import COMMANDS
from rookery.prompts import FORMATS

ROOT = Path(__file__).parents[2]
TALK = [{"role": "system", "content": "S"}, {"role": "user", "content": "Q"}]


@pytest.mark.parametrize("name", FORMATS)
def test_the_page_has_the_bytes(name: str) -> None:
    row = next(line for line in (ROOT / "docs/prompts.md").read_text().splitlines() if line.startswith(f"| `{name}` |"))
    prompt = FORMATS[name].render(TALK).replace("\n", "\\n")
    assert row.endswith(f"| `{prompt}` |")


def test_the_page_has_the_modes() -> None:
    page = (ROOT / "docs/prompts.md").read_text()
    for name, mode in FORMATS["g1"].modes.items():
        row = next(line for line in page.splitlines() if line.startswith(f'| `"{name}"`'))
        reply = FORMATS["g1"].reply(name).replace("\n", "\\n")
        assert row.endswith(f"| {f'`{mode.suffix}` ' if mode.suffix else ''}| `{reply}` |")


def test_the_page_has_the_commands() -> None:
    page = (ROOT / "docs/chat.md").read_text()
    assert all(f"`/{name}" in page for name in COMMANDS)
