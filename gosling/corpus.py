"""
Writes the corpus of gosling.

    python gosling/corpus.py OUT [--shared DIR] [--tales N] [--dialogues N] [--seed S] [--books]

OUT/tales.jsonl, OUT/dialogues.jsonl and, with the folder of public texts, one file for each of its sources: a line
{"text": ...} per document.  OUT/held_out/ has the documents kept from training, chosen by the hash of their text.
OUT/CREDITS.md says what everything was made from.  The same arguments give the same bytes.
"""

from __future__ import annotations

import argparse
import hashlib
import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from random import Random

import dialogues
import public_texts
import tales

__all__ = ["held_out", "main", "write"]

HELD_OUT = 0.02


def held_out(text: str) -> bool:
    """Whether a document is kept from training: two in a hundred, told by its hash alone."""
    digest = hashlib.blake2b(text.encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") < HELD_OUT * 2**64


def write(texts: Iterable[str], folder: Path, name: str) -> str:
    """Write the documents of one source, each once; returns a line that says how many and how much."""
    seen: set[bytes] = set()
    counts = {False: [0, 0, 0], True: [0, 0, 0]}
    (folder / "held_out").mkdir(parents=True, exist_ok=True)
    with (
        (folder / f"{name}.jsonl").open("w", encoding="utf-8", newline="\n") as train,
        (folder / "held_out" / f"{name}.jsonl").open("w", encoding="utf-8", newline="\n") as held,
    ):
        for text in texts:
            key = hashlib.blake2b(text.encode(), digest_size=12).digest()
            if key in seen:
                continue
            seen.add(key)
            kept = held_out(text)
            (held if kept else train).write(json.dumps({"text": text}, ensure_ascii=False) + "\n")
            for i, amount in enumerate((1, len(text.split()), len(text.encode()))):
                counts[kept][i] += amount
    return row(name, counts[False], counts[True])


def row(name: str, train: list[int], held: list[int]) -> str:
    return f"{name:20} {train[0]:8,d} {train[1]:12,d} {train[2]:13,d} {held[0]:7,d} {held[2]:11,d}"


def told_tales(count: int, seed: int) -> Iterator[str]:
    """Tales, each from its own seed, so that more of them begin with the same."""
    return (tales.tale(Random(f"tale {seed} {i}")).text for i in range(count))


def held_conversations(count: int, seed: int) -> Iterator[str]:
    """Conversations, likewise."""
    return (dialogues.dialogue(Random(f"dialogue {seed} {i}")).text for i in range(count))


_OWN = """# Credits

- `tales`, `dialogues`: written by the generators in this folder; Apache-2.0, as the rest of the repository.
"""
_PUBLIC = """- `classics`, `books`: books in the public domain in the United States.
- `fairytales`, `fairytale_questions`: FairytaleQA, Apache-2.0; the tales are in the public domain in the United States.
- `storybooks`: picture books under CC BY (African Storybook; Pratham Books StoryWeaver), changed: only the text of the
  story was kept, in plain characters. By title, author, origin and licence:

"""


def credit_text(shared: Path | None) -> str:
    """What CREDITS.md says."""
    if shared is None:
        return _OWN
    return _OWN + _PUBLIC + "".join(f"  - {line}\n" for line in public_texts.credits(shared))


def arguments(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="corpus.py", description="Write the corpus of gosling.")
    parser.add_argument("out", type=Path, help="folder to write to")
    parser.add_argument("--shared", type=Path, help="folder of public texts (books_children, books_classics)")
    parser.add_argument("--tales", type=int, default=40_000, help="how many tales to tell (%(default)s)")
    parser.add_argument("--dialogues", type=int, default=60_000, help="how many conversations (%(default)s)")
    parser.add_argument("--seed", type=int, default=1, help="of the generators (%(default)s)")
    parser.add_argument("--books", action="store_true", help="also the novels of books_classics")
    given = parser.parse_args(argv)
    if given.tales < 0 or given.dialogues < 0:
        parser.error("--tales and --dialogues count documents: give 0 or more")
    return given


def main(argv: list[str] | None = None) -> None:
    given = arguments(argv)
    print(f"{'':20} {'docs':>8} {'words':>12} {'bytes':>13} {'held out':>7} {'bytes':>10}")
    print(write(told_tales(given.tales, given.seed), given.out, "tales"))
    print(write(held_conversations(given.dialogues, given.seed), given.out, "dialogues"))
    if given.shared is not None:
        for name, source in public_texts.SOURCES.items():
            if name != "books" or given.books:
                print(write(source(given.shared), given.out, name), flush=True)
    (given.out / "CREDITS.md").write_text(credit_text(given.shared), encoding="utf-8")


if __name__ == "__main__":
    main()
