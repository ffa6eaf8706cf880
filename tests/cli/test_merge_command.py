"""`rookery merge`, and adapters in the commands that load a model: no torch anywhere."""

import numpy as np
import pytest
from adapters import arrays, changed, low_rank, model_file, states, written
from models_at_hand import VERSIONS

from rookery.fingerprint import fingerprint
from rookery.formats import open_checkpoint
from rookery.quant import FORMATS

ALPHA = 6.0


@pytest.fixture
def adapter(tmp_path):
    small, path = model_file(tmp_path)
    return small, path, written(tmp_path / "adapter.safetensors", arrays(low_rank(small)), alpha=ALPHA)


@pytest.mark.parametrize("version", VERSIONS)
def test_the_merged_file_is_the_sum(rookery, tmp_path, version):
    small, path = model_file(tmp_path, version)
    changes = low_rank(small)
    file = written(tmp_path / "adapter.pth", arrays(changes))
    about = rookery("merge", path, file, "-o", tmp_path / "m.pth", "--alpha", ALPHA, "--json").json
    assert (about["matrices"], about["tensors"], about["states"]) == (8, 0, 0)
    assert about["difference"] < 1e-5
    want = changed(small, changes, ALPHA)
    merged = open_checkpoint(tmp_path / "m.pth")
    for name, tensor in merged.tensors.items():
        np.testing.assert_allclose(tensor.numpy(), want[name], rtol=1e-5, atol=1e-6, err_msg=name)
        if name not in changes:
            np.testing.assert_array_equal(tensor.numpy(), small.checkpoint.tensors[name].numpy())


@pytest.mark.parametrize("stored", ["F32", "F16", "BF16"])
@pytest.mark.parametrize("dtype", [None, "F32", "F16", "BF16"])
def test_element_types(rookery, tmp_path, stored, dtype):
    """The sum is rounded once, to the type of the file."""
    small, path = model_file(tmp_path, "7", stored)
    changes = low_rank(small)
    file = written(tmp_path / "adapter.safetensors", arrays(changes), alpha=ALPHA)
    options = ["--dtype", dtype] if dtype else []
    out = rookery("merge", path, file, "-o", tmp_path / "m.safetensors", *options).out
    assert "8 matrices changed" in out
    assert "checked: on 16 random tokens the logits are those of model and adapter" in out
    merged, want = open_checkpoint(tmp_path / "m.safetensors"), changed(small, changes, ALPHA)
    for name in changes:
        found = merged.tensors[name]
        assert found.format == (dtype or stored)
        step = {"F32": 2.0**-22, "F16": 2.0**-11, "BF16": 2.0**-8}[found.format]
        np.testing.assert_allclose(found.numpy(), want[name], rtol=step, atol=1e-6)


@pytest.mark.parametrize("target", ["m.pth", "m.safetensors", "m.rookery"])
def test_tuned_states_become_initial_ones(rookery, tmp_path, target):
    small, path = model_file(tmp_path)
    tuned = states(small)
    file = written(tmp_path / "both.safetensors", arrays(low_rank(small)) | tuned, alpha=ALPHA)
    about = rookery("merge", path, file, "-o", tmp_path / target, "--json").json
    assert about["states"] == 2
    assert about["difference"] < 1e-4
    found = open_checkpoint(tmp_path / target).initial_state
    for name, numbers in tuned.items():
        np.testing.assert_array_equal(found[name].numpy(), numbers)


@pytest.mark.parametrize(("target", "format"), [("m.gguf", "GGUF"), ("folder", "Hugging Face directories")])
def test_formats_without_a_place_for_states_say_so(rookery, tmp_path, target, format):
    small, path = model_file(tmp_path)
    state = written(tmp_path / "state.pth", states(small))
    rookery("merge", path, state, "-o", tmp_path / target).failed(format, "no place for a tuned state")
    assert not (tmp_path / target).exists()
    lora = written(tmp_path / "lora.safetensors", arrays(low_rank(small)), alpha=1)
    assert rookery("merge", path, lora, "-o", tmp_path / target).code == 0


