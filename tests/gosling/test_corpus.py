"""The command that writes the corpus, and the cleaning of public texts."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path

import corpus
import plain
import public_texts
import pytest

SCRIPT = Path(corpus.__file__)


def run(out: Path, *options: str, hashing: str = "0") -> subprocess.CompletedProcess[str]:
    """The command in a process of its own, with its own order of sets."""
    environment = {**os.environ, "PYTHONHASHSEED": hashing}
    command = [sys.executable, str(SCRIPT), str(out), *options]
    return subprocess.run(command, capture_output=True, text=True, env=environment, check=False)


def texts(path: Path) -> list[str]:
    return [json.loads(line)["text"] for line in path.read_text(encoding="utf-8").splitlines()]


def digests(folder: Path) -> dict[str, str]:
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("corpus")
    done = run(out, "--tales", "400", "--dialogues", "600")
    assert done.returncode == 0, done.stderr
    assert "tales" in done.stdout
    return out


def test_files(written):
    names = {"tales.jsonl", "dialogues.jsonl", "held_out/tales.jsonl", "held_out/dialogues.jsonl", "CREDITS.md"}
    assert set(digests(written)) == names
    assert "Apache-2.0" in (written / "CREDITS.md").read_text()


def test_the_same_arguments_give_the_same_bytes(written, tmp_path):
    run(tmp_path / "again", "--tales", "400", "--dialogues", "600", hashing="7")
    assert digests(tmp_path / "again") == digests(written)
    run(tmp_path / "other", "--tales", "400", "--dialogues", "600", "--seed", "2")
    assert digests(tmp_path / "other")["tales.jsonl"] != digests(written)["tales.jsonl"]


def test_more_documents_begin_with_the_same(written, tmp_path):
    run(tmp_path, "--tales", "100", "--dialogues", "0")
    few, many = texts(tmp_path / "tales.jsonl"), texts(written / "tales.jsonl")
    assert many[: len(few)] == few


def test_held_out_is_disjoint(written):
    for name in ("tales", "dialogues"):
        train, held = texts(written / f"{name}.jsonl"), texts(written / "held_out" / f"{name}.jsonl")
        assert not set(train) & set(held)
        assert len(set(train)) == len(train)
        assert 0 < len(held) < 0.06 * len(train)


def test_wrong_arguments_are_said(tmp_path):
    done = run(tmp_path, "--tales", "-1")
    assert done.returncode == 2
    assert "0 or more" in done.stderr
    done = run(tmp_path, "--tales", "0", "--dialogues", "0", "--shared", str(tmp_path / "nowhere"))
    assert done.returncode == 1
    assert "no such file" in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_plain_text():
    assert plain.plain("“Café” – it’s…") == '"Cafe" - it\'s...'
    assert plain.plain("a\u200bb\xa0c") == "ab c"
    assert plain.ascii_share("ab\u4e00c") == 0.75
    assert plain.ascii_share("") == 1.0


def test_prose_is_cleaned():
    text = (
        "## CHAPTER I - THE START\n\nIt was _very_ dark,\nand **cold**.--So he went.\n\n* * "
        "*\n\n[Illustration: a bear]\n\nII\n\nHe slept."
    )
    assert plain.clean_prose(text) == "It was very dark, and cold. -- So he went.\n\nHe slept."
    assert plain.clean_prose("Produced for Project Gutenberg.\n\nA text.") == "A text."


def test_passages_keep_every_word_in_order():
    paragraphs = [" ".join(f"w{i}-{k}" for k in range(70)) for i in range(40)]
    text = "\n\n".join(paragraphs)
    found = plain.passages(text, 300)
    assert "\n\n".join(found) == text
    assert all(len(passage.split()) <= 300 for passage in found)
    assert plain.passages("short", 300) == ["short"]
    assert len(plain.passages(paragraphs[0], 10)) == 1


def test_pages_of_picture_books():
    record = {
        "text": "The cat sat,\n\nand slept. It was a warm day and all was well in the house of the cat.\n\n12\n\n"
        "Then it woke up and drank all the milk that was in the bowl.\n\nIllustrated by A. "
        "Painter\n\n##\n\nQuestions\n\nWho slept?"
    }
    assert public_texts.story_text(record) == (
        "The cat sat, and slept. It was a warm day and all was well in the house of the cat.\n\n"
        "Then it woke up and drank all the milk that was in the bowl."
    )
    assert public_texts.story_text({"text": "A girl\n\nA bird"}) == ""
    assert public_texts.story_text({"text": "Lorem ipsum dolor sit amet consectetur " * 20}) == ""


@pytest.mark.shared
def test_public_texts(shared):
    folder = shared / "data"
    books = list(public_texts.storybooks(folder))
    assert 500 < len(books) <= 660
    assert all(text.isascii() and "##" not in text for text in books)
    questions = list(public_texts.fairytale_questions(folder))
    assert len(questions) > 800
    assert all(text.startswith("User: ") and "\n\nAssistant: " in text for text in questions)
    assert len(public_texts.credits(folder)) > 500
