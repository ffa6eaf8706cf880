"""Every page can be found from the README, every link leads somewhere, and the README's tree is the tree."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from pages import PAGES, REPOSITORY, anchors, links, text

README = Path("README.md")


def test_there_are_pages():
    assert {README, Path("CONTRIBUTING.md"), Path("docs/cli.md"), Path("tests/golden/README.md")} <= set(PAGES)
    assert "docs/cli.md" in set(links(README))


@pytest.mark.parametrize("page", PAGES, ids=str)
def test_links_lead_somewhere(page: Path) -> None:
    bad = []
    for link in links(page):
        name, _, anchor = link.partition("#")
        target = (REPOSITORY / page).parent / name if name else REPOSITORY / page
        if not target.exists() or (anchor and anchor not in anchors(target)):
            bad.append(link)
    assert bad == []


def test_the_readme_leads_to_every_page():
    documents = {str(page) for page in PAGES if page.parts[0] == "docs"}
    assert documents - set(links(README)) == set()


def test_the_readmes_tree_names_every_part():
    """What lies at the top of the package is what a newcomer meets first; so does its line in the tree."""
    tree = text(README).partition("## The tree")[2]
    named = set(re.findall(r"\b\w+(?:\.py|/)", tree))
    package = REPOSITORY / "src" / "rookery"
    files = {path.name for path in package.glob("*.py")} - {"__main__.py"}
    folders = {f"{path.parent.name}/" for path in package.glob("*/__init__.py")}
    assert (files | folders) - named == set()
    missing = [name for name in named if not list(REPOSITORY.rglob(name.rstrip("/")))]
    assert missing == []
