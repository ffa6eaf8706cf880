"""
Names and texts of strangers, made harmless for a terminal.

A file name, a metadata value or a tensor's name may hold escape sequences that move the cursor, retitle the window or
hide what stands beside them.
"""

from __future__ import annotations

import json
import unicodedata

__all__ = ["printable", "printable_json"]


def printable(text: str) -> str:
    r"""On one line, with control and invisible characters, and bytes that were no UTF-8, as \n, \x1b, \u202e ..."""
    if text.isprintable():
        return text
    return "".join(c if _shows(c) else c.encode("unicode_escape").decode() for c in text)


def printable_json(text: str) -> str:
    """The same for JSON text, in JSON's own escapes: what it says does not change."""
    return "".join(c if c == "\n" or _shows(c) else json.dumps(c)[1:-1] for c in text)


def _shows(c: str) -> bool:
    return c.isprintable() or unicodedata.category(c) == "Zs"  # spaces of any width are harmless
