"""
Choosing the next token.

`Sampler` is a set of settings: immutable, validated when built, shared by any number of requests.  `Draw` is one
request: the random numbers and what has been generated so far.  The work is native; docs/sampling.md gives formulas.
"""

from __future__ import annotations

import math
import secrets
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from numbers import Integral, Real
from typing import Any, NamedTuple

import numpy as np

import rookery._native as _native
from rookery.errors import SettingsError

__all__ = ["Draw", "Logprobs", "Sampler", "mask_of"]

MAX_VOCAB = 1 << 24
MAX_WINDOW = 1 << 20
MAX_LOGPROBS = 1000
ORDERS = ("rwkv", "usual")

# Name -> lowest and highest value.
_REALS = {
    "temperature": (0.0, 1e30),
    "top_p": (0.0, 1.0),
    "min_p": (0.0, 1.0),
    "typical_p": (0.0, 1.0),
    "presence_penalty": (-1e6, 1e6),
    "frequency_penalty": (-1e6, 1e6),
    "penalty_decay": (0.0, 1.0),
    "repetition_penalty": (1e-3, 1e3),
}
_INTEGERS = {
    "top_k": (0, (1 << 31) - 1),
    "repeat_last_n": (0, MAX_WINDOW),
}
_MIN_TEMPERATURE = 1e-30  # dividing float32 logits by less would lose everything; 0 is greedy
_MAX_BIAS = 1e30


class Logprobs(NamedTuple):
    """Natural logarithms of probabilities under the raw logits: softmax before bans, penalties and filters.

    chosen: of the token asked about.
    top:    (token, log-probability), descending, equal ones by ascending id; impossible tokens are left out.
    """

    chosen: float
    top: list[tuple[int, float]]


@dataclass(frozen=True, slots=True)
class Sampler:
    """How to choose a token.

    temperature: 0 is greedy: the likeliest token, the lowest id among equals.
    top_p:       keep the likeliest tokens holding this much probability, and ties; 1 is off, 0 is greedy.
    top_k:       keep the k likeliest tokens; 0 is off.
    min_p:       keep tokens at least this fraction as likely as the likeliest; 0 is off.
    typical_p:   keep the tokens of most typical information holding this much probability; 1 is off.
    presence_penalty, frequency_penalty: subtracted from the logit of a token generated before, once and per
                 occurrence; penalty_decay multiplies the number of occurrences once per generated token.
    repetition_penalty: divides positive and multiplies negative logits of the last `repeat_last_n` tokens; 1 is off.
    logit_bias:  added to the logit of a token; `ban` removes tokens.
    seed:        0 to 2^64 - 1; None draws one for each request (see `Draw.seed`).
    order:       "rwkv": filters, then temperature; "usual": temperature, then filters.
    logprobs:    how many alternatives `Draw.logprobs` lists; None does not compute it.

    Penalties count generated tokens only, never the prompt.  Raises SettingsError for impossible values.
    """

    temperature: float = 1.0
    top_p: float = 0.5
    top_k: int = 0
    min_p: float = 0.0
    typical_p: float = 1.0
    presence_penalty: float = 0.0
    frequency_penalty: float = 0.0
    penalty_decay: float = 0.996
    repetition_penalty: float = 1.0
    repeat_last_n: int = 64
    logit_bias: Mapping[int, float] = field(default_factory=dict)
    ban: Sequence[int] = ()
    seed: int | None = None
    order: str = "rwkv"
    logprobs: int | None = None

    def __post_init__(self) -> None:
        for name, (low, high) in _REALS.items():
            _store(self, name, _real(name, getattr(self, name), low, high))
        for name, bounds in _INTEGERS.items():
            _store(self, name, _integer(name, getattr(self, name), *bounds))
        if 0 < self.temperature < _MIN_TEMPERATURE:
            raise SettingsError(
                f"temperature is {self.temperature}, expected 0 (greedy) or at least {_MIN_TEMPERATURE}"
            )
        if self.seed is not None:
            _store(self, "seed", _integer("seed", self.seed, 0, (1 << 64) - 1))
        if self.logprobs is not None:
            _store(self, "logprobs", _integer("logprobs", self.logprobs, 0, MAX_LOGPROBS))
        if self.order not in ORDERS:
            raise SettingsError(f"order is {self.order!r}, expected one of: {', '.join(ORDERS)}")
        _store(self, "logit_bias", _biases(self.logit_bias))
        _store(self, "ban", tuple(sorted(set(_ids("ban", self.ban, MAX_VOCAB)))))

    @classmethod
    def greedy(cls) -> Sampler:
        """Always the likeliest token."""
        return cls(temperature=0.0)

    def start(self, vocab: int, *, penalty_free: Iterable[int] = ()) -> Draw:
        """Begin a request over `vocab` tokens.

        penalty_free: ids whose occurrences weigh nothing; once generated they still cost `presence_penalty`.
        Raises SettingsError when an id lies outside the vocabulary or the bans leave no token.
        """
        vocab = _integer("vocab", vocab, 1, MAX_VOCAB)
        _ids("logit_bias", self.logit_bias, vocab)
        _ids("ban", self.ban, vocab)
        if len(self.ban) == vocab:
            raise SettingsError(f"ban lists all {vocab} tokens, expected to leave at least one")
        seed = secrets.randbits(64) if self.seed is None else self.seed
        free = sorted(set(_ids("penalty_free", penalty_free, vocab)))
        return Draw(_native.Sampler(_settings(self, free), vocab, seed), vocab)


