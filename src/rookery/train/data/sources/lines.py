"""JSON lines: a text or a conversation on each."""

from __future__ import annotations

import json
from collections.abc import Iterator

from rookery.errors import FormatError
from rookery.train.data.sources.base import Document, Source
from rookery.train.data.sources.packed import opened
from rookery.train.data.sources.records import record_pieces
from rookery.train.data.sources.text import lines

__all__ = ["JsonLines"]


class JsonLines(Source):
    """`.jsonl`, also packed; empty lines are passed over."""

    def documents(self) -> Iterator[Document]:
        with opened(self.path) as reading:
            for number, line in lines(reading, str(self.path)):
                where = f"{self.path}, line {number}"
                if line.strip():
                    yield Document(record_pieces(_parsed(line, where), self.options, where), where, reading.read)


def _parsed(line: bytes, where: str) -> object:
    try:
        return json.loads(line)
    except (ValueError, RecursionError) as error:  # UnicodeDecodeError is a ValueError too
        reason = getattr(error, "msg", None) or str(error).partition("\n")[0]
        raise FormatError(f'{where}: not JSON ({reason}); expected one object, such as {{"text": "..."}}') from None
