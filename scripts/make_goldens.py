"""
Make tests/golden/: tiny random models of every version, run by the official `rwkv` package.

    python -m venv peer && peer/bin/pip install torch rwkv safetensors numpy
    PYTHONPATH=src peer/bin/python scripts/make_goldens.py [out]

Everything runs on the CPU in float32, on weights that float16 holds exactly.  The package chooses RWKV-7 when it is
imported, so each half of the models runs in a process of its own.
"""

from __future__ import annotations

import contextlib
import importlib.metadata
import io
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
from pipeline_goldens import generations, samples, transcript

from rookery.config import Config
from rookery.formats.checkpoint import Checkpoint
from rookery.initialise import make_config, random_model

TOKENS = 24
GOLDEN = Path(__file__).parents[1] / "tests" / "golden"


def configs() -> dict[str, Config]:
    """Name -> config.  Small, and not square: several heads, an FFN that is no multiple of the width."""
    small: dict[str, Any] = {"layers": 3, "width": 64, "ffn": 96, "vocab": 112}
    finch = {"ranks": {"mix": 8, "decay": 12}}
    goose = {"ranks": {"w": 8, "a": 12, "v": 6, "g": 16}}
    first = make_config("5.0", **small, head_size=16)
    return {
        "v4": make_config("4", **small),
        "v5.0": first,
        "v5.0-r2": replace(first, bonus_exp=False),
        "v5.1": make_config("5.1", **small, head_size=16),
        "v5.2": make_config("5.2", **small, head_size=16),
        "v6": make_config("6", **small, head_size=32, **finch),
        "v7": make_config("7", **small, head_size=32, **goose),
        "v7-n64": make_config("7", **small, head_size=64, **goose),
        "v7-bytes": make_config("7", **{**small, "layers": 2, "vocab": 257}, head_size=16, **goose),
    }


def main(out: Path) -> None:
    out.mkdir(parents=True, exist_ok=True)
    for goose in ("0", "1"):
        env = {**os.environ, "RWKV_V7_ON": goose, "RWKV_JIT_ON": "0", "RWKV_CUDA_ON": "0"}
        subprocess.run([sys.executable, __file__, "--run", goose, str(out)], env=env, check=True)


def run(goose: bool, out: Path) -> None:
    for name, config in configs().items():
        if (config.version == "7") == goose:
            print(json.dumps({name: record(name, config, out)}))
    if goose:
        with official(model_of("v7-bytes")) as peer:
            save(out / "transcript.json", transcript(peer))
    else:
        save(out / "pipeline.json", {"rwkv": _package(), "samples": samples(), "generations": generations()})


def save(path: Path, value: dict[str, Any]) -> None:
    path.write_text(json.dumps(value, ensure_ascii=False) + "\n", encoding="utf-8")


def model_of(name: str) -> Checkpoint:
    """The golden's weights; its seed is its place in the list."""
    named = configs()
    return random_model(named[name], 1 + list(named).index(name), "F16")


def record(name: str, config: Config, out: Path) -> dict[str, float]:
    """Write NAME.safetensors and NAME.npz; returns how far the package's own two paths are apart."""
    from safetensors.numpy import save_file

    model = model_of(name)
    save_file({key: tensor.load() for key, tensor in model.tensors.items()}, out / f"{name}.safetensors")
    (out / f"{name}.safetensors").chmod(0o644)
    tokens = np.random.RandomState(len(name)).randint(0, config.vocab, TOKENS)
    extra = {}
    with official(model) as peer:
        logits, state = peer.forward(tokens.tolist(), None, full_output=True)
        steps, last = walk(peer, tokens.tolist())
    if config.version == "6":
        extra = tuned(model, config, tokens.tolist())
    np.savez_compressed(
        out / f"{name}.npz",
        tokens=tokens,
        logits=logits.numpy(),
        config=json.dumps(asdict(config)),
        rwkv=_package(),
        **{f"state.{i:02}": part.numpy() for i, part in enumerate(state)},
        **extra,
    )
    return {
        "logits": float(logits.std()),
        "step": float((logits - steps).abs().max()),
        "first": float((logits - steps)[0].abs().max()),
        "state": max(float((a - b).abs().max()) for a, b in zip(state, last, strict=True)),
    }


def tuned(model: Checkpoint, config: Config, tokens: list[int]) -> dict[str, np.ndarray]:
    """The same model with a tuned initial state, indexed [head, value lane, key lane] in the file."""
    shape = (config.heads, config.head_size, config.head_size)
    states = {
        f"blocks.{i}.att.time_state": np.random.RandomState(i).standard_normal(shape).astype(np.float16)
        for i in range(config.layers)
    }
    with official(model, states) as peer:
        logits, _ = peer.forward(tokens, None, full_output=True)
    return {"tuned.logits": logits.numpy(), **{f"tuned.{key}": value for key, value in states.items()}}


def walk(peer: Any, tokens: list[int]) -> tuple[Any, list[Any]]:
    """The package's single-token path."""
    import torch

    state, rows = None, []
    for token in tokens:
        row, state = peer.forward([token], state)
        rows.append(row.clone())
    assert state is not None
    return torch.stack(rows), state


@contextlib.contextmanager
def official(model: Checkpoint, more: dict[str, np.ndarray] | None = None) -> Iterator[Any]:
    """The package's model on these weights."""
    import torch

    tensors = {key: tensor.numpy() for key, tensor in model.tensors.items()}
    tensors |= {key: value.astype(np.float32) for key, value in (more or {}).items()}
    with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stdout(io.StringIO()):
        torch.save({key: torch.tensor(value) for key, value in tensors.items()}, f"{folder}/model.pth")
        from rwkv.model import RWKV

        yield RWKV(model=f"{folder}/model", strategy="cpu fp32")


def _package() -> str:
    return importlib.metadata.version("rwkv")


if __name__ == "__main__":
    if sys.argv[1:2] == ["--run"]:
        run(sys.argv[2] == "1", Path(sys.argv[3]))
    else:
        main(Path(sys.argv[1]) if len(sys.argv) > 1 else GOLDEN)
