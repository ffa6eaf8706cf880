"""
The part of make_goldens.py that records how the official `rwkv` package samples and generates.

Two kinds of models: the byte-level RWKV-7 golden, and a table of logits by last token that needs no model at all.
"""

from __future__ import annotations

from typing import Any

import numpy as np

VOCAB = 257  # of the byte models: token = byte + 1, and 0 ends a text

# (temperature, top_p, top_k)
SAMPLERS = ((1.0, 0.85, 0), (1.0, 0.0, 0), (0.0, 0.9, 0), (0.7, 0.5, 0), (2.0, 0.95, 5), (1.3, 0.9, 1), (1.0, 0.6, 999))

_ARGS: tuple[dict[str, Any], ...] = (
    {},
    {"top_p": 0.0},
    {"temperature": 0.8, "top_p": 0.6, "top_k": 20, "alpha_decay": 0.5},
    {"top_p": 0.3, "alpha_frequency": 2.0, "alpha_presence": 1.5, "token_ban": [0, 33], "chunk_len": 3},
    {"token_stop": [0, 75]},
)


class Bytes:
    """A tokenizer of single bytes."""

    def encode(self, text: str) -> list[int]:
        return [byte + 1 for byte in text.encode()]

    def decode(self, tokens: list[int]) -> str:
        return bytes(token - 1 for token in tokens if token).decode(errors="replace")


class Bigram:
    """Logits by last token, from a table that prefers ASCII, and the two bytes of an e with an accent."""

    def __init__(self) -> None:
        import torch

        table = np.random.RandomState(0).standard_normal((VOCAB, VOCAB)).astype(np.float32) * 2
        table[:, 33:127] += 3
        table[:, 128:] -= 9
        table[:, 0xC3 + 1] += 15
        table[0xC3 + 1, 0xA9 + 1] += 40
        self.table = torch.tensor(table)
        self.pieces: list[int] = []

    def forward(self, tokens: list[int], state: Any) -> tuple[Any, Any]:
        self.pieces.append(len(tokens))
        return self.table[tokens[-1]].clone(), state


def samples() -> list[dict[str, Any]]:
    """What PIPELINE.sample_logits draws from numpy's global generator, seeded with the case's number."""
    import torch
    from rwkv.utils import PIPELINE

    pipeline = PIPELINE(None, "rwkv_vocab_v20230424")
    out = []
    for seed, (temperature, top_p, top_k) in enumerate(SAMPLERS):
        logits = np.random.RandomState(seed).standard_normal((8, 300)).astype(np.float32) * 3
        np.random.seed(seed)
        drawn = [pipeline.sample_logits(torch.tensor(row), temperature, top_p, top_k) for row in logits]
        out.append({"temperature": temperature, "top_p": top_p, "top_k": top_k, "drawn": drawn})
    return out


def generations() -> list[dict[str, Any]]:
    """What PIPELINE.generate says over the table, with numpy's global generator seeded with the case's number."""
    from rwkv.utils import PIPELINE, PIPELINE_ARGS

    out = []
    for seed, settings in enumerate(_ARGS):
        model = Bigram()
        pipeline = PIPELINE(model, "rwkv_vocab_v20230424")
        pipeline.tokenizer = Bytes()
        np.random.seed(seed)
        pieces: list[str] = []
        args = PIPELINE_ARGS(**settings)
        text = pipeline.generate("Once, 12 rooks", token_count=60, args=args, callback=pieces.append)
        out.append({"args": settings, "text": text, "pieces": pieces, "chunks": model.pieces})
    return out


def transcript(peer: Any) -> dict[str, Any]:
    """What PIPELINE.generate says greedily with an RWKV model over bytes, in pieces of seven tokens."""
    from rwkv.utils import PIPELINE, PIPELINE_ARGS

    settings = {"top_p": 0.0, "alpha_frequency": 0.3, "alpha_presence": 0.4, "alpha_decay": 0.9, "chunk_len": 7}
    settings |= {"token_ban": [0, *range(129, VOCAB)]}
    pipeline = PIPELINE(peer, "rwkv_vocab_v20230424")
    pipeline.tokenizer = Bytes()
    prompt, pieces = "\nThe quick brown fox jumps over", []
    text = pipeline.generate(prompt, token_count=40, args=PIPELINE_ARGS(**settings), callback=pieces.append)
    return {"model": "v7-bytes", "prompt": prompt, "count": 40, "args": settings, "text": text, "pieces": pieces}
