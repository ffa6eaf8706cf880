"""Initial values against scalar formulas; random models against what they promise."""

from __future__ import annotations

import math
import re
from dataclasses import replace
from functools import partial

import numpy as np
import pytest

from rookery.config import VERSIONS, Config, shapes
from rookery.errors import SettingsError
from rookery.initialise import initialise, make_config, random_model

L, C, N = 3, 96, 32


def small(version: str, layers: int = L, width: int = C, head_size: int = N) -> Config:
    return make_config(version, layers=layers, width=width, vocab=150, head_size=head_size)


SECOND_PREVIEW = replace(small("5.0"), bonus_exp=False)
CONFIGS = [*map(small, VERSIONS), SECOND_PREVIEW]
ids = partial(lambda config: config.version + ("" if config.bonus_exp or config.version != "5.0" else " r2"))


def goose(leaf: str, b: int, i: int) -> float:
    """One number of an RWKV-7 vector, b its block and i its channel."""
    up, down = b / (L - 1), 1 - b / L
    line, q = i / (C - 1) - 0.5, (i % N - (N - 1) / 2) / ((N - 1) / 2)
    z = q * abs(q)
    mix = {"r": 0.2, "g": 0.2, "w": 0.9, "a": 0.9, "k": 0.7, "v": 0.7}
    if leaf.startswith("att.x_"):
        return 1 - math.pow(i / C, mix[leaf[-1]] * down)
    return {
        "att.w0": -5.5 + 6 * math.pow(i / (C - 1), 1 + math.pow(up, 0.3)) + 2.5 * z,
        "att.a0": -0.19 + 0.3 * z + 0.4 * line,
        "att.v0": 0.73 - 0.4 * line,
        "att.k_k": 0.71 - 0.1 * line,
        "att.k_a": 1.02,
        "att.r_k": -0.04,
        "ffn.x_k": 1 - math.pow(i / C, down**4),
    }[leaf]


def finch(leaf: str, b: int, i: int) -> float:
    up, down = b / (L - 1), 1 - b / L
    share = math.pow(i / C, down)
    return {
        **{f"att.time_maa_{x}": 1 - share for x in "xwk"},
        "att.time_maa_v": 1 - share - 0.3 * up,
        **{f"att.time_maa_{x}": 1 - math.sqrt(share) for x in "rg"},
        **{f"ffn.time_maa_{x}": 1 - math.pow(i / C, down**3) for x in "kr"},
        "att.time_decay": -6 + 5 * math.pow(i / (C - 1), 0.7 + 1.3 * up),
        "att.time_faaaa": up * (1 - i / (C - 1)) + 0.1 * ((i + 1) % 3 - 1),
    }[leaf]


def dove_mix(leaf: str, b: int, i: int) -> float:
    up, share = b / (L - 1), math.pow(i / C, 1 - b / L)
    if leaf == "att.time_mix_v":
        return share + 0.3 * up
    return math.sqrt(share) if leaf in ("att.time_mix_r", "att.time_mix_g") else share


def dove(leaf: str, b: int, i: int) -> float:
    if leaf == "att.time_decay":
        return -5 + 8 * math.pow(i / (C - 1), 0.7 + 1.3 * b / (L - 1))
    if leaf == "att.time_first":
        return math.log(0.3) + (-0.5, 0.0, 0.5)[(i + 1) % 3]
    return dove_mix(leaf, b, i)


def eagle(leaf: str, b: int, i: int, count: int, zigzag: bool) -> float:
    up = b / (L - 1)
    if leaf == "att.time_decay":
        return -6 + 5 * math.pow(i / (count - 1), 0.7 + 1.3 * up)
    if leaf == "att.time_first":
        return -3
    if leaf == "att.time_faaaa":
        return up * (1 - i / (count - 1)) + (0.1 * ((i + 1) % 3 - 1) if zigzag else 0)
    return dove_mix(leaf, b, i)


