"""Calibration and quality, against formulas and models whose answers are known."""

import numpy as np
import pytest
from quantize_models import model_of

import rookery
from rookery.config import VERSIONS
from rookery.errors import SettingsError
from rookery.evaluate import perplexity
from rookery.layout import StateLayout
from rookery.ops.numpy import NumpyOps
from rookery.ops.oracle import NumpyExecutor
from rookery.parameters import parameters
from rookery.quantize import compare, quantized, recipe, second_moments

TOKENS = np.random.default_rng(5).integers(0, 256, 75).tolist()


def names_of(node, prefix=""):
    """Names of the arrays that may be matrices, by identity."""
    if isinstance(node, np.ndarray):
        return {id(node): f"{prefix}.weight".lstrip(".")}
    items = enumerate(node) if isinstance(node, list) else vars(node).items() if hasattr(node, "__dict__") else ()
    return {key: name for part, child in items for key, name in names_of(child, f"{prefix}.{part}").items()}


@pytest.mark.parametrize("version", VERSIONS)
def test_second_moments_are_those_of_the_oracle(version, monkeypatch):
    checkpoint = model_of(version, width=64, ffn=96, head_size=16)
    p = parameters(checkpoint.config, checkpoint.tensors, np.float64)
    names, seen = names_of(p), {}

    def linear(ops, x, w):
        if id(w) in names:
            seen.setdefault(names[id(w)], []).append(x)
        return x @ w.T

    layout = StateLayout(checkpoint.config)
    oracle = NumpyExecutor(layout, p)
    monkeypatch.setattr(NumpyOps, "linear", linear)
    every = np.arange(len(TOKENS), dtype=np.int32)
    oracle.run(np.array(TOKENS, np.int32), [len(TOKENS)], [layout.zeros()], every)
    found = second_moments(checkpoint, TOKENS, threads=1)
    assert found.keys() == seen.keys()
    assert {"head.weight", "blocks.1.ffn.value.weight"} <= found.keys()
    for name, got in found.items():
        x = np.concatenate(seen[name])
        want = x.T @ x / len(x)
        assert [panel.shape for panel in got] == [want.shape], name
        np.testing.assert_allclose(got[0], want, atol=2e-4 * want.max(), err_msg=name)


def test_wide_inputs_come_in_panels_along_the_diagonal(monkeypatch):
    checkpoint = model_of("7")
    whole = second_moments(checkpoint, TOKENS, 1)
    monkeypatch.setattr("rookery.quantize.calibrate._BUDGET", 0)
    found = second_moments(checkpoint, TOKENS, 1)
    for name, panels in found.items():
        start = 0
        for panel in panels:
            inside = slice(start, start + len(panel))
            np.testing.assert_allclose(panel, whole[name][0][inside, inside], rtol=1e-5, atol=1e-6)
            start += len(panel)
        assert start == len(whole[name][0])
    assert [len(panel) for panel in found["blocks.0.ffn.value.weight"]] == [256, 256]


@pytest.fixture(scope="module")
def pair():
    checkpoint = model_of("7")
    source = rookery.load(checkpoint, threads=1)
    return source, rookery.load(quantized(checkpoint, recipe("q4_0")), threads=1)


def test_a_model_is_as_good_as_itself(pair):
    found = compare(pair[0], pair[0], TOKENS)
    assert (found.tokens, found.kl_mean, found.kl_p99, found.agreement) == (74, 0, 0, 1)
    assert found.perplexity == found.source_perplexity


def test_the_formulas(pair):
    """KL, perplexity and agreement of whole logits at once, in float64."""
    source, model = pair
    found = compare(source, model, TOKENS)
    p, q = (np.float64(m.forward(TOKENS[:-1], full=True)[0]) for m in pair)
    p, q = (x - np.log(np.exp(x).sum(axis=1, keepdims=True)) for x in (p, q))
    kl = np.sum(np.exp(p) * (p - q), axis=1)
    assert found.kl_mean == pytest.approx(kl.mean(), rel=1e-9)
    assert found.kl_p99 == pytest.approx(np.quantile(kl, 0.99), rel=1e-9)
    assert found.agreement == np.mean(p.argmax(axis=1) == q.argmax(axis=1))
    assert found.perplexity == pytest.approx(perplexity(model, TOKENS, start_token=None).perplexity, rel=1e-9)
    assert found.source_perplexity == pytest.approx(perplexity(source, TOKENS, start_token=None).perplexity, rel=1e-9)
    assert found.kl_mean > 0


def test_more_bits_are_closer(pair):
    source = pair[0]
    found = [
        compare(source, rookery.load(quantized(source.checkpoint, recipe(name)), threads=1), TOKENS).kl_mean
        for name in ("q8_0", "q6_k", "q5_k", "q4_k")
    ]
    assert found == sorted(found)


def test_a_quantised_model_is_another_model(pair):
    assert pair[0].fingerprint != pair[1].fingerprint


@pytest.mark.parametrize("tokens", [[], [1]])
def test_too_short_a_text_is_refused(pair, tokens):
    with pytest.raises(rookery.RookeryError, match="token"):
        compare(*pair, tokens)
    with pytest.raises(SettingsError, match="longer"):
        second_moments(pair[0].checkpoint, tokens)


@pytest.mark.shared
@pytest.mark.parametrize("file", ["4v0-660K", "5v2-730K"])
@pytest.mark.parametrize("name", ["q4_0", "q4_1"])
def test_calibrating_beats_the_plain_recipe_on_trained_models(shared, file, name):
    """At equal size, on text it was not calibrated with."""
    from rookery.quantize import sample

    source = rookery.load(shared / f"fixtures/rwkv_cpp_tiny/tiny-rwkv-{file}-FP32.bin", threads=1)
    text = source.tokenizer.encode(sample().content)
    moments = second_moments(source.checkpoint, text[:4500], 1)

    def kl(known):
        model = rookery.load(quantized(source.checkpoint, recipe(name), known), threads=1)
        return compare(source, model, [0, *text[4500:]]).kl_mean

    assert kl(moments) < 0.85 * kl(None)
