"""RWKV and PIPELINE of rookery.compat beside the official package.

The package chooses between RWKV-7 and its elders when it is imported, so each side runs in a process of its own
(`python test_rwkv_peer.py GOOSE FOLDER`) and leaves what it found as JSON and arrays.
"""

from __future__ import annotations

import json
import os
import random
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from goldens import GOLDENS, load_golden

from rookery.compat.rwkv import PIPELINE, PIPELINE_ARGS, RWKV
from rookery.compat.rwkv.strategy import StrategyError, parse
from rookery.formats import Checkpoint, open_checkpoint, save_checkpoint
from rookery.formats.lazy import array
from rookery.quant import FORMATS

TOLERANCE = 1e-4
CALLS = [([3, 1, 4, 1, 5], True), ([9], True), ([9], False), ([2, 6], False), ([5, 3], True)]
PROMPT, SETTINGS = "One, two: 3", {"temperature": 1.2, "top_p": 0.7, "token_ban": [0, *range(129, 257)]}


class Bytes:
    def encode(self, text: str) -> list[int]:
        return [byte + 1 for byte in text.encode()]

    def decode(self, tokens: list[int]) -> str:
        return bytes(token - 1 for token in tokens if token).decode(errors="replace")


def walk(model: Any, state: Any) -> list[np.ndarray]:
    """The logits of some calls, one going on from the other."""
    out = []
    for tokens, full in CALLS:
        logits, state = model.forward(list(tokens), state, full_output=full)
        out.append(np.array(logits))
    return out + [np.array(a) for a in state]


def keeps_list(model: Any) -> bool:
    _, state = model.forward([1, 2], None)
    return model.forward([3], state)[1] is state


def generate(pipeline: Any, args: Any) -> list[str]:
    pipeline.tokenizer = Bytes()
    out = []
    for seed in range(5):
        np.random.seed(seed)
        out.append(pipeline.generate(PROMPT, 30, args(**SETTINGS)))
    return out


def names(goose: str) -> list[str]:
    return [n for n in GOLDENS if (load_golden(n).config_hint.version == "7") == (goose == "1")]


def stored(name: str, dtype: str) -> Checkpoint:
    """A golden in this type, but for what the package computes in the file's type: the normalised embedding."""
    checkpoint = open_checkpoint(load_golden(name).checkpoint_path)
    for tensor_name, tensor in checkpoint.tensors.items():
        format = "F32" if tensor_name.startswith(("emb.", "blocks.0.ln0.")) else dtype
        encode = FORMATS[format].encode
        assert encode is not None
        checkpoint.tensors[tensor_name] = array(format, encode(tensor.numpy()))
    return checkpoint


def official(goose: str, folder: Path) -> None:
    """The other process.  Reads NAME.pth (written by us) and NAME.npz (states of ours), writes NAME.out.npz."""
    import torch
    from rwkv.model import RWKV as Official
    from rwkv.utils import PIPELINE as OfficialPipeline
    from rwkv.utils import PIPELINE_ARGS as OfficialArgs

    found: dict[str, Any] = {}
    for name in names(goose):
        model = Official(model=str(folder / name), strategy="cpu fp32")
        with np.load(folder / f"{name}.npz") as ours:
            given = [torch.tensor(ours[key]) for key in sorted(ours)]
        fresh, further = walk(model, None), walk(model, given)
        np.savez(folder / f"{name}.out.npz", *fresh, *further)
        found[name] = {"arrays": len(fresh), "keeps": keeps_list(model)}
        if name == "v7-bytes":
            found["text"] = generate(OfficialPipeline(model, "rwkv_vocab_v20230424"), OfficialArgs)
    (folder / f"{goose}.json").write_text(json.dumps(found))


@pytest.mark.peer
@pytest.mark.parametrize(("goose", "dtype"), [("0", "F32"), ("0", "BF16"), ("1", "F16"), ("1", "BF16")])
def test_same_as_the_package(goose: str, dtype: str, tmp_path: Path) -> None:
    """From the same files, which `save_checkpoint` wrote."""
    pytest.importorskip("torch")
    pytest.importorskip("rwkv")
    for name in names(goose):
        save_checkpoint(stored(name, dtype), tmp_path / f"{name}.pth")
    models = {n: RWKV(tmp_path / f"{n}.pth", "cpu fp32", verbose=False) for n in names(goose)}
    for name, model in models.items():
        _, state = model.forward([7, 7, 8], None)
        np.savez(tmp_path / f"{name}.npz", **{f"{i:02}": a for i, a in enumerate(state)})
    env = {**os.environ, "RWKV_V7_ON": goose, "RWKV_JIT_ON": "0", "RWKV_CUDA_ON": "0"}
    env["PYTHONPATH"] = os.pathsep.join(sys.path)
    done = subprocess.run([sys.executable, __file__, goose, str(tmp_path)], env=env, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    found = json.loads((tmp_path / f"{goose}.json").read_text())
    for name, model in models.items():
        _, state = model.forward([7, 7, 8], None)
        ours = [*walk(model, None), *walk(model, state)]
        assert found[name] == {"arrays": len(ours) // 2, "keeps": keeps_list(model)}
        with np.load(tmp_path / f"{name}.out.npz") as theirs:
            for i, array in enumerate(ours):
                assert array.shape == theirs[f"arr_{i}"].shape, (name, i)
                np.testing.assert_allclose(array, theirs[f"arr_{i}"], atol=TOLERANCE, err_msg=f"{name} {i}")
    if "text" in found:
        assert generate(PIPELINE(models["v7-bytes"], Bytes()), PIPELINE_ARGS) == found["text"]


@pytest.mark.peer
def test_lists_of_torch_tensors() -> None:
    torch = pytest.importorskip("torch")
    model = RWKV(load_golden("v6").checkpoint_path, "cpu fp32", verbose=False)
    _, state = model.forward([1, 2, 3], None)
    expected = model.forward([4], [a.copy() for a in state])[0]
    assert np.array_equal(model.forward(torch.tensor([4]), [torch.tensor(a) for a in state])[0], expected)
    coarse = [torch.tensor(a).bfloat16() for a in state]
    np.testing.assert_allclose(model.forward([4], coarse)[0], expected, atol=0.2)


@pytest.mark.peer
def test_strategies_are_the_packages() -> None:
    source = Path(pytest.importorskip("rwkv").__path__[0], "model.py").read_text(encoding="utf-8")
    match = re.search(r'STRATEGY_REGEX = r"(.*)"', source)
    assert match is not None
    theirs = re.compile(match[1])
    pieces = ["cuda", ":1", "cpu", "mps", " ", " ", "fp16", "fp32", "bf16", "i8", "i3", " *", "10", "+", "->", ""]
    likely = ["cpu fp32", "cuda:0 fp16i8 *10+", " -> ", "->", "mps bf16 *3", " "]
    chance = random.Random(4)
    accepted = 0
    for _ in range(20000):
        text = "".join(chance.choices(chance.choice([pieces, likely]), k=chance.randint(0, 7)))
        try:
            valid = bool(parse(text))
        except StrategyError:
            valid = False
        if text.startswith("->"):  # the package's pattern takes it, and the next line fails with an IndexError
            assert not valid
            continue
        assert valid == (theirs.match(text) is not None), repr(text)
        accepted += valid
    assert accepted > 100


if __name__ == "__main__":
    official(sys.argv[1], Path(sys.argv[2]))
