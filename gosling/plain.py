"""
Text in the few characters that a small vocabulary should have: plain ASCII quotes and dashes, no marks of layout.
"""

from __future__ import annotations

import re
import unicodedata

__all__ = ["ascii_share", "clean_prose", "passages", "plain", "words_in"]

_MAP = str.maketrans(
    {
        "‘": "'", "’": "'", "‛": "'", "´": "'", "`": "'", "“": '"', "”": '"', "„": '"', "″": '"', "–": "-", "—": "--",
        "―": "--", "−": "-", "…": "...", "\xa0": " ", "\u2028": "\n", "\u2029": "\n\n", "\u200b": "", "\u2060": "",
        "\ufeff": "", "\xad": "", "×": "x", "æ": "ae", "œ": "oe", "Æ": "Ae", "Œ": "Oe", "ø": "o", "ß": "ss", "ŋ": "ng",
        "£": "pounds ", "°": " degrees",
    }
)  # fmt: skip
_RULE = re.compile(r"^[\s*_=#~-]+$")
_HEADING = re.compile(
    r"^(#.*|(chapter|book|part|canto|stave)\s+[ivxlc\d]+\b.{0,80}|[ivxlc]+\.?|the end\.?)$", re.IGNORECASE
)
_NOTE = re.compile(r"\[(illustration|footnote|note|transcriber|sidenote)[^\]]*\]|\[\^?\d+\]|\{\d+\}", re.IGNORECASE)
_EMPHASIS = re.compile(r"(?<!\w)([_*]{1,3})(?=\S)([^_*]+?)(?<=\S)\1(?!\w)")


def plain(text: str) -> str:
    """The text in ASCII, accents dropped; characters with no plain form are kept, for the caller to judge."""
    text = unicodedata.normalize("NFC", text.replace("\r\n", "\n")).translate(_MAP)
    parts = unicodedata.normalize("NFKD", text)
    return "".join(c for c in parts if not unicodedata.combining(c))


def ascii_share(text: str) -> float:
    """The share of characters that are ASCII, 1 for nothing."""
    return sum(c < "\x80" for c in text) / len(text) if text else 1.0


def words_in(text: str) -> int:
    return len(text.split())


def clean_prose(text: str) -> str:
    """Paragraphs of a book: no headings, rules, notes or emphasis; lines broken in the middle are joined."""
    kept = []
    for block in re.split(r"\n\s*\n", plain(text)):
        lines = [line.strip().lstrip(">").strip() for line in block.split("\n")]
        lines = [line for line in lines if line and not _RULE.match(line) and not _HEADING.match(line)]
        joined = _paragraph(lines)
        if joined and "gutenberg" not in joined.lower():
            kept.append(joined)
    return "\n\n".join(kept)


def _paragraph(lines: list[str]) -> str:
    verse = len(lines) > 2 and max(map(len, lines)) < 60
    text = ("\n" if verse else " ").join(lines)
    text = _EMPHASIS.sub(r"\2", _NOTE.sub("", text)).replace("\\", "").replace("_", "").replace("*", "")
    text = re.sub(r" ?--+ ?", " -- ", text) if "--" in text else text
    text = re.sub(r"[ \t]{2,}", " ", text).strip()
    return re.sub(r" -- (?=[\"'.,!?;:]|$)", "--", text)


def passages(text: str, limit: int = 600) -> list[str]:
    """A text cut at paragraph borders into passages of at most `limit` words; a longer paragraph stands alone."""
    found: list[str] = []
    now: list[str] = []
    count = 0
    for paragraph in text.split("\n\n"):
        size = words_in(paragraph)
        if now and count + size > limit:
            found.append("\n\n".join(now))
            now, count = [], 0
        now.append(paragraph)
        count += size
    if now and (count >= 60 or not found):
        found.append("\n\n".join(now))
    return found
