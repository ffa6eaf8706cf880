"""`rookery evaluate`: what architectures can do; a lazy table of studies."""

from __future__ import annotations

import click

from rookery.cli.groups import Group

__all__ = ["STUDIES", "command"]

STUDIES = {
    "state-tracking": ("rookery.cli.state_tracking", "Which models can keep count, and how far beyond their training."),
}


@click.group("evaluate", cls=Group, table=STUDIES)
def command() -> None:
    """Evaluate architectures on tasks of their own: small models are trained and measured here."""
