"""
Documents from a folder of public texts: picture books, fairy tales with questions, and classics.

Each function takes the folder and yields texts; a file that is absent is an error that names it.
"""

from __future__ import annotations

import json
import lzma
import re
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from plain import ascii_share, clean_prose, passages, plain, words_in

__all__ = ["SOURCES", "books", "classics", "credits", "fairytale_questions", "fairytales", "storybooks"]

STORYBOOKS = "books_children/storybooks_cc_by.jsonl.xz"
FAIRYTALES = "books_children/fairytaleqa_stories.train_val.jsonl.xz"
QUESTIONS = "books_children/fairytaleqa_questions.train_val.jsonl.xz"
CLASSICS = "books_children/classics.jsonl.xz"
BOOKS = "books_classics/classics.jsonl.xz"

_SHORTEST_STORY = 25  # words; below are lists of words under pictures
_SECTION = 150  # words of a passage that questions are asked about
_ANSWER = 14
# Plays, verse and essays, which teach no story.
_LEFT_OUT = {
    "The Kingdom of God Is Within You",
    "All Things Considered",
    "Poems",
    "The Importance of Being Earnest",
    "An Ideal Husband",
    "The Seagull",
    "The Cherry Orchard",
}
_CREDIT_LINE = re.compile(
    r"^(##.*|\d+|page \d+|(illustrat|photograph|written|translat|text|story|author|publish|retold|adapted|copyright"
    r"|©|www\.|http).{0,60})$",
    re.IGNORECASE,
)
_EXERCISE = re.compile(
    r"^(questions?\b.*|activit.*|glossary.*|in the picture above.*|can you (find|spot).*:?|note to .*|about the .*"
    r"|\* .*|discuss.*:)$",
    re.IGNORECASE,
)
_ENGLISH = re.compile(r"\b(the|and|is|a|to|of|in|it|he|she|was|my|you|i)\b", re.IGNORECASE)


def records(folder: Path, name: str) -> Iterator[dict[str, Any]]:
    """The records of one compressed jsonl file."""
    path = folder / name
    if not path.is_file():
        raise SystemExit(f"{path}: no such file; expected the data folder with {name}, or leave --shared out")
    with lzma.open(path, "rt", encoding="utf-8") as lines:
        yield from map(json.loads, lines)


def storybooks(folder: Path) -> Iterator[str]:
    """Picture-book texts in English, without credits, page numbers and exercises."""
    for record in records(folder, STORYBOOKS):
        text = story_text(record)
        if text:
            yield text


def story_text(record: dict[str, Any]) -> str:
    """A record's story, or "" where it is not one."""
    kept = []
    for block in plain(record["text"]).split("\n\n"):
        line = " ".join(block.replace("##", " ").replace("*", " ").split())
        if _EXERCISE.match(line):
            break
        if line and not _CREDIT_LINE.match(line):
            kept.append(line)
    text = "\n\n".join(_merge(kept))
    count = words_in(text)
    english = len(_ENGLISH.findall(text)) >= 0.12 * count
    fine = count >= _SHORTEST_STORY and english and "\ufffd" not in text and ascii_share(text) == 1.0
    return text if fine else ""


def _merge(lines: list[str]) -> list[str]:
    """Pages become paragraphs: a page that ends in the middle of a sentence goes on in the next."""
    merged: list[str] = []
    for line in lines:
        if (merged and merged[-1][-1] in ",;") or (merged and line[0].islower() and merged[-1][-1] not in '.!?"'):
            merged[-1] += " " + line
        else:
            merged.append(line)
    return merged


def credits(folder: Path) -> list[str]:
    """One line for each picture book that is used: title, author, translator, origin, licence."""
    lines = set()
    for record in records(folder, STORYBOOKS):
        if story_text(record):
            translated = f", translated by {record['translation'].strip()}" if record["translation"].strip() else ""
            author = record["author"].strip() or "author not stated"
            lines.add(f"{record['title'].strip()} -- {author}{translated} ({record['source']}, {record['license']})")
    return sorted(lines, key=str.casefold)


def fairytales(folder: Path) -> Iterator[str]:
    """Fairy tales, in passages of up to 600 words."""
    for record in records(folder, FAIRYTALES):
        yield from (p for p in passages(clean_prose(record["text"])) if ascii_share(p) == 1.0)


def fairytale_questions(folder: Path) -> Iterator[str]:
    """Short passages with questions whose answers stand in them, as conversations."""
    asked: dict[tuple[str, str], list[tuple[str, str]]] = defaultdict(list)
    for record in records(folder, QUESTIONS):
        if record["ex_or_im"] == "explicit" and "," not in record["section"]:
            key = (_key(record["story"]), record["section"])
            asked[key].append((record["question"], record["answer"]))
    for record in records(folder, FAIRYTALES):
        for number, section in enumerate(record["text"].split("\n\n"), 1):
            pairs = [p for p in asked.get((_key(record["title"]), str(number)), []) if words_in(p[1]) <= _ANSWER]
            text = " ".join(clean_prose(section).split())
            if pairs and words_in(text) <= _SECTION and ascii_share(text) == 1.0:
                yield _conversation(text, pairs)


def _key(title: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", title.lower()).strip("-")


def _conversation(text: str, pairs: list[tuple[str, str]]) -> str:
    turns = []
    for i, (question, answer) in enumerate(pairs):
        question = plain(" ".join(question.split())).strip()
        answer = plain(" ".join(answer.split())).strip()
        answer = answer[:1].upper() + answer[1:] + ("" if answer.endswith((".", "!", "?")) else ".")
        lead = f"{text}\n" if i == 0 else ""
        turns.append(f"User: {lead}{question[:1].upper()}{question[1:]}\n\nAssistant: {answer}")
    return "\n\n".join(turns)


def classics(folder: Path) -> Iterator[str]:
    """Children's classics in passages of up to 600 words."""
    yield from _books(folder, CLASSICS)


def books(folder: Path) -> Iterator[str]:
    """Novels and stories for grown-ups, likewise."""
    yield from _books(folder, BOOKS)


def _books(folder: Path, name: str) -> Iterator[str]:
    for record in records(folder, name):
        if record["title"] not in _LEFT_OUT:
            for passage in passages(clean_prose(record["text"])):
                if ascii_share(passage) == 1.0:
                    yield passage


SOURCES = {
    "storybooks": storybooks,
    "fairytales": fairytales,
    "fairytale_questions": fairytale_questions,
    "classics": classics,
    "books": books,
}
