"""`rookery bench --against`: other programs beside ours, real ones and one of known speed."""

import dataclasses
import os
import subprocess
import sys

import numpy as np
import pytest

from rookery.bench import child, peer
from rookery.bench.speed import load_timed
from rookery.cli import bench
from rookery.formats import Tensor, save_checkpoint
from rookery.initialise import make_config, random_model

FEW = ("--prompt-tokens", 5, "--decode-tokens", 3, "--repeat", 2)
CONFIG = make_config("7", layers=1, width=64, vocab=300, head_size=64)


@pytest.mark.peer
@pytest.mark.parametrize("version", ["4", "7"])
def test_agrees_with_the_official_package(rookery, tmp_path, version):
    pytest.importorskip("torch")
    pytest.importorskip("rwkv")
    path = tmp_path / "m.pth"
    rookery("init", path, "--version", version, "--layers", 2, "--width", 128, "--vocab", 300, "--random")
    (run,) = rookery("bench", path, *FEW, "--threads", 1, "--against", "rwkv", "--json").json["runs"]
    assert run["peer"]["logits_difference"] < 1e-4
    assert run["peer"]["threads"] == 1
    ours, theirs = run["decode"]["median"], run["peer"]["decode"]["median"]
    assert run["ratios"]["decode"] == pytest.approx(ours / theirs)


@pytest.mark.peer
@pytest.mark.parametrize(
    ("format", "dtype", "bound"), [("pth", "F32", 1e-4), ("gguf", "F32", 1e-4), ("gguf", "Q8_0", 0.2)]
)
def test_agrees_with_llama_cpp(rookery, tmp_path, format, dtype, bound):
    """Also on a prompt of more than its 512 tokens a call."""
    pytest.importorskip("llama_cpp")
    path = tmp_path / f"m.{format}"
    config = make_config("7", layers=2, width=128, vocab=300, head_size=64)
    save_checkpoint(random_model(config, 1), path, dtype=dtype)
    sizes = ("--prompt-tokens", 600, "--decode-tokens", 3, "--repeat", 2, "--batch", "1,3", "--threads", 1)
    (run,) = rookery("bench", path, *sizes, "--against", "llama.cpp", "--json").json["runs"]
    assert run["peer"]["logits_difference"] < bound
    assert run["peer"]["threads"] == 1
    assert set(run["ratios"]["batched"]) == {"1", "3"}
    for found in (run["peer"]["prefill"], run["peer"]["decode"], *run["peer"]["batched"].values()):
        assert found["configuration"] in found["medians"]


@pytest.mark.peer
def test_llama_cpp_says_what_it_cannot_run(rookery, tmp_path):
    pytest.importorskip("llama_cpp")
    path = tmp_path / "m.gguf"
    save_checkpoint(random_model(CONFIG, 1), path)
    rookery("bench", path, *FEW, "--batch", "300", "--against", "llama.cpp").failed("at most", "sequences", "--batch")


FAKE = """
from pathlib import Path

def start(path, threads):
    magic = Path(path).read_bytes()[:4].decode()
    about = {"threads": threads, "settings": f"a stand-in on {magic}"}
    return about, {"slow": Fake(2.0), "fast": Fake(1.0)}

class Fake:
    def __init__(self, seconds):
        self.seconds = seconds
    def prefill(self, tokens):
        return self.seconds * len(tokens)
    def decode(self, tokens):
        return len(tokens) / self.seconds  # the other one is the faster here
    def batched(self, tokens, batch):
        return self.seconds * len(tokens) * batch / 10
    def logits(self, tokens):
        return [self.seconds] * 300
"""


@pytest.fixture
def fake(monkeypatch, tmp_path):
    """llama.cpp's place taken by a program of known speed, in a child process as ever."""
    (tmp_path / "fake_runner.py").write_text(FAKE)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path), prepend=os.pathsep)
    kind = dataclasses.replace(peer.PEERS["llama.cpp"], modules=(), runner="fake_runner")
    monkeypatch.setitem(peer.PEERS, "llama.cpp", kind)


