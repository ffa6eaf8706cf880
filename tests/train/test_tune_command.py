"""`rookery tune` from the first token to a model that was merged."""

from __future__ import annotations

import json
import sys

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs the extra rookery[train]")

from rookery.cli import main  # noqa: E402
from rookery.formats import open_checkpoint  # noqa: E402


@pytest.fixture
def rookery(monkeypatch, capsys):
    """rookery("tune", ...): exit code, stdout, stderr."""

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["rookery", *map(str, arguments)])
        capsys.readouterr()
        with pytest.raises(SystemExit) as exit:
            main()
        return exit.value.code or 0, *capsys.readouterr()

    return run


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    random = np.random.default_rng(0)
    words = ["goose", "eagle", "finch", "dove", "flies", "sings", "sleeps", "over", "under", "the", "hill", "river"]
    lines = [" ".join(random.choice(words, 12)) + "." for _ in range(120)]
    path = tmp_path_factory.mktemp("data") / "birds.jsonl"
    path.write_text("".join(json.dumps({"text": line}) + "\n" for line in lines))
    return path


SHORT = ("--steps", 3, "--tokens-per-batch", 256, "--context", 64, "--threads", 1)


def trained(rookery, data, folder):
    shape = ("--size", "smoke", "--layers", 2, "--width", 32, "--head-size", 16, "--vocab", 300)
    code, _, err = rookery("train", data, "-o", folder / "base", *shape, *SHORT)
    assert code == 0, err
    return folder / "base" / "model.rookery"


def test_tune_run_and_merge(rookery, data, tmp_path):
    model = trained(rookery, data, tmp_path)
    before = model.read_bytes()
    left = {
        "lora": {"adapter.safetensors", "adapter.pth"},
        "state": {"time_state.pth"},
        "lora+state": {"adapter.safetensors", "adapter.pth", "time_state.pth"},
        "full": {"model.rookery"},
    }
    for method, files in left.items():
        run = tmp_path / method
        code, out, err = rookery("tune", method, model, data, "-o", run, *SHORT, "--seed", 3)
        assert code == 0, err
        assert {p.name for p in run.iterdir()} - {"log.jsonl", "tokens", "step-00000003"} == files
        words = out.removeprefix("done: rookery ").split()
        assert rookery(*words, "goose", "-n", 3, "--threads", 1)[0] == 0
        learnt = run / ("time_state.pth" if method == "state" else "adapter.safetensors")
        if method != "full":
            code, out, err = rookery("merge", model, learnt, "-o", tmp_path / f"{method}.rookery")
            assert code == 0, err
            assert "the logits are those of model and adapter" in out
            assert bool(open_checkpoint(tmp_path / f"{method}.rookery").initial_state) == ("state" in method)
            flag = "--state" if method == "state" else "--adapter"
            assert words == ["run", str(model), flag, str(learnt)]
    assert model.read_bytes() == before


def test_going_on_and_what_is_refused(rookery, data, tmp_path):
    model = trained(rookery, data, tmp_path)
    first = ("tune", "lora", model, data, "-o", tmp_path / "one", *SHORT, "--rank", 4, "--target", "att.key")
    assert rookery(*first)[0] == 0
    learnt = tmp_path / "one" / "adapter.safetensors"
    code, _, err = rookery(*first)
    assert (code, "going on from step 3" in err) == (0, True)
    second = ("tune", "lora", model, data, "-o", tmp_path / "two", *SHORT, "--adapter", learnt)
    assert rookery(*second, "--rank", 4, "--target", "att.key")[0] == 0
    for arguments, message in [
        ((*second, "--rank", 5, "--target", "att.key"), "has shape (4, 32), expected (5, 32)"),
        (("tune", "state", model, data, "-o", tmp_path / "x", "--rank", 4), "--rank means nothing to state"),
        (("tune", "full", model, data, "-o", tmp_path / "x", "--adapter", learnt), "--adapter means nothing to full"),
        (("tune", "lora", model, data, "-o", tmp_path / "x", "--rank", 0), "rank=0: expected at least 1"),
        (("tune", "lora", model, data, "-o", tmp_path / "x", "--target", "att.gate"), "no such matrices"),
        (("tune", "lora", learnt, data, "-o", tmp_path / "x"), "LoRA adapter"),
    ]:
        code, _, err = rookery(*arguments)
        assert code == 1
        assert err.strip().splitlines()[-1].startswith("rookery: ")
        assert message in err
