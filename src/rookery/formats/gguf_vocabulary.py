r"""
The vocabulary inside a GGUF file: token bytes as escaped ASCII.

Printable ASCII stands for itself; `\n \t \r \\ \'` and `\xNN` (one byte each) for everything else.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from rookery.errors import FormatError

__all__ = ["CHAT_TEMPLATE", "CONTROL", "NORMAL", "UNUSED", "escape", "table", "unescape", "vocabulary"]

NORMAL, CONTROL, UNUSED = 1, 3, 5

_ESCAPED = {0x09: b"\\t", 0x0A: b"\\n", 0x0D: b"\\r", 0x27: b"\\'", 0x5C: b"\\\\"}
_FORMS = [_ESCAPED.get(b, bytes([b]) if 0x20 <= b < 0x7F else b"\\x%02x" % b) for b in range(256)]
_ESCAPE = re.compile(rb"\\(?:x([0-9a-fA-F]{2})|(.)|$)", re.DOTALL)
_LETTERS = {b"t": b"\t", b"n": b"\n", b"r": b"\r"}

# System text (the last system message), then the turns; of an answer only what follows its thoughts.
CHAT_TEMPLATE = """\
{{- bos_token -}}
{%- set last = namespace(system='') -%}
{%- for message in messages if message['role'] == 'system' -%}
{%- set last.system = message['content'] -%}
{%- endfor -%}
{%- if last.system -%}{{- 'System: ' + last.system + '\\n\\n' -}}{%- endif -%}
{%- for message in messages -%}
{%- if message['role'] == 'user' -%}
{{- 'User: ' + message['content'] | trim + '\\n\\n' -}}
{%- elif message['role'] == 'assistant' -%}
{{- 'Assistant: ' + message['content'].split('</think>')[-1] | trim + '\\n\\n' -}}
{%- endif -%}
{%- endfor -%}
{%- if add_generation_prompt -%}
{{- 'Assistant:' -}}
{%- if enable_thinking is defined -%}
{{- ' <think>' if enable_thinking else ' <think>\\n</think>' -}}
{%- endif -%}
{%- endif -%}
"""


def escape(token: bytes) -> bytes:
    return b"".join([_FORMS[b] for b in token])


def unescape(text: bytes) -> bytes:
    """The inverse of `escape`; also takes raw non-ASCII bytes, and a backslash before any other character."""
    return _ESCAPE.sub(_unescaped, text) if b"\\" in text else text


def vocabulary(metadata: Mapping[str, Any], origin: str) -> dict[int, bytes] | None:
    """Token bytes by id, NORMAL entries only; None where the file's tokenizer is another one.

    `<s>` and the `[PADn]` are left out: text that happens to contain these characters is ordinary text.
    """
    if metadata.get("tokenizer.ggml.model") != "rwkv":
        return None
    tokens, types = (metadata.get(f"tokenizer.ggml.{key}") for key in ("tokens", "token_type"))
    kinds = _plain(types)
    if not isinstance(tokens, list) or len(tokens) != len(kinds):
        raise FormatError(f"{origin}: tokenizer.ggml.tokens and .token_type should be arrays of one length")
    found = {i: unescape(text) for i, (text, kind) in enumerate(zip(tokens, kinds, strict=True)) if kind == NORMAL}
    empty = next((i for i, token in found.items() if not token), None)
    if empty is not None:
        raise FormatError(f"{origin}: token {empty} is a normal token without bytes")
    return found


def table(known: Mapping[int, bytes], size: int) -> tuple[list[bytes], list[int]]:
    """The `size` token strings and token types to store; ids outside `known` become `<s>` (id 0) or padding."""
    forms = {i: (escape(token), NORMAL) for i, token in known.items()}
    filler = {0: (b"<s>", CONTROL)}
    rows = [forms.get(i) or filler.get(i) or (b"[PAD%d]" % i, UNUSED) for i in range(size)]
    return [text for text, _ in rows], [kind for _, kind in rows]


def _plain(types: Any) -> Sequence[int]:
    return types.tolist() if isinstance(types, np.ndarray) else []


def _unescaped(match: re.Match[bytes]) -> bytes:
    if match[1] is not None:
        return bytes([int(match[1], 16)])
    return _LETTERS.get(match[2], match[2]) if match[2] is not None else b"\\"
