"""Native files taken apart and put together again, with any header and right checksums."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from rookery.formats.native_header import aligned, render

HEAD = 32  # bytes before the JSON

Header = dict[str, Any]


def taken_apart(raw: bytes) -> tuple[Header, bytes]:
    """The JSON and the data, by the published layout."""
    length = int.from_bytes(raw[12:16], "little")
    return json.loads(raw[HEAD : HEAD + length]), raw[aligned(HEAD + length, 4096) :]


def put_together(header: Header, data: bytes) -> bytes:
    front = render(header, 0)
    return render(header, len(front) + len(data)) + data


def changed(raw: bytes, change: Callable[[Header], Any]) -> bytes:
    """The file with another header."""
    header, data = taken_apart(raw)
    change(header)
    return put_together(header, data)


def entry(header: Header, name: str, view: str | None = None) -> Header:
    """One tensor, or one of its views."""
    return next(e for e in header["tensors"] if e["name"] == name and (view is None or e.get("view") == view))


def written(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path
