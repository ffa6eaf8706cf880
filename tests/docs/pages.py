"""The pages of the repository, and what stands in them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

__all__ = ["PAGES", "REPOSITORY", "anchors", "links", "snippets", "text"]

REPOSITORY = Path(__file__).parents[2]
PAGES = sorted(
    page.relative_to(REPOSITORY)
    for pattern in ("*.md", "docs/**/*.md", "tests/**/*.md", "examples/*.md", "benchmarks/*.md")
    for page in REPOSITORY.glob(pattern)
)


def text(page: Path) -> str:
    return (REPOSITORY / page).read_text(encoding="utf-8")


def snippets(page: Path, language: str) -> list[str]:
    """The code blocks of a language."""
    return re.findall(rf"^```{language}\n(.*?)^```$", text(page), re.DOTALL | re.MULTILINE)


def links(page: Path) -> Iterator[str]:
    """Targets of links that are not to other sites; code is left out."""
    prose = re.sub(r"^```.*?^```$|`[^`\n]*`", "", text(page), flags=re.DOTALL | re.MULTILINE)
    found: list[str] = re.findall(r"\]\(([^)\s]+)\)", prose)
    return (target for target in found if not re.match(r"[a-z]+:", target))


def anchors(page: Path) -> set[str]:
    """What `page.md#...` may name: the headings, as web sites spell them."""
    headings: list[str] = re.findall(r"^#+ (.+)$", text(page), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading).strip().lower().replace(" ", "-") for heading in headings}