class Draw:
    """One request's choices: made by `Sampler.start`.

    The tokens are a function of the settings, the seed, the logits and the tokens accepted before, the same on every
    platform.  `clone` is a snapshot: keep one to roll back, or go on with both to branch.
    """

    __slots__ = ("_native", "vocab")

    def __init__(self, native: Any, vocab: int) -> None:
        self._native = native
        self.vocab = vocab

    @property
    def seed(self) -> int:
        """Where the random numbers started: pass it to `Sampler` to repeat this request."""
        return int(self._native.seed)

    @property
    def logprobs(self) -> Logprobs | None:
        """Of the latest sampled token; None before the first, or if `Sampler.logprobs` is None."""
        found = self._native.logprobs
        return None if found is None else Logprobs(*found)

    def sample(self, logits: np.ndarray, allowed: np.ndarray | None = None) -> int:
        """Choose a token and accept it.

        logits:  float32 (vocab,); read only.
        allowed: None, or the tokens to choose from as `mask_of` packs them: uint32 (ceil(vocab / 32),).

        Raises NumericError (naming the token) for NaN or +infinity and where every choice is -infinity;
        SettingsError for arrays of the wrong shape or type and for a mask that leaves nothing.  Neither changes
        the draw.  The interpreter lock is released meanwhile.
        """
        return int(self._native.sample(self._logits(logits), self._mask(allowed)))

    def distribution(self, logits: np.ndarray, allowed: np.ndarray | None = None) -> np.ndarray:
        """The probabilities from which `sample` would draw: float32 (vocab,), 0 for what was filtered out."""
        out = np.empty(self.vocab, np.float32)
        self._native.distribution(self._logits(logits), self._mask(allowed), out)
        return out

    def score(self, logits: np.ndarray, token: int, top: int = 0) -> Logprobs:
        """Log-probabilities of `token` and of the `top` likeliest; for tokens that were not sampled."""
        token = _integer("token", token, 0, self.vocab - 1)
        return Logprobs(*self._native.score(self._logits(logits), token, _integer("top", top, 0, MAX_LOGPROBS)))

    def accept(self, token: int) -> None:
        """Count a token that was forced from outside, as if it had been sampled."""
        self._native.accept(_integer("token", token, 0, self.vocab - 1))

    def clone(self, *, seed: int | None = None) -> Draw:
        """An independent copy that goes on identically, or with fresh random numbers from `seed`."""
        native = self._native.clone()
        if seed is not None:
            native.reseed(_integer("seed", seed, 0, (1 << 64) - 1))
        return Draw(native, self.vocab)

    def reset(self) -> None:
        """Back to the start: nothing generated, random numbers from `seed` again."""
        self._native.reset(self.seed)

    def _logits(self, logits: np.ndarray) -> np.ndarray:
        return _row("logits", logits, np.dtype(np.float32), self.vocab)

    def _mask(self, allowed: np.ndarray | None) -> np.ndarray | None:
        return None if allowed is None else _row("allowed", allowed, np.dtype(np.uint32), (self.vocab + 31) // 32)


def mask_of(ids: Iterable[int], vocab: int) -> np.ndarray:
    """Pack token ids as `Draw.sample` takes them.

    Returns uint32 (ceil(vocab / 32),): bit i % 32 of word i // 32 stands for token i.
    """
    vocab = _integer("vocab", vocab, 1, MAX_VOCAB)
    bits = np.zeros((vocab + 31) // 32 * 32, np.uint8)
    bits[_ids("mask", ids, vocab)] = 1
    return np.packbits(bits, bitorder="little").view("<u4").astype(np.uint32, copy=False)


def _settings(sampler: Sampler, penalty_free: list[int]) -> Any:
    """The native twin of a sampler."""
    native = _native.SamplerSettings()
    native.order = getattr(_native.Order, sampler.order)
    for name in (*_REALS, *_INTEGERS):
        setattr(native, name, getattr(sampler, name))
    native.logit_bias = sorted(sampler.logit_bias.items())
    native.ban = list(sampler.ban)
    native.penalty_free = penalty_free
    native.logprobs = -1 if sampler.logprobs is None else sampler.logprobs
    return native


def _store(sampler: Sampler, name: str, value: object) -> None:
    object.__setattr__(sampler, name, value)


def _real(name: str, value: object, low: float, high: float) -> float:
    if isinstance(value, bool) or not isinstance(value, Real) or not low <= float(value) <= high:  # also refuses NaN
        raise SettingsError(f"{name} is {value!r}, expected a number between {low:g} and {high:g}")
    return float(value)


def _integer(name: str, value: object, low: int, high: int) -> int:
    if isinstance(value, bool) or not isinstance(value, Integral) or not low <= int(value) <= high:
        raise SettingsError(f"{name} is {value!r}, expected an integer between {low} and {high}")
    return int(value)


def _ids(name: str, ids: Iterable[int], vocab: int) -> list[int]:
    if isinstance(ids, str | bytes) or not isinstance(ids, Iterable):
        raise SettingsError(f"{name} is {ids!r}, expected token ids")
    return [_integer(f"a token id in {name}", i, 0, vocab - 1) for i in ids]


def _biases(biases: Mapping[int, float]) -> dict[int, float]:
    if not isinstance(biases, Mapping):
        raise SettingsError(f"logit_bias is {biases!r}, expected a mapping of token ids to numbers")
    ids = _ids("logit_bias", biases, MAX_VOCAB)
    for token, bias in biases.items():
        if not isinstance(bias, Real) or not math.isfinite(bias) or abs(bias) > _MAX_BIAS:
            raise SettingsError(
                f"logit_bias of token {token} is {bias!r}, expected a finite number up to ±{_MAX_BIAS:g}; "
                "use ban to exclude a token"
            )
    return dict(zip(ids, map(float, biases.values()), strict=True))


def _row(name: str, array: np.ndarray, dtype: np.dtype[Any], length: int) -> np.ndarray:
    if not isinstance(array, np.ndarray):
        raise SettingsError(f"{name} is a {type(array).__name__}, expected a numpy array, {dtype} of shape ({length},)")
    if array.dtype != dtype or array.shape != (length,):
        raise SettingsError(f"{name} is {array.dtype} of shape {array.shape}, expected {dtype} of shape ({length},)")
    return np.ascontiguousarray(array)