@pytest.mark.parametrize("suffix", ["gguf", "pth"])
def test_the_faster_configuration_counts(rookery, fake, tmp_path, suffix):
    path = tmp_path / f"m.{suffix}"
    save_checkpoint(random_model(CONFIG, 1), path)
    sizes = (*FEW, "--threads", 1, "--batch", "1,4", "--against", "llama.cpp")
    (run,) = rookery("bench", path, *sizes, "--json").json["runs"]
    other = run["peer"]
    assert other["settings"] == "a stand-in on GGUF"
    assert other["prefill"] == dict.fromkeys(("min", "median", "max"), 1.0) | {
        "configuration": "fast",
        "medians": {"slow": 0.5, "fast": 1.0},
    }
    assert (other["decode"]["configuration"], other["decode"]["median"]) == ("slow", 2.0)
    assert {batch: spread["median"] for batch, spread in other["batched"].items()} == {"1": 10.0, "4": 10.0}
    assert run["ratios"]["prefill"] == pytest.approx(run["prefill"]["median"])
    assert run["ratios"]["decode"] == pytest.approx(run["decode"]["median"] / 2)
    assert run["ratios"]["batched"]["4"] == pytest.approx(run["batched"]["4"]["median"] / 10)
    logits = load_timed(path, 1)[0].forward(list(range(1, 20)))[0]
    assert other["logits_difference"] == pytest.approx(max(abs(logits - 1).max(), abs(logits - 2).max() / 2))


def test_prints_the_ratios(rookery, fake, tmp_path):
    save_checkpoint(random_model(CONFIG, 1), tmp_path / "m.gguf")
    out = rookery("bench", tmp_path / "m.gguf", *FEW, "--against", "llama.cpp").out
    assert "llama.cpp prefill (fast)" in out
    assert "llama.cpp decode, batch 8 (fast)" in out
    assert "times the speed of llama.cpp (medians)" in out


@pytest.fixture
def tuned(tmp_path):
    """A model that begins in a state of its own."""
    checkpoint = random_model(CONFIG, 1)
    zeros = np.zeros((1, 64, 64), np.float32)
    checkpoint.initial_state = {"blocks.0.att.time_state": Tensor("F32", zeros.shape, lambda: zeros)}
    save_checkpoint(checkpoint, tmp_path / "tuned.pth")
    return tmp_path / "tuned.pth"


def test_models_llama_cpp_cannot_run(rookery, fake, tuned):
    rookery("bench", tuned, *FEW, "--against", "llama.cpp").failed("tuned.pth", "tuned initial state")
    old = tuned.with_name("old.pth")
    save_checkpoint(random_model(make_config("4", layers=1, width=64, vocab=300), 1), old)
    rookery("bench", old, *FEW, "--against", "llama.cpp").failed("old.pth", "RWKV 4", "6 and 7")


def test_every_peer_can_be_chosen(rookery, small, monkeypatch):
    (option,) = [parameter for parameter in bench.command.params if parameter.name == "against"]
    assert list(option.type.choices) == list(peer.PEERS)
    monkeypatch.setattr(child.importlib.util, "find_spec", lambda _: None)
    for name, kind in peer.PEERS.items():
        rookery("bench", small, "--against", name).failed(name, *kind.modules, "rookery[peers]")


@pytest.mark.parametrize("dies", ["at once", "later"])
def test_a_package_that_dies_is_reported(rookery, small, monkeypatch, tmp_path, dies):
    """A stand-in for the child process."""
    script = tmp_path / "child.py"
    script.write_text("print('{}', flush=True); input()\n" * (dies == "later") + "raise SystemExit('it went wrong')\n")
    monkeypatch.setattr(child.importlib.util, "find_spec", lambda _: True)
    start = subprocess.Popen
    monkeypatch.setattr(subprocess, "Popen", lambda args, **more: start([sys.executable, script], **more))
    rookery("bench", small, *FEW, "--against", "rwkv").failed("rwkv package stopped: it went wrong")
