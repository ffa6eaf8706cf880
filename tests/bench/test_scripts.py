"""The scripts behind docs/performance.md: what they write can be read, and they go on where they were broken off."""

import json

import numpy as np
import pytest

from rookery.formats import save_checkpoint
from rookery.initialise import make_config, random_model


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    path = tmp_path_factory.mktemp("models") / "m.gguf"
    save_checkpoint(random_model(make_config("7", layers=1, width=64, vocab=300), 1), path, dtype="Q8_0")
    return path


def test_busy(run_benchmark, model):
    done = run_benchmark("busy.py", model, "--rounds", 1, "--tokens", 3, "--threads", 2, "--json")
    assert done.returncode == 0, done.stderr
    row = json.loads(done.stdout)["programs"]["rookery"]
    assert set(row) == {"quiet_1", "quiet_2", "busy_1", "busy_2", "ratio"}
    assert row["ratio"] == pytest.approx(row["busy_2"]["median"] / row["busy_1"]["median"])


def test_endless_goes_on(run_benchmark, model, tmp_path):
    """A run that was broken off after three tenths does the other seven, from the state it had."""
    progress = tmp_path / "progress.npz"
    command = ("endless.py", "--model", model, "--tokens", 1000, "--progress", progress)
    (whole,) = json.loads(run_benchmark(*command).stdout.splitlines()[-1])
    with np.load(progress) as file:
        kept = dict(file)
    kept["tenths"] = json.dumps(whole["tenths"][:3])
    np.savez(progress, **kept)
    done = run_benchmark(*command)
    assert done.stderr.count("tokens:") == 7
    (row,) = json.loads(done.stdout.splitlines()[-1])
    assert row["tenths"][:3] == whole["tenths"][:3]
    assert [tenth["continues"] for tenth in row["tenths"]] == [i not in (0, 3) for i in range(10)]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--tokens", 3), "--tokens"),
        (("--progress", "a.npz"), "--versions"),
        (("--versions", "7", "--progress", "a.txt"), ".npz"),
    ],
)
def test_endless_refuses(run_benchmark, options, words):
    done = run_benchmark("endless.py", *options)
    assert done.returncode == 2
    assert words in done.stderr


def test_endless_knows_its_own_progress(run_benchmark, model, tmp_path):
    progress = tmp_path / "progress.npz"
    run_benchmark("endless.py", "--model", model, "--tokens", 10, "--progress", progress)
    done = run_benchmark("endless.py", "--model", model, "--tokens", 20, "--progress", progress)
    assert done.returncode == 1
    assert "another model or number of tokens" in done.stderr


SPREAD = {"min": 1.0, "median": 2.0, "max": 3.0}
MACHINE = {
    "processor": "abacus",
    "usable_cores": 2,
    "kernels": "portable",
    "system": "none",
    "rookery": "0",
    "python": "3",
    "numpy": "2",
    "date": "2026-01-01T00:00:00",
    "used_by_others": 0.1,
}


def line(key, ratio, threads, **more):
    run = {
        "threads": threads,
        "used_by_others": [0.0, 0.2],
        "format": "Q8_0",
        "parameters": 2e8,
        "prefill": SPREAD,
        "decode": SPREAD,
        "batched": {"8": SPREAD},
        "read_bytes_per_s": SPREAD,
        "int8_ops_per_s": SPREAD,
        "bytes_per_token": 10,
        "shares": {"decode": {"of_read": 0.8}, "prefill": {"of_int8": 0.5}},
        "peer": {"prefill": SPREAD, "decode": SPREAD, "batched": {"8": SPREAD}, "settings": "peer 1, more"},
        "ratios": {"prefill": ratio, "decode": ratio, "batched": {"8": ratio}},
    } | more
    return json.dumps({"key": key, "found": {"machine": MACHINE, "runs": [run]}})


def test_tables_from_what_there_is(run_benchmark, tmp_path):
    results = tmp_path / "results.jsonl"
    results.write_text("\n".join([line("a 1", 1.0, 1), line("b 1", 4.0, 1), line("a 2", 3.0, 2), '{"key": "broken']))
    done = run_benchmark("performance.py", results, "--tables")
    assert done.returncode == 0, done.stderr
    assert "| a | 1 | 2 / 2 = 1.00 |" in done.stdout
    assert "| decode, 1 thread, Q8_0 and Q4_K, of llama.cpp, geometric mean | 2.00 | 1.5 | 2 | aim |" in done.stdout
    assert "geometric mean | 3.00 | 1.6 | 2.3 | aim |" in done.stdout
    assert "| decode of 0.1B, share of reading, the least | 0.80 | 0.75 | 0.9 | must |" in done.stdout
    assert "broken" not in done.stdout
    assert "other processes used 0.0 to 0.2 processors" in done.stdout


def test_what_is_there_is_not_measured_again(run_benchmark, model, tmp_path):
    """Only the first token is missing.  The next time nothing is."""
    results = tmp_path / "results.jsonl"
    busy = {"machine": MACHINE, "programs": {"rookery": {"quiet_1": SPREAD, "busy_1": SPREAD, "ratio": 0.9}}}
    kernels = {"machine": MACHINE, "kernels": {"shape": [1, 1], "tokens": [], "runs": []}}
    there = [
        line("m 1", 1.0, 1),
        *(json.dumps({"key": key, "found": found}) for key, found in (("busy", busy), ("kernels", kernels))),
    ]
    results.write_text("\n".join(there) + "\n")
    command = ("performance.py", results, model, "--threads", "1")
    first, second = run_benchmark(*command), run_benchmark(*command)
    assert first.stderr.startswith("m first token: ")
    assert first.returncode == second.returncode == 0
    assert second.stderr == ""
    assert first.stdout == second.stdout
    assert "| 2 threads beside a busy process, of 1 thread | 0.90 | 0.8 | 1 | must |" in second.stdout


def test_tables_of_nothing(run_benchmark, tmp_path):
    done = run_benchmark("performance.py", tmp_path / "absent.jsonl", "--tables")
    assert done.returncode == 0
    assert "Nothing has been measured yet." in done.stdout