def test_quantised_models_are_merged_into_plain_numbers(rookery, tmp_path):
    small, path = model_file(tmp_path, "7", "Q8_0")
    file = written(tmp_path / "a.safetensors", arrays(low_rank(small)), alpha=ALPHA)
    rookery("merge", path, file, "-o", tmp_path / "m.safetensors").failed("stored as Q8_0", "--dtype F16")
    assert rookery("merge", path, file, "-o", tmp_path / "m.safetensors", "--dtype", "f16").code == 0
    assert {t.format for t in open_checkpoint(tmp_path / "m.safetensors").tensors.values()} == {"F16"}
    assert FORMATS["Q8_0"].block == 32  # rows of 64 and 96 are whole blocks: every matrix was quantised


def test_what_the_check_finds_is_an_error(rookery, adapter, tmp_path, monkeypatch):
    from rookery.cli import merge

    _, path, file = adapter
    right, calls = merge._logits, []

    def wrong(path, tokens, **options):
        calls.append(path)
        return right(path, tokens, **options) * (1 + 0.01 * len(calls))

    monkeypatch.setattr(merge, "_logits", wrong)
    rookery("merge", path, file, "-o", tmp_path / "m.pth").failed("m.pth: its logits differ", "rounding explains")
    assert rookery("merge", path, file, "-o", tmp_path / "n.pth", "--no-check").code == 0
    assert len(calls) == 2


def test_what_would_be_overwritten(rookery, adapter, tmp_path):
    _, path, file = adapter
    rookery("merge", path, file, "-o", path).failed("this is the source itself")
    rookery("merge", path, file, "-o", file).failed("this is the source itself")
    (tmp_path / "m.pth").write_bytes(b"mine")
    rookery("merge", path, file, "-o", tmp_path / "m.pth").failed("already exists")
    assert (tmp_path / "m.pth").read_bytes() == b"mine"
    assert rookery("merge", path, file, "-o", tmp_path / "m.pth", "--force").code == 0


def test_an_adapter_of_another_model(rookery, adapter, tmp_path):
    small, path, _ = adapter
    tensors = arrays(low_rank(small))
    other = written(tmp_path / "other.safetensors", tensors, alpha=1, base="ab" * 16)
    rookery("merge", path, other, "-o", tmp_path / "m.pth").failed("ab" * 16, fingerprint(open_checkpoint(path)))
    plain = written(tmp_path / "plain.pth", tensors)
    rookery("merge", path, plain, "-o", tmp_path / "m.pth").failed("does not say its alpha", "its rank is 3")
    rookery("merge", path, path, "-o", tmp_path / "m.pth").failed("neither an adapter nor a tuned state")
    rookery("merge", plain, path, "-o", tmp_path / "m.pth").failed("neither an adapter")
    assert not (tmp_path / "m.pth").exists()


def test_commands_that_load_a_model_take_adapters(rookery, adapter, tmp_path):
    small, path, file = adapter
    vocabulary = tmp_path / "words.txt"
    vocabulary.write_text("".join(f"{i} {chr(64 + i)!r} 1\n" for i in range(1, 52)))
    merged = tmp_path / "m.safetensors"
    rookery("merge", path, file, "-o", merged)
    options = ["--tokenizer", vocabulary, "--temperature", 0, "-n", 8, "--json"]
    by_adapter = rookery("run", path, "ABC", "--adapter", file, *options).json
    assert by_adapter["tokens"] == rookery("run", merged, "ABC", *options).json["tokens"]
    assert by_adapter["tokens"] != rookery("run", path, "ABC", *options).json["tokens"]
    text = tmp_path / "text"
    text.write_text("ABCDEF" * 5)
    options = ["--tokenizer", vocabulary, "--json"]
    found = [rookery("perplexity", p, text, *a, *options).json for p, a in ((path, ["--adapter", file]), (merged, []))]
    assert found[0]["perplexity"] == pytest.approx(found[1]["perplexity"], rel=1e-5)
    rookery("run", path, "ABC", "--adapter-alpha", 2, "--tokenizer", vocabulary).failed("no adapter to scale")
    tuned = written(tmp_path / "state.pth", states(small))
    texts = [
        rookery("run", path, "ABC", flag, tuned, "--tokenizer", vocabulary, "--temperature", 0, "--json").json["tokens"]
        for flag in ("--adapter", "--state")
    ]
    assert texts[0] == texts[1]