FORMULAS = {
    "4": dove,
    **{v: partial(eagle, count=C // N, zigzag=False) for v in ("5.0", "5.1")},
    "5.2": partial(eagle, count=C, zigzag=True),
    "6": finch,
    "7": goose,
}


@pytest.mark.parametrize("config", CONFIGS, ids=ids)
def test_vectors_follow_the_formulas(config: Config) -> None:
    tensors, checked = initialise(config).tensors, 0
    for name, tensor in tensors.items():
        match = re.fullmatch(r"blocks\.(\d)\.((?:att|ffn)\.(?!.*(?:ln_x|weight|\w[12]$)).*)", name)
        if match:
            formula = FORMULAS[config.version]
            expected = [formula(match[2], int(match[1]), i) for i in range(math.prod(tensor.shape))]
            np.testing.assert_allclose(tensor.numpy().ravel(), expected, rtol=1e-6, atol=1e-6, err_msg=name)
            checked += 1
    assert checked == {"4": 7, "5.0": 7, "5.1": 8, "5.2": 8, "6": 10, "7": 13}[config.version] * L


@pytest.mark.parametrize("config", CONFIGS, ids=ids)
def test_norms(config: Config) -> None:
    for name, tensor in initialise(config).tensors.items():
        if match := re.fullmatch(r"(?:blocks\.(\d)\.)?(?:att\.)?(ln\w+)\.(weight|bias)", name):
            weight = ((1 + int(match[1])) / L) ** 0.7 if match[2] == "ln_x" else 1
            assert np.allclose(tensor.numpy(), weight if match[3] == "weight" else 0), name


GAINS = {"att.receptance": 1, "att.key": 0.1, "att.value": 1, "att.gate": 0.1, "ffn.key": 1}
ZEROS = {"att.output", "ffn.value", "ffn.receptance"}


@pytest.mark.parametrize("config", CONFIGS, ids=ids)
def test_matrices_are_orthogonal_or_zero(config: Config) -> None:
    for name, tensor in initialise(config, seed=3).tensors.items():
        leaf = re.sub(r"^blocks\.\d\.|\.weight$", "", name.replace("head.weight", "head"))
        gain = GAINS.get(leaf)
        if config.version == "4":
            gain = {"att.value": 1, "ffn.key": 2}.get(leaf)
        if leaf == "head":
            gain = 0.5 * math.sqrt(150 / C)
        if re.fullmatch(r"att\.[wavg]2", leaf):
            gain = 0.1 * max(1, math.sqrt(tensor.shape[0] / C))
        if gain is not None:
            assert orthogonality(tensor.numpy(), gain) < 1e-5, name
        elif leaf in ZEROS | {"att.receptance", "att.key"} or re.fullmatch(r"att\.([wavg]|time_\w+_w)1", leaf):
            assert not tensor.numpy().any(), name


def orthogonality(matrix: np.ndarray, gain: float) -> float:
    small_side = matrix.T if matrix.shape[0] > matrix.shape[1] else matrix
    return float(np.abs(small_side @ small_side.T / gain**2 - np.eye(len(small_side))).max())


@pytest.mark.parametrize(("name", "limit"), [("emb.weight", 1e-4), ("blocks.1.att.time_maa_w2", 0.01)])
def test_small_uniform_tensors(name: str, limit: float) -> None:
    values = initialise(small("6")).tensors[name].numpy()
    assert 0.9 * limit < np.abs(values).max() <= limit
    assert abs(values.mean()) < 0.1 * limit


def test_a_head_narrower_than_the_vocabulary_keeps_its_gain() -> None:
    config = make_config("7", layers=1, width=64, vocab=10)
    assert orthogonality(initialise(config).tensors["head.weight"].numpy(), 0.5) < 1e-5


@pytest.mark.parametrize(("rows", "columns"), [(1, 1), (1, 5), (5, 1), (7, 13), (300, 64), (64, 300), (65, 64)])
def test_orthogonal_shapes(rows: int, columns: int) -> None:
    from rookery.initialise.orthogonal import orthogonal

    assert orthogonality(orthogonal(np.random.default_rng(0), rows, columns, 0.3), 0.3) < 1e-5


def test_both_orthogonal_methods_agree() -> None:
    from rookery.initialise import orthogonal

    tall = np.random.default_rng(1).standard_normal((200, 50), np.float32)
    np.testing.assert_allclose(orthogonal._cholesky(tall), orthogonal._householder(tall), atol=2e-6)


@pytest.mark.parametrize("make", [initialise, random_model])
@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize(("layers", "width", "head_size"), [(1, 64, 64), (1, 2, 2), (3, 96, 32)])
def test_tensors_are_those_of_the_version(make, version: str, layers: int, width: int, head_size: int) -> None:
    config = small(version, layers, width, head_size)
    loaded = {name: tensor.numpy() for name, tensor in make(config).tensors.items()}
    assert {name: value.shape for name, value in loaded.items()} == shapes(config)
    assert all(np.isfinite(value).all() for value in loaded.values())


@pytest.mark.parametrize("make", [initialise, random_model])
def test_numbers_depend_on_seed_and_name_only(make) -> None:
    config = small("7")
    first, again, other = make(config, 1), make(config, 1), make(config, 2)
    for name in reversed(first.tensors):
        value = first.tensors[name].numpy()
        np.testing.assert_array_equal(value, first.tensors[name].numpy())
        np.testing.assert_array_equal(value, again.tensors[name].numpy())
    a, b = "blocks.0.att.receptance.weight", "blocks.1.att.receptance.weight"
    assert not np.array_equal(first.tensors[a].numpy(), first.tensors[b].numpy())
    assert not np.array_equal(first.tensors[a].numpy(), other.tensors[a].numpy())


@pytest.mark.parametrize("dtype", ["F16", "BF16"])
def test_narrow_storage_is_the_rounded_float32(dtype: str) -> None:
    wide, narrow = random_model(small("7"), 4), random_model(small("7"), 4, dtype)
    for name, tensor in narrow.tensors.items():
        assert tensor.format == dtype
        assert tensor.load().dtype.itemsize == 2
        np.testing.assert_allclose(tensor.numpy(), wide.tensors[name].numpy(), rtol=2.0**-8, atol=1e-7)


@pytest.mark.parametrize("config", CONFIGS, ids=ids)
def test_random_models_are_not_degenerate(config: Config) -> None:
    for name, tensor in random_model(config).tensors.items():
        values = tensor.numpy().ravel()
        assert np.abs(values).min() < np.abs(values).max(), name
        if re.search(r"\.(x_\w|time_mix_\w|time_maa_[a-z])$", name):
            assert 0 <= values.min() < 0.1, name
            assert 0.9 < values.max() <= 1, name
        if name.endswith("time_decay"):
            decay = np.exp(-np.exp(values))
            assert 0.05 < decay.min() <= decay.max() < 0.999, name
        if re.fullmatch(r".*ln[^.]*\.weight", name):
            assert 0.8 <= values.min() < values.max() <= 1.2, name


def test_random_tensors_larger_than_a_block() -> None:
    values = random_model(make_config("4", layers=1, width=1200, vocab=2000)).tensors["emb.weight"].numpy()
    assert values.size > 2 * 2**20
    assert abs(values.mean()) < 2e-3
    assert abs(values.std() - 1 / math.sqrt(3)) < 2e-3
    assert len(np.unique(values[:, 0])) > 1990  # the blocks are not repeats of one another


@pytest.mark.parametrize(
    ("seed", "dtype", "says"), [(-1, "F32", "seed is -1"), (2**64, "F32", "seed"), (0, "Q8_0", "Q8_0")]
)
@pytest.mark.parametrize("make", [initialise, random_model])
def test_impossible_requests(make, seed: int, dtype: str, says: str) -> None:
    with pytest.raises(SettingsError, match=says):
        make(small("7"), seed, dtype)
