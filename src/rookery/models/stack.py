"""Embedding, blocks, head: what all versions share."""

from __future__ import annotations

from typing import Any

__all__ = ["block", "forward", "head", "hidden"]


def forward(o: Any, definition: Any, p: Any, states: Any) -> Any:
    """The logits of the wanted rows.

    o: the ops, bound to the call's tokens, segments and wanted rows; p: all parameters; states: one per block,
    changed in place.  Returns (wanted rows, vocab).
    """
    return head(o, p, hidden(o, definition, p, states))


def head(o: Any, p: Any, x: Any) -> Any:
    """From the hidden vectors to the logits."""
    return o.linear(x, p.head)


def hidden(o: Any, definition: Any, p: Any, states: Any) -> Any:
    """What the head reads, of the wanted rows: (wanted rows, width).  Arguments as for `forward`."""
    x = o.layer_norm(o.embed(p.emb), p.blocks[0].ln0)
    v_first = None
    for b, s in zip(p.blocks, states, strict=True):
        x, v_first = block(o, definition, b, x, s, v_first)
    return o.layer_norm(o.take(x), p.ln_out)


def block(o: Any, definition: Any, b: Any, x: Any, s: Any, v_first: Any) -> tuple[Any, Any]:
    """One block, with its parameters and state; x: (rows, width)."""
    y, v_first = definition.time_mix(o, b.att, o.layer_norm(x, b.ln1), s, v_first)
    x = x + y
    return x + definition.channel_mix(o, b.ffn, o.layer_norm(x, b.ln2), s), v_first
