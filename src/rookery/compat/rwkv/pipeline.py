"""
PIPELINE and PIPELINE_ARGS of the `rwkv` package: text in, text out, over any model with its `forward`.

Arguments, defaults, the order of sampling steps and the numbers drawn are the package's: with an equal
`numpy.random.seed` the same logits give the same tokens as the package's CPU path.  Three things differ, each where
the package goes wrong silently: top_p >= 1 keeps every token (rounding may turn it greedy there), token 0 is no text
(there nothing more is shown once it was drawn), and logits that cannot be sampled from are a NumericError.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from os import PathLike, fspath
from typing import Any, Protocol

import numpy as np

from rookery.errors import NumericError, SettingsError, TokenError, UnsupportedError

__all__ = ["PIPELINE", "PIPELINE_ARGS"]

_WORLD = "rwkv_vocab_v20230424"
_PENALTY_FREE = " \t0123456789"  # repeating a piece of this adds nothing to its frequency penalty
_INCOMPLETE = "\ufffd"


class Tokenizer(Protocol):
    def encode(self, text: str, /) -> list[int]: ...

    def decode(self, tokens: list[int], /) -> str: ...


class Model(Protocol):
    def forward(self, tokens: list[int], state: Any, /) -> tuple[Any, Any]: ...


@dataclass
class PIPELINE_ARGS:
    """How `PIPELINE.generate` samples.

    temperature, top_p, top_k: see `PIPELINE.sample_logits`.
    alpha_frequency, alpha_presence: subtracted from the logit of a token that was generated, per use and once.
    alpha_decay:  what the use counts are multiplied with after each token.
    token_ban:    tokens never generated.
    token_stop:   tokens that end the text; they are not part of it.
    chunk_len:    prompt tokens per call of the model.
    """

    temperature: float = 1.0
    top_p: float = 0.85
    top_k: int = 0
    alpha_frequency: float = 0.2
    alpha_presence: float = 0.2
    alpha_decay: float = 0.996
    token_ban: Sequence[int] = field(default_factory=list)
    token_stop: Sequence[int] = field(default_factory=list)
    chunk_len: int = 256


class PIPELINE:
    """A model and its tokenizer.

    model:     anything with `forward(tokens, state) -> (logits, state)`; logits (vocab,), a numpy array or what has
               `__array__`; a state of None is the start of a text.
    WORD_NAME: "rwkv_vocab_v20230424", the path of a tokenizer file such as "20B_tokenizer.json", or an object with
               `encode` and `decode`.
    """

    def __init__(self, model: Model, WORD_NAME: str | PathLike[str] | Tokenizer) -> None:
        self.model = model
        self.tokenizer = _tokenizer(WORD_NAME)

    def refine_context(self, context: str) -> str:
        """A line break, then the lines that hold more than white space, each stripped."""
        lines = (line.strip() for line in context.strip().split("\n"))
        return "\n" + "\n".join(line for line in lines if line)

    def encode(self, x: str) -> list[int]:
        return list(self.tokenizer.encode(x))

    def decode(self, x: Sequence[int]) -> str:
        return self.tokenizer.decode(list(x))

    def sample_logits(self, logits: Any, temperature: float = 1.0, top_p: float = 0.85, top_k: int = 0) -> int:
        """Draw a token from numpy's global generator; `logits` (vocab,) stay as they are.

        top_p:       keep the likeliest tokens that together reach this probability, and their equals; 0 is greedy.
        top_k:       then keep the k likeliest; 0 keeps all.
        temperature: then flatten (> 1) or sharpen (< 1) what is left; 0 is greedy.
        """
        if not temperature >= 0:
            raise SettingsError(f"temperature is {temperature}; expected 0 (greedy) or more")
        if temperature == 0:
            temperature, top_p = 1.0, 0.0
        probs = _softmax(_vector(logits))
        order = np.argsort(probs)
        probs[probs < _cutoff(probs[order[::-1]], top_p)] = 0
        top_k = int(top_k)
        if 0 < top_k < probs.size:
            probs[order[:-top_k]] = 0
        if temperature != 1.0:
            probs = (probs / probs.max()) ** (1.0 / temperature)  # the likeliest stays 1: nothing underflows to 0 / 0
        return int(np.random.choice(probs.size, p=probs / probs.sum()))

    def generate(
        self,
        ctx: str,
        token_count: int = 100,
        args: PIPELINE_ARGS | None = None,
        callback: Callable[[str], object] | None = None,
        state: Any = None,
    ) -> str:
        """Continue `ctx` by at most `token_count` tokens; returns the new text.

        callback: called with each piece of new text, whole characters only.
        state:    what the model has read before `ctx`.
        """
        args = PIPELINE_ARGS() if args is None else args
        tokens, uses, told = self.encode(ctx), _Uses(args), _Told(self, callback)
        for _ in range(token_count):
            logits, state = self._forward(tokens, state, args.chunk_len)
            token = self.sample_logits(uses.penalise(logits), args.temperature, args.top_p, args.top_k)
            if token in args.token_stop:
                break
            uses.add(token, self.decode([token]))
            told.add(token)
            tokens = [token]
        return told.text

    def _forward(self, tokens: list[int], state: Any, chunk_len: int) -> tuple[np.ndarray, Any]:
        """The logits after all tokens, a fresh array."""
        if not tokens:
            raise TokenError("the prompt has no tokens, so there is nothing to continue; give at least one character")
        if chunk_len < 1:
            raise SettingsError(f"chunk_len is {chunk_len}; expected at least 1")
        logits = None
        for start in range(0, len(tokens), chunk_len):
            logits, state = self.model.forward(tokens[start : start + chunk_len], state)
        return _vector(logits).copy(), state


class _Uses:
    """How often each token was generated, fading."""

    def __init__(self, args: PIPELINE_ARGS) -> None:
        self.args = args
        self.counts: dict[int, float] = {}

    def penalise(self, logits: np.ndarray) -> np.ndarray:
        """Bans, then penalties, in place.  A token of count 0 still pays for its presence."""
        for token in self.args.token_ban:
            if not 0 <= token < logits.size:
                raise TokenError(f"token_ban holds {token}; expected tokens from 0 to {logits.size - 1}")
            logits[token] = -np.inf
        for token, count in self.counts.items():
            logits[token] -= self.args.alpha_presence + count * self.args.alpha_frequency
        return logits

    def add(self, token: int, text: str) -> None:
        for other in self.counts:
            self.counts[other] *= self.args.alpha_decay
        self.counts[token] = self.counts.get(token, 0) + (0 if text in _PENALTY_FREE else 1)


class _Told:
    """Generated text, told in whole characters: tokens wait while they end inside one."""

    def __init__(self, pipeline: PIPELINE, callback: Callable[[str], object] | None) -> None:
        self.pipeline = pipeline
        self.callback = callback
        self.waiting: list[int] = []
        self.text = ""

    def add(self, token: int) -> None:
        self.waiting.append(token)
        piece = self.pipeline.decode(self.waiting)
        if _INCOMPLETE in piece:
            return
        self.waiting.clear()
        self.text += piece
        if self.callback:
            self.callback(piece)


def _tokenizer(name: str | PathLike[str] | Tokenizer) -> Tokenizer:
    if not isinstance(name, str | PathLike):
        return name
    if name == "cl100k_base":
        raise UnsupportedError(
            "the cl100k_base vocabulary is not supported; use 'rwkv_vocab_v20230424', a tokenizer file, or pass an "
            "object with encode and decode"
        )
    from rookery.tokenizer import load_tokenizer

    tokenizer: Tokenizer = load_tokenizer("world" if name == _WORLD else fspath(name))
    return tokenizer


def _vector(logits: Any) -> np.ndarray:
    """float32 (vocab,)"""
    array = np.asarray(logits, np.float32)
    if array.ndim != 1 or array.size == 0:
        raise SettingsError(f"logits have shape {array.shape}; expected those of one position, (vocab,)")
    return array


def _softmax(logits: np.ndarray) -> np.ndarray:
    top = logits.max()
    if not np.isfinite(top):
        raise NumericError("the logits hold NaN or +infinity, or every token is banned; nothing can be sampled")
    exponentials = np.exp(logits - top)
    result: np.ndarray = exponentials / exponentials.sum()
    return result


def _cutoff(descending: np.ndarray, top_p: float) -> float:
    """The probability of the token with which the likeliest reach `top_p`."""
    if top_p >= 1:
        return 0.0
    return float(descending[np.argmax(np.cumsum(descending) >= top_p)])
