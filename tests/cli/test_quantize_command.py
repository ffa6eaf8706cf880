"""`rookery quantize`, and `rookery show` on what it wrote."""

import signal
import subprocess
import sys

import pytest

from rookery.cli.quantize import _beginning


@pytest.fixture
def text(tmp_path):
    path = tmp_path / "text.txt"
    path.write_bytes(bytes(range(32, 120)) * 3)
    return path


@pytest.mark.parametrize("name", ["out.gguf", "out.rookery"])
def test_writes_measures_and_shows(rookery, small, text, tmp_path, name):
    target = tmp_path / name
    about = rookery("quantize", small, target, "--recipe", "q4_0", "--text", text, "--tokens", 50, "--json").json
    assert about["recipe"] == "q4_0"
    assert about["measured"] == "text.txt"
    assert about["tokens"] == 50
    assert about["kl_mean"] > 0
    assert about["file_bytes"] == target.stat().st_size
    shown = rookery("show", target, "--json").json
    assert shown["quality"] == {key: value for key, value in about.items() if key not in ("path", "file_bytes")}
    assert "rookery.quality" not in shown["metadata"]


@pytest.mark.parametrize("command", ["quantize", "show"])
def test_the_card_in_words(rookery, small, tmp_path, command):
    target = tmp_path / "out.safetensors"
    out = rookery("quantize", small, target, "--recipe", "q8_0", "--tokens", 20).out
    if command == "show":
        out = rookery("show", target).out
    for line in (
        "recipe           q8_0, plain",
        "measured on      the sample, 20 tokens",
        "KL divergence",
        "same best token",
    ):
        assert line in out


def test_one_token_is_not_1_tokens(rookery, small, tmp_path):
    out = rookery("quantize", small, tmp_path / "out.rookery", "--recipe", "q8_0", "--tokens", 1).out
    assert "measured on      the sample, 1 token\n" in out


def test_calibrated_without_measuring(rookery, small, text, tmp_path):
    target = tmp_path / "out.safetensors"
    run = rookery("quantize", small, target, "--calibrate", text, "--calibrate-tokens", 40, "--no-measure")
    assert run.code == 0
    assert "q4_k_m, calibrated" in run.out
    assert "text.txt" in run.out
    assert "KL" not in run.out


def test_bad_calls_are_sentences(rookery, small, garbage, text, tmp_path):
    target = tmp_path / "out.gguf"
    rookery("quantize", small, target, "--recipe", "q3").failed("q3", "q4_k_m")
    rookery("quantize", small, target, "--tokens", 0).failed("--tokens")
    rookery("quantize", small, target, "--no-measure", "--text", text).failed("--no-measure")
    rookery("quantize", small, target, "--text", tmp_path / "absent").failed("absent")
    rookery("quantize", small, target, "--calibrate", tmp_path / "absent").failed("absent", "cannot be read")
    rookery("quantize", small, target, "--recipe", "c4").failed("C4", ".rookery or .safetensors")
    rookery("quantize", garbage, target).failed("garbage.pth")
    assert not target.exists()
    target.write_bytes(b"x")
    rookery("quantize", small, target).failed("--force")
    rookery("quantize", small, small, "--force").failed("write to another place")


def test_a_model_without_a_vocabulary_takes_one(rookery, small, text, tmp_path):
    """The bytes of `small` under other numbers are another text."""
    words = tmp_path / "words.txt"
    words.write_text("".join(f"{255 - b} {bytes([b])!r} 1\n" for b in range(255)))
    found = [
        rookery("quantize", small, tmp_path / f"{i}.gguf", "--text", text, "--json", *more).json["perplexity"]
        for i, more in enumerate(((), ("--tokenizer", words)))
    ]
    assert found[0] != found[1]


# Quantises, and sends itself a signal when the file is to be measured.
SIGNALLED = """
import os, signal, sys
import rookery.quantize.writing as writing
from rookery.cli import main
number = int(sys.argv.pop())
writing._Job.measured = lambda *_: os.kill(os.getpid(), number) or sys.exit(7)
main()
"""


def signalled(source, target, number, first=""):
    code = [sys.executable, "-c", first + SIGNALLED, "quantize", str(source), str(target), str(int(number))]
    return subprocess.run(code, capture_output=True, text=True)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_signal_leaves_no_draft(small, tmp_path, number):
    heard = f"import signal; signal.signal({int(number)}, signal.SIG_DFL)"  # even if these tests run under nohup
    found = signalled(small, tmp_path / "out.rookery", number, heard)
    assert (found.returncode, found.stderr) == (128 + number, "")
    assert list(tmp_path.iterdir()) == []


def test_a_signal_that_is_ignored_stays_so(small, tmp_path):
    ignore = "import signal; signal.signal(signal.SIGHUP, signal.SIG_IGN)"
    assert signalled(small, tmp_path / "out.rookery", signal.SIGHUP, ignore).returncode == 7


@pytest.mark.parametrize("command", ["quantize", "convert"])
def test_a_file_of_the_source_is_not_replaced(rookery, small, tmp_path, command):
    assert rookery("convert", small, tmp_path / "hf").code == 0
    weights = tmp_path / "hf" / "model.safetensors"
    before = weights.read_bytes()
    rookery(command, tmp_path / "hf", weights, "--force").failed("a part of the source", "another place")
    assert weights.read_bytes() == before


def test_a_text_is_read_as_far_as_it_is_wanted(rookery, small, tmp_path):
    """The rest is no valid text, nor are the bytes of the character that is cut."""
    short, long = tmp_path / "short.txt", tmp_path / "long.txt"
    short.write_bytes("é".encode() * 700)
    long.write_bytes("é".encode() * 700 + b"\xff" * (1 << 20))
    found = [
        rookery("quantize", small, tmp_path / f"{path.name}.rookery", "--text", path, "--tokens", 5, "--json").json
        for path in (short, long)
    ]
    assert found[0]["tokens"] == found[1]["tokens"] == 5
    assert found[0]["kl_mean"] == found[1]["kl_mean"]


@pytest.mark.parametrize("nbytes", range(1, 9))
def test_no_character_is_cut_in_two(tmp_path, nbytes):
    path = tmp_path / "text.txt"
    path.write_bytes("aé\u6771\U0001d11e".encode())
    assert "aé\u6771\U0001d11e".startswith(_beginning(path, nbytes).decode())
