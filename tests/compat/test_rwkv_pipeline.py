"""PIPELINE against transcripts of the official package, and against the package itself where it is installed."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from goldens import FOLDER

from rookery.compat.rwkv import PIPELINE, PIPELINE_ARGS
from rookery.errors import NumericError, SettingsError, TokenError, UnsupportedError

RECORDED = json.loads((FOLDER / "pipeline.json").read_text(encoding="utf-8"))
VOCAB = 257


class Bytes:
    """Token = byte + 1; 0 ends a text."""

    def encode(self, text: str) -> list[int]:
        return [byte + 1 for byte in text.encode()]

    def decode(self, tokens: list[int]) -> str:
        return bytes(token - 1 for token in tokens if token).decode(errors="replace")


class Bigram:
    """The table of scripts/pipeline_goldens.py: logits by last token."""

    def __init__(self) -> None:
        table = np.random.RandomState(0).standard_normal((VOCAB, VOCAB)).astype(np.float32) * 2
        table[:, 33:127] += 3
        table[:, 128:] -= 9
        table[:, 0xC3 + 1] += 15
        table[0xC3 + 1, 0xA9 + 1] += 40
        self.table = table
        self.pieces: list[int] = []

    def forward(self, tokens: list[int], state: Any) -> tuple[np.ndarray, Any]:
        self.pieces.append(len(tokens))
        return self.table[tokens[-1]], (state or 0) + len(tokens)


@pytest.mark.parametrize("seed", range(len(RECORDED["samples"])))
def test_samples_draw_what_the_package_draws(seed: int) -> None:
    case = RECORDED["samples"][seed]
    logits = np.random.RandomState(seed).standard_normal((8, 300)).astype(np.float32) * 3
    kept = logits.copy()
    pipeline = PIPELINE(Bigram(), Bytes())
    np.random.seed(seed)
    drawn = [pipeline.sample_logits(row, case["temperature"], case["top_p"], case["top_k"]) for row in logits]
    assert drawn == case["drawn"]
    np.testing.assert_array_equal(logits, kept)


@pytest.mark.parametrize("seed", range(len(RECORDED["generations"])))
def test_generates_what_the_package_generates(seed: int) -> None:
    case = RECORDED["generations"][seed]
    model, pieces = Bigram(), []
    table = model.table.copy()
    np.random.seed(seed)
    text = PIPELINE(model, Bytes()).generate("Once, 12 rooks", 60, PIPELINE_ARGS(**case["args"]), pieces.append)
    assert (text, pieces, model.pieces) == (case["text"], case["pieces"], case["chunks"])
    np.testing.assert_array_equal(model.table, table)  # bans and penalties must not reach into the model


def test_recorded_generations_meet_every_rule() -> None:
    cases = RECORDED["generations"]
    assert any("é" in case["pieces"] for case in cases)  # held back until whole
    assert any(set("0123456789 ") & set(case["text"]) for case in cases)  # light tokens
    assert 0 < min(len(case["chunks"]) for case in cases) < 60  # a stop token


def test_defaults_are_the_packages() -> None:
    assert PIPELINE_ARGS() == PIPELINE_ARGS(1.0, 0.85, 0, 0.2, 0.2, 0.996, [], [], 256)
    assert PIPELINE_ARGS().token_ban is not PIPELINE_ARGS().token_ban


def test_state_is_carried_through_prompt_and_tokens() -> None:
    seen: list[Any] = []

    class Spy(Bigram):
        def forward(self, tokens: list[int], state: Any) -> tuple[np.ndarray, Any]:
            seen.append(state)
            return super().forward(tokens, state)

    PIPELINE(Spy(), Bytes()).generate("abcde", 3, PIPELINE_ARGS(chunk_len=2, top_p=0), state=100)
    assert seen == [100, 102, 104, 105, 106]


def test_no_tokens_asked_for_is_no_text() -> None:
    model = Bigram()
    assert PIPELINE(model, Bytes()).generate("a", 0) == ""
    assert model.pieces == []


def test_logits_may_be_anything_with_array() -> None:
    class Foreign:
        def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
            return np.array([0, 9, 0], dtype or np.float64)

    assert PIPELINE(Bigram(), Bytes()).sample_logits(Foreign(), top_p=0) == 1


def test_top_p_of_one_keeps_everything() -> None:
    """Rounding makes the cumulated probability of 65536 equal tokens end beside 1; that must not become greedy."""
    pipeline = PIPELINE(Bigram(), Bytes())
    np.random.seed(0)
    drawn = {pipeline.sample_logits(np.zeros(65536, np.float32), top_p=1.0) for _ in range(20)}
    assert len(drawn) > 10


def test_a_tiny_temperature_is_greedy() -> None:
    logits = np.zeros(1000, np.float32)
    logits[7] = 0.5
    assert PIPELINE(Bigram(), Bytes()).sample_logits(logits, temperature=1e-4, top_p=0.9) == 7


def test_token_zero_is_no_text_and_hides_nothing() -> None:
    class Ends(Bigram):
        def forward(self, tokens: list[int], state: Any) -> tuple[np.ndarray, Any]:
            row = np.zeros(VOCAB, np.float32)
            row[98 if tokens[-1] == 0 else 0] = 9  # "a" after the end, else the end
            return row, state

    args = PIPELINE_ARGS(top_p=0, alpha_frequency=0, alpha_presence=0)
    assert PIPELINE(Ends(), Bytes()).generate("x", 4, args) == "aa"


@pytest.mark.parametrize(
    ("text", "expected"),
    [("", "\n"), (" \r\n \u3000\n", "\n"), ("a", "\na"), ("  a \r\n\n\n\u3000b\u3000 c\n", "\na\nb\u3000 c")],
)
def test_refine_context(text: str, expected: str) -> None:
    assert PIPELINE(Bigram(), Bytes()).refine_context(text) == expected


@pytest.mark.parametrize(
    ("logits", "error"),
    [
        (np.full(5, -np.inf), NumericError),
        (np.array([0, np.nan]), NumericError),
        (np.array([0, np.inf]), NumericError),
        (np.zeros((2, 3)), SettingsError),
        (np.zeros(0), SettingsError),
    ],
)
def test_logits_that_cannot_be_sampled(logits: np.ndarray, error: type[Exception]) -> None:
    with pytest.raises(error, match="logits"):
        PIPELINE(Bigram(), Bytes()).sample_logits(logits)


@pytest.mark.parametrize(
    ("prompt", "args", "error", "says"),
    [
        ("", {}, TokenError, "no tokens"),
        ("a", {"chunk_len": 0}, SettingsError, "chunk_len is 0"),
        ("a", {"token_ban": [VOCAB]}, TokenError, "token_ban holds 257"),
        ("a", {"token_ban": [-1]}, TokenError, "token_ban holds -1"),
        ("a", {"temperature": -1}, SettingsError, "temperature is -1"),
        ("a", {"temperature": float("nan")}, SettingsError, "temperature is nan"),
        ("a", {"token_ban": range(VOCAB)}, NumericError, "every token is banned"),
    ],
)
def test_bad_requests(prompt: str, args: dict[str, Any], error: type[Exception], says: str) -> None:
    with pytest.raises(error, match=says):
        PIPELINE(Bigram(), Bytes()).generate(prompt, 5, PIPELINE_ARGS(**args))


def test_cl100k_is_refused() -> None:
    with pytest.raises(UnsupportedError, match="cl100k_base"):
        PIPELINE(Bigram(), "cl100k_base")


@pytest.mark.peer
def test_sampling_against_the_package() -> None:
    torch = pytest.importorskip("torch")
    peer = pytest.importorskip("rwkv.utils").PIPELINE(None, "rwkv_vocab_v20230424")
    ours = PIPELINE(Bigram(), Bytes())
    random = np.random.default_rng(5)
    for seed in range(300):
        logits = random.normal(0, random.uniform(0.1, 6), random.integers(1, 500)).astype(np.float32)
        settings = (random.choice([0, 0.3, 1.0, 1.7]), random.uniform(0, 0.98), int(random.integers(0, 60)))
        np.random.seed(seed)
        expected = peer.sample_logits(torch.tensor(logits), *settings)
        np.random.seed(seed)
        assert ours.sample_logits(logits, *settings) == expected, (seed, settings)


@pytest.mark.peer
def test_text_rules_against_the_package() -> None:
    utils = pytest.importorskip("rwkv.utils")
    assert vars(utils.PIPELINE_ARGS()) == vars(PIPELINE_ARGS())
    peer, ours = utils.PIPELINE(None, "rwkv_vocab_v20230424"), PIPELINE(Bigram(), Bytes())
    random = np.random.default_rng(6)
    for _ in range(2000):
        text = "".join(random.choice(list("ab \t\r\n\n\u3000\x0b\x85\x1c"), random.integers(0, 12)))
        assert ours.refine_context(text) == peer.refine_context(text), repr(text)


def test_the_packages_name_of_the_world_tokenizer() -> None:
    pytest.importorskip("rookery.tokenizer")
    pipeline = PIPELINE(Bigram(), "rwkv_vocab_v20230424")
    assert pipeline.encode("Hello, world!") == [33155, 45, 40213, 34]
    assert pipeline.decode([10464, 11685]) == "你好"
