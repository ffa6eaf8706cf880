"""Sizes against published numbers, and their round trip through tensor shapes."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest

from rookery.config import VERSIONS, Config, shapes
from rookery.errors import SettingsError
from rookery.initialise import RELEASED, make_config, released_config

# rwkv-7 parameters as published, with the unused value residual of block 0.
GOOSE_PARAMETERS = {
    "0.1B": 191084544,
    "0.4B": 450834432,
    "1.5B": 1527668736,
    "2.9B": 2948065280,
    "7.2B": 7199932416,
}
# width -> newer rule, ranks w a v g
GOOSE_RULE = {
    256: (32, 32, 32, 64),
    512: (64, 64, 32, 128),
    768: (64, 64, 32, 128),
    1024: (64, 64, 64, 160),
    1536: (96, 96, 64, 192),
    2048: (128, 128, 64, 224),
    2560: (128, 128, 96, 256),
    4096: (160, 160, 96, 320),
    6144: (192, 192, 128, 384),
    8192: (224, 224, 160, 448),
}


@pytest.mark.parametrize("size", GOOSE_PARAMETERS)
def test_released_goose_has_the_published_number_of_parameters(size: str) -> None:
    assert sum(map(math.prod, shapes(released_config("7", size)).values())) == GOOSE_PARAMETERS[size]


@pytest.mark.parametrize("width", GOOSE_RULE)
def test_goose_ranks_follow_the_newer_rule(width: int) -> None:
    ranks = make_config("7", layers=1, width=width, vocab=9).ranks
    assert tuple(ranks[name] for name in "wavg") == GOOSE_RULE[width]


@pytest.mark.parametrize(("version", "width", "ffn"), [("4", 768, 3072), ("5.0", 64, 256), ("7", 64, 256)])
@pytest.mark.parametrize("given", [None, 77])
def test_ffn_width(version: str, width: int, ffn: int, given: int | None) -> None:
    assert make_config(version, layers=1, width=width, vocab=9, ffn=given).ffn == (given or ffn)


@pytest.mark.parametrize(
    ("width", "ffn"), [(1024, 3584), (2048, 7168), (2560, 8960), (4096, 14336), (64, 224), (8, 32)]
)
@pytest.mark.parametrize("version", ["5.1", "5.2", "6"])
def test_ffn_width_of_gated_versions(version: str, width: int, ffn: int) -> None:
    assert make_config(version, layers=1, width=width, vocab=9, head_size=8).ffn == ffn


def test_finch_ranks() -> None:
    assert make_config("6", layers=1, width=2560, vocab=9).ranks == {"mix": 32, "decay": 64}
    assert make_config("6", layers=1, width=4096, vocab=9).ranks == {"mix": 64, "decay": 128}
    assert make_config("6", layers=1, width=64, vocab=9, ranks={"mix": 3}).ranks == {"mix": 3, "decay": 64}


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize(
    ("layers", "width", "head_size"), [(1, 64, 64), (1, 2, 2), (3, 96, 32), (2, 35, 7), (5, 192, 64)]
)
def test_config_survives_its_shapes(version: str, layers: int, width: int, head_size: int) -> None:
    config = make_config(version, layers=layers, width=width, vocab=1 + width, head_size=head_size)
    assert Config.infer(shapes(config)) == config


def test_the_second_preview_survives_its_shapes() -> None:
    config = replace(make_config("5.0", layers=2, width=64, vocab=9, head_size=16), bonus_exp=False)
    assert Config.infer(shapes(config)) == config


@pytest.mark.parametrize(("version", "size"), [(v, s) for v in RELEASED for s in RELEASED[v]])
def test_released_config_survives_its_shapes(version: str, size: str) -> None:
    config = released_config(version, size)
    assert Config.infer(shapes(config)) == config


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"version": "3"}, "unknown version '3'; known: 4, 5.0"),
        ({"layers": 0}, "layers is 0"),
        ({"layers": 2.5}, "layers is 2.5"),
        ({"width": 1, "head_size": 1}, "width is 1"),
        ({"vocab": -1}, "vocab is -1"),
        ({"ffn": 0}, "ffn is 0"),
        ({"head_size": 1}, "head_size is 1"),
        ({"head_size": 0}, "head_size is 0"),
        ({"head_size": 48}, "head_size 48 does not divide width 64"),
        ({"ranks": {"mix": 4}}, "RWKV-7 has no low-rank matrix 'mix'; known: w, a, v, g"),
        ({"ranks": {"w": 0}}, "rank 'w' is 0"),
        ({"version": "5.2", "ranks": {"w": 4}}, "known: none"),
    ],
)
def test_impossible_sizes(change: dict[str, object], says: str) -> None:
    sizes: dict[str, object] = {"version": "7", "layers": 2, "width": 64, "vocab": 9, **change}
    with pytest.raises(SettingsError, match=says):
        make_config(**sizes)


@pytest.mark.parametrize(("version", "size", "says"), [("5.0", "1B", "no released sizes"), ("7", "8B", "7.2B")])
def test_unknown_released_sizes(version: str, size: str, says: str) -> None:
    with pytest.raises(SettingsError, match=says):
        released_config(version, size)
