"""Which tensor gets which format."""

import numpy as np
import pytest
from quantize_models import model_of

from rookery.config import VERSIONS
from rookery.errors import NumericError, SettingsError
from rookery.quant import FORMATS
from rookery.quantize import RECIPES, plan, quantized, recipe
from rookery.weights import Tensor


def array(x, format="F32"):
    return Tensor(format, x.shape, lambda: x)


def one(name, shape, chosen, format="F32"):
    stored = np.ones(shape, {"F32": np.float32, "F16": np.float16, "BF16": np.uint16}[format])
    return plan({name: Tensor(format, shape, lambda: stored)}, recipe(chosen))[name]


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("name", RECIPES)
def test_every_tensor_of_every_version_has_its_place(version, name):
    tensors = model_of(version, vocab=64).tensors
    formats = plan(tensors, recipe(name))
    assert formats.keys() == tensors.keys()
    chosen = RECIPES[name]
    for key, tensor in tensors.items():
        kind = FORMATS[formats[key]]
        matrix = len(tensor.shape) == 2 and key.endswith(".weight")
        steering = len(tensor.shape) == 1 or key.endswith((".time_decay", ".time_first", ".time_faaaa", ".r_k"))
        if steering:
            assert kind.name == "F32", key
        elif not matrix:
            assert kind.name in ("F16", "BF16"), key
        else:
            assert kind.name in (chosen.matrix, chosen.finer, chosen.embedding, chosen.head), key


def test_the_mixed_recipe():
    assert one("blocks.1.att.output.weight", (256, 256), "q4_k_m") == "Q5_K"
    assert one("blocks.1.att.value.weight", (256, 256), "q4_k_m") == "Q4_K"
    assert one("emb.weight", (9, 256), "q4_k_m") == one("head.weight", (9, 256), "q4_k_m") == "Q6_K"


@pytest.mark.parametrize(
    ("chosen", "columns", "format"),
    [("q4_k", 96, "Q4_1"), ("q5_k", 96, "Q5_1"), ("q6_k", 96, "Q8_0"), ("q4_k", 40, "F16"), ("q8_0", 40, "F16")],
)
def test_rows_that_are_no_whole_blocks_take_the_next_format(chosen, columns, format):
    assert one("blocks.0.ffn.key.weight", (7, columns), chosen) == format


@pytest.mark.parametrize(("stored", "chosen", "format"), [("F16", "bf16", "F16"), ("BF16", "f16", "BF16")])
def test_nothing_becomes_wider_or_changes_without_need(stored, chosen, format):
    assert one("blocks.0.ffn.key.weight", (4, 64), chosen, stored) == format


def test_blocks_are_not_widened():
    kind = FORMATS["Q4_0"]
    tensor = Tensor("Q4_0", (2, 64), lambda: kind.encode(np.ones((2, 64), np.float32)))
    tensors = {"blocks.0.ffn.key.weight": tensor}
    assert plan(tensors, recipe("q8_0")) == {"blocks.0.ffn.key.weight": "Q4_0"}


def test_low_rank_matrices_take_the_closer_16_bits():
    bf16 = (np.random.default_rng(0).standard_normal((8, 8)).astype(np.float32).view(np.uint32) >> 16 << 16).view("f4")
    for x, format in (
        (bf16 * np.float32(2.0**-20), "BF16"),
        (bf16.astype("f2").astype("f4") / 3, "F16"),
        (bf16 * 2.0**70, "BF16"),
    ):
        tensors = {"blocks.0.att.w1": array(np.ascontiguousarray(x, np.float32))}
        assert plan(tensors, recipe("q4_0")) == {"blocks.0.att.w1": format}


def test_an_unknown_recipe_is_named_with_the_known_ones():
    with pytest.raises(SettingsError, match=r"'q3_k'.*q4_k_m"):
        recipe("q3_k")
    assert recipe("Q4_K_M") is RECIPES["q4_k_m"]


@pytest.mark.parametrize("chosen", ["q8_0", "f16"])
@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_a_tensor_that_cannot_be_stored_is_named(chosen, bad):
    checkpoint = model_of("7", vocab=64)
    x = checkpoint.tensors["head.weight"].numpy().copy()
    x[3, 5] = bad
    checkpoint.tensors["head.weight"] = array(x)
    with pytest.raises(NumericError, match=r"head\.weight"):
        quantized(checkpoint, recipe(chosen)).tensors["head.weight"].load()


def test_pieces_join(monkeypatch):
    """A tensor encoded in pieces, and on several threads, is the tensor encoded at once."""
    checkpoint = model_of("7", vocab=64)
    x = np.random.default_rng(0).standard_normal((500, 256)).astype(np.float32) * np.linspace(0.1, 2, 256, dtype="f4")
    moments = {"head.weight": [x.T @ x / 500]}
    whole = quantized(checkpoint, recipe("q4_k"), moments).tensors["head.weight"].load()
    monkeypatch.setattr("rookery.quantize.encoding._PIECE", 256 * 5)
    parts = quantized(checkpoint, recipe("q4_k"), moments, threads=2).tensors["head.weight"].load()
    np.testing.assert_array_equal(parts, whole)
    plain = quantized(checkpoint, recipe("q4_k")).tensors["head.weight"].load()
    assert (plain != whole).any()
