"""`rookery bench`: what it measures is true in kind; how fast things are is not tested."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from rookery.bench.profiling import layers_of
from rookery.bench.speed import load_timed
from rookery.formats import save_checkpoint
from rookery.initialise import make_config, random_model

FEW = ("--prompt-tokens", 5, "--decode-tokens", 3, "--repeat", 2)
SCRIPT = Path(__file__).parents[2] / "benchmarks" / "endless.py"


def test_measures_every_number_of_threads(rookery, small):
    runs = rookery("bench", small, *FEW, "--threads", "1,2,1", "--batch", "1,3", "--json").json["runs"]
    assert [run["threads"] for run in runs] == [1, 2]
    for run in runs:
        ceilings = [run["read_bytes_per_s"], run["int8_ops_per_s"]]
        spreads = [run["prefill"], run["decode"], *ceilings, *run["batched"].values()]
        assert all(0 < s["min"] <= s["median"] <= s["max"] for s in spreads)
        assert list(run["batched"]) == ["1", "3"]
        assert run["state_bytes"] == 4 * 2 * 32 * (2 + 16)
        assert run["bytes_per_token"] == run["packed_bytes"] + 2 * run["state_bytes"]
        assert run["format"] == "F32"
        assert run["memory"]["decoded"]["now"] > run["packed_bytes"]


def test_shares_of_the_machine(rookery, tmp_path):
    path = tmp_path / "m.gguf"
    save_checkpoint(random_model(make_config("7", layers=1, width=64, vocab=300), 1), path, dtype="Q8_0")
    found = rookery("bench", path, *FEW, "--threads", 1, "--batch", "1,4", "--json").json
    (run,) = found["runs"]
    shares = run["shares"]
    assert 0 < shares["decode"]["of_read"] < 20  # so small a model lies in a cache
    assert 0 < shares["prefill"]["of_int8"] < 2
    assert set(shares["batched"]["1"]) == {"of_read"}
    assert set(shares["batched"]["4"]) == {"of_read", "of_int8"}
    assert run["integer_operations"]["prompt"] > run["integer_operations"]["token"] > 0


def test_says_where_and_how_it_was_measured(rookery, small):
    where = rookery("bench", small, *FEW, "--threads", 1, "--json").json["machine"]
    assert where["command"].startswith("rookery bench ")
    assert {
        "processor",
        "kernels",
        "usable_cores",
        "python",
        "numpy",
        "rookery",
        "date",
        "busy",
        "used_by_others",
    } <= set(where)


def test_prints_a_table(rookery, small):
    out = rookery("bench", small, *FEW, "--profile").out
    assert "decode, batch 8" in out
    assert "linear" in out
    assert "head" in out
    assert "ffn.key" in out
    assert "waiting at barriers" in out


def test_prints_a_page(rookery, small):
    out = rookery("bench", small, *FEW, "--threads", "1,2", "--profile", "--markdown").out
    assert out.startswith("### Machine\n")
    assert "### 2 threads" in out
    assert "| op | count |" in out


def test_first_token(rookery, small):
    found = rookery("bench", small, *FEW, "--first-token", "--threads", "1,2", "--json").json
    assert "runs" not in found
    assert [run["threads"] for run in found["first_token"]["runs"]] == [1, 2]
    for run in found["first_token"]["runs"]:
        parts = [run[part]["min"] for part in ("start_s", "load_s", "prefill_s")]
        assert all(part > 0 for part in parts)
        assert run["total_s"]["max"] >= sum(parts) * 0.99
    assert "first token" in rookery("bench", small, *FEW, "--first-token", "--threads", 1, "--repeat", 1).out


def test_context(rookery, small):
    found = rookery("bench", small, "--context", "2,9", "--threads", 1, "--json").json["context"]
    assert found["lengths"] == [2, 9]
    assert "tokens read" in rookery("bench", small, "--context", "2", "--threads", 1).out


def test_needs_no_vocabulary(rookery):
    golden = Path(__file__).parents[1] / "golden" / "v5.2.safetensors"
    assert rookery("bench", golden, *FEW).code == 0


def test_profile_accounts_for_all_time(rookery, small):
    (run,) = rookery("bench", small, *FEW, "--threads", 1, "--profile", "--json").json["runs"]
    ops, layers = run["profile"]["ops"], run["profile"]["layers"]
    assert sum(op["ns"] for op in ops.values()) == pytest.approx(sum(layers.values()))
    matrices, waiting = run["profile"]["matrices"], run["profile"]["waiting"]
    assert sum(row["ns"] for row in matrices.values()) == pytest.approx(ops["linear"]["ns"])
    assert sum(row["bytes"] for row in matrices.values()) == run["packed_bytes"]
    assert matrices["head.weight"]["layer"] == "head"
    assert waiting["barriers"] >= 0
    assert waiting["join"] >= 0
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
    rookery("bench", small, "--context", "9,2").failed("--context", "ascending")
    rookery("bench", small, "--formats", "Q8_0").failed("--formats", "--kernels")
    rookery("bench", "--kernels", "--formats", "Q9").failed("Q9")
    rookery("bench", "--kernels", "--formats", "Q8_0,").failed("--formats", "such as Q8_0,Q4_K")
    rookery("bench", small, "--batch", "9" * 5000).failed("--batch", "expected numbers")
    rookery("bench", small, "--formats", "").failed("--formats", "--kernels")
    rookery("bench", small, "--json", "--markdown").failed("--json", "--markdown")
    rookery("bench", garbage, "--first-token", "--threads", 1).failed("garbage.pth")
    rookery("bench", garbage, "--context", "5", "--threads", 1).failed("garbage.pth")


@pytest.mark.parametrize("options", [(), ("--first-token",), ("--context", "5"), ("--kernels", "--profile")])
def test_only_the_kernels_do_without_a_model(rookery, options):
    result = rookery("bench", *options)
    assert result.code == 2
    assert "MODEL" in result.err


def test_an_endless_conversation_takes_no_more_memory():
    sizes = ("--layers", "1", "--width", "64", "--vocab", "64", "--versions", "7", "--tokens", "2000")
    done = subprocess.run([sys.executable, str(SCRIPT), *sizes], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    (row,) = json.loads(done.stdout.splitlines()[-1])
    assert row["tokens"] == 2000
    assert row["resident_end"] - row["resident_start"] <= 1 << 20
