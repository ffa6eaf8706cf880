"""Memory and time by the length of the context, and the picture of it."""

import importlib.util

import pytest

from rookery.bench import plot as plotting
from rookery.bench.context import contexts
from rookery.bench.plot import check_plot, plot
from rookery.errors import MissingExtra, SettingsError
from rookery.formats import save_checkpoint
from rookery.initialise import make_config, random_model


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    path = tmp_path_factory.mktemp("models") / "m.gguf"
    save_checkpoint(random_model(make_config("7", layers=1, width=64, vocab=300), 1), path)
    return path


def test_a_point_for_every_length(model):
    found = contexts(model, None, [3, 700], 1)
    assert list(found["programs"]) == ["rookery"]
    points = found["programs"]["rookery"]["points"]
    assert len(points) == 2
    assert all(point["token_s"] > 0 and point["resident_bytes"] > 1 << 20 for point in points)
    assert 0 < points[0]["read_s"] <= points[1]["read_s"]


@pytest.mark.parametrize("lengths", [[0], [5, 5], [7, 3], [1 << 25]])
def test_lengths_must_ascend(model, lengths):
    with pytest.raises(SettingsError, match="--context"):
        contexts(model, None, lengths, 1)


@pytest.mark.peer
def test_a_transformer_of_the_same_size(model, tmp_path, run_benchmark):
    pytest.importorskip("llama_cpp")
    pytest.importorskip("gguf")
    done = run_benchmark("transformer.py", model, tmp_path / "t.gguf")
    assert done.returncode == 0, done.stderr
    found = contexts(model, tmp_path / "t.gguf", [16, 600], 1)
    assert found["programs"]["transformer"]["about"].startswith("llama")
    assert len(found["programs"]["transformer"]["points"]) == 2


def test_a_transformer_that_is_not_there(model, tmp_path, monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: object())
    with pytest.raises(SettingsError, match=r"absent\.gguf"):
        contexts(model, tmp_path / "absent.gguf", [16], 1)


def test_a_transformer_that_is_none(model, tmp_path, monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: object())
    (tmp_path / "text").write_bytes(b"no model at all")
    with pytest.raises(SettingsError, match="not a GGUF file"):
        contexts(model, tmp_path / "text", [16], 1)
    with pytest.raises(SettingsError, match="RWKV-7, not a transformer"):
        contexts(model, model, [16], 1)


FOUND = {
    "lengths": [512, 2048],
    "programs": {
        name: {"points": [{"resident_bytes": 1e8 * n, "token_s": 0.01 * n} for n in (1, 2)]}
        for name in ("rookery", "transformer")
    },
}


@pytest.mark.parametrize("suffix", plotting.SUFFIXES)
def test_draws(tmp_path, suffix):
    pytest.importorskip("matplotlib")
    path = tmp_path / f"picture{suffix}"
    plot(FOUND, path)
    magic = {".svg": b"<?xml", ".png": b"\x89PNG", ".pdf": b"%PDF"}[suffix]
    assert path.read_bytes().startswith(magic)


def test_flat_lines_have_room_above(tmp_path):
    pytest.importorskip("matplotlib")
    from matplotlib.figure import Figure

    axes = Figure().subplots()
    points = [{"resident_bytes": 100}, {"resident_bytes": 100}]
    plotting._panel(axes, {"lengths": [1, 2], "programs": {"rookery": {"points": points}}}, "resident_bytes", 1, "")
    assert axes.get_ylim()[1] >= 105


def test_what_can_be_said_before_measuring(tmp_path, monkeypatch):
    monkeypatch.setattr(plotting.importlib.util, "find_spec", lambda _: object())
    with pytest.raises(SettingsError, match=r"\.svg"):
        check_plot(tmp_path / "picture.txt")
    with pytest.raises(SettingsError, match="folder"):
        check_plot(tmp_path / "absent" / "picture.svg")
    monkeypatch.setattr(plotting.importlib.util, "find_spec", lambda _: None)
    with pytest.raises(MissingExtra, match=r"rookery\[plot\]"):
        check_plot(tmp_path / "picture.svg")
