"""llama.cpp beside our native executor, on the same GGUF file: every type we write, and those it makes itself.

Beyond 16 bits llama.cpp rounds the activations of every matrix to eight bits, in blocks of 32 or 256 numbers; the
difference that makes is about 1 % of the logits' spread for each few layers, whatever the type of the weights.
"""

from __future__ import annotations

import ctypes
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import rookery
import rookery.tokenizer
from rookery.formats import Checkpoint, open_checkpoint, save_checkpoint
from rookery.initialise import make_config, random_model
from rookery.tokenizer import WorldTokenizer

pytestmark = pytest.mark.peer

VOCAB = 264
TOKENS = np.random.default_rng(0).integers(1, VOCAB, 24).tolist()
# Root mean square of the difference, of logits with a spread of 1; about twice what was measured.
WRITTEN = {"F32": 2e-6, "F16": 2e-3, "BF16": 1.2e-2} | dict.fromkeys(("Q8_0", "Q5_1", "Q5_0", "Q4_1", "Q4_0"), 0.04)
# Mixes of llama.cpp: the file type's number, a type they contain, and the same tolerance.
MADE = {"Q4_K_M": (15, "Q4_K"), "Q5_K_M": (17, "Q5_K"), "Q6_K": (18, "Q6_K"), "Q4_0": (2, "Q4_0"), "Q5_1": (9, "Q5_1")}


def model(version: str) -> Checkpoint:
    return random_model(make_config(version, layers=2, width=256, vocab=VOCAB, head_size=64, ffn=512), seed=1)


def ours(path: Path) -> np.ndarray:
    words = WorldTokenizer({1: b"a"}, "none")
    return rookery.load(path, tokenizer=words, threads=1).forward(TOKENS, full=True)[0]


def theirs(llama_cpp: Any, path: Path) -> np.ndarray:
    peer = llama_cpp.Llama(str(path), n_ctx=64, n_batch=32, logits_all=True, verbose=False, n_threads=1)
    peer.eval(TOKENS)
    logits = np.array(peer.scores[: len(TOKENS)])
    peer.close()
    return logits


def distance(a: np.ndarray, b: np.ndarray) -> float:
    return float(np.sqrt(np.mean((a - b) ** 2)) / b.std())


@pytest.mark.parametrize("dtype", WRITTEN)
@pytest.mark.parametrize("version", ["6", "7"])
def test_files_we_write(tmp_path: Path, version: str, dtype: str) -> None:
    llama_cpp = pytest.importorskip("llama_cpp")
    save_checkpoint(model(version), tmp_path / "m.gguf", dtype=dtype)
    assert distance(ours(tmp_path / "m.gguf"), theirs(llama_cpp, tmp_path / "m.gguf")) < WRITTEN[dtype]


@pytest.mark.parametrize("kind", MADE)
@pytest.mark.parametrize("version", ["6", "7"])
def test_files_it_quantises(tmp_path: Path, version: str, kind: str) -> None:
    llama_cpp = pytest.importorskip("llama_cpp")
    number, contained = MADE[kind]
    save_checkpoint(model(version), tmp_path / "m.gguf", dtype="F32")
    settings = llama_cpp.llama_model_quantize_default_params()
    settings.ftype = number
    names = [str(tmp_path / name).encode() for name in ("m.gguf", "small.gguf")]
    assert llama_cpp.llama_model_quantize(*names, ctypes.byref(settings)) == 0

    small = tmp_path / "small.gguf"
    assert contained in {tensor.format for tensor in open_checkpoint(small).tensors.values()}
    rounding, found = distance(ours(small), theirs(llama_cpp, small)), distance(ours(tmp_path / "m.gguf"), ours(small))
    assert rounding < 0.05
    if kind.startswith("Q4"):  # elsewhere the weights' own rounding is as small as the activations'
        assert rounding < found / 4


def test_the_world_vocabulary(tmp_path: Path) -> None:
    llama_cpp = pytest.importorskip("llama_cpp")
    words = rookery.tokenizer.world()
    known = {id: token for id in range(words.vocab_size) if (token := words.token_bytes(id))}
    large = random_model(make_config("7", layers=1, width=64, vocab=65536, head_size=64), seed=1)
    large.vocabulary = known
    save_checkpoint(large, tmp_path / "m.gguf", dtype="Q4_0")
    peer = llama_cpp.Llama(str(tmp_path / "m.gguf"), vocab_only=True, verbose=False)
    random = np.random.default_rng(3)
    texts = [random.bytes(int(n)) for n in random.integers(1, 80, 300)]
    texts += [b"".join(known[int(i)] for i in random.choice(list(known), 12)) for _ in range(300)]
    texts += [bytes(range(256)), b" " * 300, "漢字 🙂 ünï\r\n\n".encode()]
    for text in texts:
        found = peer.tokenize(text, add_bos=False, special=False)
        assert found == words.encode(text)
        if max(len(known[id]) for id in found) < 32:  # the binding's buffer for a token
            assert peer.detokenize(found) == text
    assert (peer.token_bos(), peer.token_eos()) == (0, 0)
    peer.close()
