"""`rookery doctor`: is this installation sound, and what does this machine offer?"""

from __future__ import annotations

from dataclasses import asdict

import click

from rookery.cli.common import json_option, print_json

__all__ = ["command"]

_MARKS = {True: ("ok", "green"), False: ("WRONG", "red"), None: ("-", "white")}


@click.command("doctor")
@json_option
def command(as_json: bool) -> None:
    """Check this installation and machine.

    Runs tiny models of every version natively and in float64, and tokenizes a text with a known result.  The exit
    code is 1 if something is wrong.
    """
    from rookery.diagnosing import diagnose

    checks = []
    for check in diagnose():
        checks.append(check)
        if not as_json:
            mark, colour = _MARKS[check.ok]
            click.echo(f"{click.style(mark.ljust(5), fg=colour)}  {check.name.ljust(16)}  {check.found}")
    wrong = sum(check.ok is False for check in checks)
    if as_json:
        print_json({"ok": wrong == 0, "checks": [asdict(check) for check in checks]})
    elif wrong:
        click.echo(f"{wrong} of {len(checks)} checks found something wrong")
    if wrong:
        raise SystemExit(1)
