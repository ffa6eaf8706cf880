"""`rookery quantize`, and `rookery show` on what it wrote."""

import pytest


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
