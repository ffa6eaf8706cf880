"""`rookery tokenize`: the tokens of a text, or the text of tokens."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

import click

from rookery.cli.common import json_option, print_json, unreadable
from rookery.errors import SettingsError, TokenError

if TYPE_CHECKING:
    import numpy as np

    from rookery.tokenizer import Tokenizer

__all__ = ["command"]

_CHUNK = 4 << 20  # bytes read at a time
_COLOURS = ("bright_cyan", "bright_yellow", "bright_green", "bright_magenta")


@click.command("tokenize")
@click.argument("text", required=False)
@click.option("--file", "path", type=click.Path(path_type=Path), help="Read this file in place of TEXT.")
@click.option("--model", type=click.Path(path_type=Path), help="Use this model's vocabulary.")
@click.option("--tokenizer", help='A vocabulary file, or "world" (the default).')
@click.option("--ids", is_flag=True, help="Print the ids only.")
@click.option("--decode", is_flag=True, help="The input is ids, separated by anything but digits: print their text.")
@click.option("--count", is_flag=True, help="Print only how many tokens there are.")
@json_option
def command(
    text: str | None,
    path: Path | None,
    model: Path | None,
    tokenizer: str | None,
    ids: bool,
    decode: bool,
    count: bool,
    as_json: bool,
) -> None:
    """Show the tokens of TEXT, of a file, or of what comes on stdin (TEXT absent or "-").

    The bytes count as they are: nothing is normalised, and a line end at the end of a file is a token like any other.
    """
    if sum((ids, decode, count)) > 1:
        raise SettingsError("--ids, --decode and --count exclude one another; choose one")
    words = _tokenizer(model, tokenizer)
    with _opened(text, path) as file:
        if decode:
            _decode(words, file, as_json)
        elif as_json:
            _print_json(words, file, ids or count)
        elif count:
            click.echo(sum(len(piece) for piece in encoded(words, file)))
        else:
            _show(words, file, _print_ids if ids else _list)


def encoded(tokenizer: Tokenizer, file: BinaryIO) -> Iterator[np.ndarray]:
    """The ids of a stream of bytes of any length, exactly as if it were encoded whole.

    A greedy tokenizer looks ahead by one token at most.  So all tokens of a chunk are final except those that begin
    within the longest token's length of its end; their bytes are encoded again with the next chunk.
    """
    from rookery._native import Trie
    from rookery.tokenizer import WorldTokenizer

    if not isinstance(tokenizer, WorldTokenizer):
        yield tokenizer.encode_array(file.read())
        return
    held = b""
    while chunk := file.read(_CHUNK):
        held += chunk
        if len(chunk) < _CHUNK:
            continue  # a short read: perhaps the end
        found = tokenizer.encode_array(held)
        keep, size = len(found), 0
        while keep and size < Trie.LONGEST_TOKEN:
            keep -= 1
            size += len(tokenizer.token_bytes(int(found[keep])))
        held = held[len(held) - size :]
        yield found[:keep]
    if held:
        yield tokenizer.encode_array(held)


def _tokenizer(model: Path | None, tokenizer: str | None) -> Tokenizer:
    from rookery.formats import open_checkpoint
    from rookery.tokenizer import load_tokenizer, tokenizer_for

    if model is not None and tokenizer is not None:
        raise SettingsError("--model and --tokenizer exclude one another; choose one")
    if model is None:
        return load_tokenizer(tokenizer)
    checkpoint = open_checkpoint(model)
    assert checkpoint.config is not None  # open_checkpoint has filled it in
    return tokenizer_for(checkpoint.vocabulary, checkpoint.config.vocab)


def _opened(text: str | None, path: Path | None) -> BinaryIO:
    import io

    if path is not None:
        if text is not None:
            raise SettingsError("give a text or --file, not both")
        try:
            return open(path, "rb")
        except OSError as error:
            raise unreadable(path, error) from None
    if text is None or text == "-":
        return sys.stdin.buffer
    return io.BytesIO(text.encode("utf-8", "surrogateescape"))


def _show(tokenizer: Tokenizer, file: BinaryIO, line: Callable[[Tokenizer, list[int], int], None]) -> None:
    start = 0
    for piece in encoded(tokenizer, file):
        line(tokenizer, piece.tolist(), start)
        start += len(piece)
    if line is _print_ids:
        click.echo()


def _print_ids(tokenizer: Tokenizer, ids: list[int], start: int) -> None:
    click.echo((" " if start and ids else "") + " ".join(map(str, ids)), nl=False)


def _list(tokenizer: Tokenizer, ids: list[int], start: int) -> None:
    """Position, id, bytes in hex, escaped text."""
    lines = []
    for at, id in enumerate(ids, start):
        given = tokenizer.token_bytes(id)
        text = click.style(escaped(given), fg=_COLOURS[at % len(_COLOURS)])
        lines.append(f"{at:6d} {id:6d}  {given.hex(' '):23s}  {text}")
    if lines:
        click.echo("\n".join(lines))


def escaped(given: bytes) -> str:
    """Bytes as text on one line: what is no printable UTF-8 becomes \\n, \\t, \\xNN and so on."""
    out = []
    for letter in given.decode("utf-8", "surrogateescape"):
        if 0xDC80 <= ord(letter) <= 0xDCFF:
            out.append(f"\\x{ord(letter) - 0xDC00:02x}")
        elif letter == "\\" or not letter.isprintable():
            out.append(letter.encode("unicode_escape").decode())
        else:
            out.append(letter)
    return "".join(out)


def _print_json(tokenizer: Tokenizer, file: BinaryIO, short: bool) -> None:
    ids = [id for piece in encoded(tokenizer, file) for id in piece.tolist()]
    about: dict[str, object] = {"tokenizer": tokenizer.name, "count": len(ids), "ids": ids}
    if not short:
        given = [tokenizer.token_bytes(id) for id in ids]
        about["tokens"] = [{"id": id, "text": escaped(b), "hex": b.hex()} for id, b in zip(ids, given, strict=True)]
    print_json(about)


def _decode(tokenizer: Tokenizer, file: BinaryIO, as_json: bool) -> None:
    ids = _numbers(file.read())
    beyond = next((id for id in ids if id >= tokenizer.vocab_size), None)
    if beyond is not None:
        raise TokenError(f"token {beyond} is outside the vocabulary {tokenizer.name} of {tokenizer.vocab_size} ids")
    if as_json:
        print_json({"tokenizer": tokenizer.name, "count": len(ids), "ids": ids, "text": tokenizer.decode(ids)})
        return
    sys.stdout.buffer.write(tokenizer.decode_bytes(ids))
    sys.stdout.buffer.flush()


def _numbers(given: bytes) -> list[int]:
    """Ids separated by spaces, commas, brackets or line ends; TokenError for anything else."""
    parts = given.translate(bytes.maketrans(b",;[]()\n\r\t", b" " * 9)).split()
    wrong = next((part for part in parts if not part.isdigit() or len(part) > 9), None)
    if wrong is not None:
        raise TokenError(f"{escaped(wrong[:40])!r} is no token id; with --decode the input is ids such as: 33155 45")
    return [int(part) for part in parts]
