"""`rookery bench`: what it measures is true in kind; how fast things are is not tested."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from rookery.bench.profiling import layers_of
from rookery.bench.speed import load_timed

FEW = ("--prompt-tokens", 5, "--decode-tokens", 3, "--repeat", 2)
SCRIPT = Path(__file__).parents[2] / "benchmarks" / "endless.py"


def test_measures_every_number_of_threads(rookery, small):
    runs = rookery("bench", small, *FEW, "--threads", "1,2", "--batch", "1,3", "--json").json["runs"]
    assert [run["threads"] for run in runs] == [1, 2]
    for run in runs:
        spreads = [run["prefill"], run["decode"], run["read_bytes_per_s"], *run["batched"].values()]
        assert all(0 < s["min"] <= s["median"] <= s["max"] for s in spreads)
        assert list(run["batched"]) == ["1", "3"]
        assert run["state_bytes"] == 4 * 2 * 32 * (2 + 16)
        assert run["bytes_per_token"] > run["state_bytes"]


def test_prints_a_table(rookery, small):
    out = rookery("bench", small, *FEW, "--profile").out
    assert "decode, batch 8" in out
    assert "linear" in out
    assert "head" in out


def test_needs_no_vocabulary(rookery):
    golden = Path(__file__).parents[1] / "golden" / "v5.2.safetensors"
    assert rookery("bench", golden, *FEW).code == 0


def test_profile_accounts_for_all_time(rookery, small):
    (run,) = rookery("bench", small, *FEW, "--threads", 1, "--profile", "--json").json["runs"]
    ops, layers = run["profile"]["ops"], run["profile"]["layers"]
    assert sum(op["ns"] for op in ops.values()) == pytest.approx(sum(layers.values()))
    assert set(layers) == {"embedding", "0", "1", "head"}
    assert ops["wkv7"]["count"] == 2


def test_every_op_belongs_to_a_layer(small):
    model, _ = load_timed(small, 1)
    program = model.executor.program
    layers = layers_of(program, {field.offset: field.name for field in model.layout.fields})
    of = {op.out: layer for op, layer in zip(program.ops, layers, strict=True)}
    assert [layer for op, layer in zip(program.ops, layers, strict=True) if op.name == "wkv7"] == ["0", "1"]
    assert of[program.result] == "head"
    assert layers[0] == "embedding"


def test_refuses_in_one_sentence(rookery, small, garbage, tmp_path):
    rookery("bench", garbage).failed("garbage.pth")
    rookery("bench", tmp_path / "absent").failed("absent")
    rookery("bench", small, "--batch", "1,x").failed("--batch", "'1,x'")
    rookery("bench", small, "--batch", "0").failed("--batch")
    rookery("bench", small, "--threads", "-1").failed("--threads")
    rookery("bench", small, "--repeat", 0).failed("repeat")
    rookery("bench", small, "--decode-tokens", 0).failed("--decode-tokens")


def test_an_endless_conversation_takes_no_more_memory():
    sizes = ("--layers", "1", "--width", "64", "--vocab", "64", "--versions", "7", "--tokens", "2000")
    done = subprocess.run([sys.executable, str(SCRIPT), *sizes], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    (row,) = json.loads(done.stdout.splitlines()[-1])
    assert row["tokens"] == 2000
    assert row["resident_end"] - row["resident_start"] <= 1 << 20
