"""The vocabulary that a model's file carries."""

from __future__ import annotations

from dataclasses import replace

from rookery.formats import Checkpoint
from rookery.tokenizer.choose import world

__all__ = ["with_vocabulary"]

_WORLD_ROWS = 65536


def with_vocabulary(checkpoint: Checkpoint) -> Checkpoint:
    """The checkpoint with the World's vocabulary, where it has none of its own and as many rows as the World.

    GGUF files carry their vocabulary, and other programs need it there.
    """
    config = checkpoint.config
    if checkpoint.vocabulary or config is None or config.vocab != _WORLD_ROWS:
        return checkpoint
    tokenizer = world()
    known = {id: tokenizer.token_bytes(id) for id in range(tokenizer.vocab_size)}
    return replace(checkpoint, vocabulary={id: token for id, token in known.items() if token})
