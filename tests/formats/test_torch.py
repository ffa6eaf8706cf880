"""Torch itself as the oracle, both ways."""

from __future__ import annotations

from collections import OrderedDict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tiny_models import CONFIGS, arrays, checkpoint

from rookery.errors import FormatError, UnsupportedError
from rookery.formats import Tensor, open_checkpoint, pth, save_checkpoint

torch: Any = pytest.importorskip("torch")
pytestmark = pytest.mark.peer

TYPES = {"F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16, "F64": torch.float64}
TYPES |= {"I64": torch.int64, "I32": torch.int32, "I16": torch.int16, "I8": torch.int8, "U8": torch.uint8}


def assert_equal(ours: Tensor, theirs: Any) -> None:
    """Type, shape and bits."""
    theirs = theirs.detach()
    assert TYPES[ours.format] == theirs.dtype
    assert ours.shape == tuple(theirs.shape)
    bits = theirs.contiguous().view(torch.uint16).numpy() if ours.format == "BF16" else theirs.numpy()
    assert np.array_equal(ours.load(), bits)


@pytest.mark.parametrize("dtype", ["F32", "F16", "BF16"])
@pytest.mark.parametrize("version", CONFIGS)
def test_torch_reads_what_we_write(tmp_path: Path, version: str, dtype: str) -> None:
    model = checkpoint(CONFIGS[version])
    save_checkpoint(model, tmp_path / "m.pth", dtype=dtype)
    for mmap in (False, True):
        theirs = torch.load(tmp_path / "m.pth", weights_only=True, mmap=mmap)
        ours = pth.read_tensors(tmp_path / "m.pth")
        assert list(ours) == list(theirs)
        for name, tensor in ours.items():
            assert_equal(tensor, theirs[name])


def test_we_read_what_torch_writes(tmp_path: Path) -> None:
    base = torch.randn(7, 9, 4)
    buffer = torch.arange(24, dtype=torch.float32)
    tensors = {
        "plain": base,
        "transposed": base.transpose(0, 2),
        "sliced": base[2:5, ::2, 1:],
        "shared.a": buffer[3:9],
        "shared.b": buffer.view(4, 6).t(),
        "scalar": torch.tensor(3.5),
        "empty": torch.zeros(0, 3),
        "row": base[0:1, 0, :],
        "parameter": torch.nn.Parameter(torch.randn(5)),
        **{name: torch.randn(3, 5).mul(50).to(dtype) for name, dtype in TYPES.items()},
    }
    for saved in (tensors, OrderedDict(tensors)):
        torch.save(saved, tmp_path / "m.pth")
        ours = pth.read_tensors(tmp_path / "m.pth")
        assert list(ours) == list(tensors)
        for name, tensor in ours.items():
            assert_equal(tensor, tensors[name])


def test_state_dict_with_metadata(tmp_path: Path) -> None:
    module = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.LayerNorm(4))
    torch.save(module.state_dict(), tmp_path / "m.pth")
    ours = pth.read_tensors(tmp_path / "m.pth")
    for name, tensor in module.state_dict().items():
        assert_equal(ours[name], tensor)


def test_list_of_states(tmp_path: Path) -> None:
    state = [torch.randn(4), torch.randn(2, 3, 3), torch.randn(4)]
    torch.save(state, tmp_path / "s.pth")
    ours = pth.read_tensors(tmp_path / "s.pth")
    assert list(ours) == ["0", "1", "2"]
    for tensor, theirs in zip(ours.values(), state, strict=True):
        assert_equal(tensor, theirs)


def test_model_of_a_distributed_trainer(tmp_path: Path) -> None:
    given = arrays(CONFIGS["7"])
    torch.save({f"_forward_module.{k}": torch.tensor(v).bfloat16() for k, v in given.items()}, tmp_path / "m.pth")
    model = open_checkpoint(tmp_path / "m.pth")
    assert model.config == CONFIGS["7"]
    assert np.allclose(model.tensors["head.weight"].numpy(), given["head.weight"], rtol=8e-3)


@pytest.mark.parametrize(
    ("saved", "error", "message"),
    [
        (torch.zeros(3), FormatError, "single tensor"),
        ({"state_dict": {"a": torch.zeros(3)}}, FormatError, "'state_dict' is a dictionary.*state_dict\\(\\)"),
        ({"_strategy": "cpu fp32", "a": torch.zeros(3)}, UnsupportedError, "converted by the rwkv package"),
        ({"blocks.0.att.time_state": torch.zeros(1, 2, 2)}, FormatError, "tuned initial state"),
        ({"blocks.0.att.key.lora_A": torch.zeros(1, 2)}, UnsupportedError, "LoRA adapter"),
        ({"x": torch.zeros(1).expand(1 << 40)}, FormatError, "beyond its storage of 1 elements"),
    ],
)
def test_other_things_torch_saves(tmp_path: Path, saved: object, error: type[Exception], message: str) -> None:
    torch.save(saved, tmp_path / "m.pth")
    with pytest.raises(error, match=message):
        open_checkpoint(tmp_path / "m.pth")


def test_file_from_before_torch_1_6(tmp_path: Path) -> None:
    torch.save({"a": torch.zeros(3)}, tmp_path / "m.pth", _use_new_zipfile_serialization=False)
    with pytest.raises(UnsupportedError, match=r"before 1\.6"):
        open_checkpoint(tmp_path / "m.pth")


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_torchscript(tmp_path: Path) -> None:
    torch.jit.script(torch.nn.Linear(2, 2)).save(str(tmp_path / "m.pt"))
    with pytest.raises(UnsupportedError, match="TorchScript"):
        open_checkpoint(tmp_path / "m.pt")


@pytest.mark.shared
def test_published_files(shared: Path) -> None:
    files = sorted((shared / "fixtures/rwkv_v8_tasks").glob("*.pth"))
    assert files
    for file in files:
        theirs = torch.load(file, weights_only=True, map_location="cpu")
        ours = pth.read_tensors(file)
        assert list(ours) == list(theirs)
        for name, tensor in ours.items():
            assert_equal(tensor, theirs[name])


def test_zip64_records(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rookery.formats.zip_writer._WIDE", 1000)
    save_checkpoint(checkpoint(CONFIGS["7"]), tmp_path / "m.pth")
    theirs = torch.load(tmp_path / "m.pth", weights_only=True)
    for name, tensor in pth.read_tensors(tmp_path / "m.pth").items():
        assert_equal(tensor, theirs[name])
