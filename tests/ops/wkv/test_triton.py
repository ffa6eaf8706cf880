"""The GPU's kernels without a GPU: interpreted against the formulas in float64, and compiled for three GPUs."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch", reason="needs the extra rookery[train]")
pytest.importorskip("triton", reason="needs the extra rookery[gpu]")

from kernel_cases import CASES, Case  # noqa: E402

from rookery.errors import SettingsError  # noqa: E402
from rookery.ops import wkv  # noqa: E402
from rookery.ops.wkv.chunks import chunks  # noqa: E402

HERE = Path(__file__).parent
BENCHMARK = HERE.parents[2] / "benchmarks" / "wkv_gpu.py"
SHARED_MEMORY = {"sm_80": 163 * 1024, "sm_90": 227 * 1024, "gfx942": 64 * 1024}  # of a program, at most


def _run(script: str, *arguments: str, **variables: str) -> Any:
    environment = {name: value for name, value in os.environ.items() if name != "TRITON_INTERPRET"} | variables
    done = subprocess.run([sys.executable, HERE / script, *arguments], env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-4000:]
    return json.loads(done.stdout)


@pytest.fixture(scope="module")
def interpreted() -> dict[str, dict[str, float]]:
    return _run("kernel_cases.py", TRITON_INTERPRET="1")


@pytest.mark.parametrize("case", CASES, ids=str)
def test_interpreted_kernels_compute_the_formulas(case: Case, interpreted):
    errors = interpreted[str(case)]
    assert {"y", "final", "dk", "dv", "dw", "dstate"} <= set(errors)
    assert {name: error for name, error in errors.items() if not error <= case.bound} == {}


def test_kernels_on_a_gpu_compute_the_formulas():
    if not torch.cuda.is_available():
        pytest.skip("needs a GPU of NVIDIA or AMD")
    errors = _run("kernel_cases.py", "cuda")
    bad = {str(case): errors[str(case)] for case in CASES if not max(errors[str(case)].values()) <= case.bound}
    assert bad == {}


def test_the_benchmark_says_what_is_missing():
    if torch.cuda.is_available():
        pytest.skip("nothing is missing here")
    done = subprocess.run([sys.executable, BENCHMARK], capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == "wkv_gpu.py needs a GPU of NVIDIA or AMD, and torch sees none here\n"


@pytest.fixture(scope="module")
def compiled() -> dict[str, dict[str, int] | str]:
    triton = pytest.importorskip("triton")
    if not {"nvidia", "amd"} <= set(triton.backends.backends):
        pytest.skip(f"this triton compiles for {', '.join(triton.backends.backends) or 'nothing'} only")
    return _run("ahead_of_time.py")


@pytest.mark.parametrize("target", SHARED_MEMORY)
def test_every_kernel_compiles_and_fits(target: str, compiled):
    kernels = compiled[target]
    if isinstance(kernels, str):
        pytest.skip(kernels)
    assert len({label.split()[0] for label in kernels}) == 8
    assert {label: size for label, size in kernels.items() if size > SHARED_MEMORY[target]} == {}


def test_chunks_cut_every_segment_and_no_row_is_left():
    found = chunks((0, 5, 5, 38, 54), 16, torch.device("cpu"))
    assert found.bounds.tolist() == [[0, 5], [5, 21], [21, 37], [37, 38], [38, 54]]
    assert found.firsts.tolist() == [0, 1, 1, 4, 5]
    assert found.edges.tolist() == [0, 5, 5, 38, 54]
    assert len(chunks((0,), 16, torch.device("cpu"))) == 0


def _call(monkeypatch, rows=4, lanes=16, offsets=(0, 4), dtype=None):
    monkeypatch.setenv("ROOKERY_WKV", "triton")
    x = torch.ones(rows, lanes, dtype=dtype)
    return wkv.wkv7(x, x, x, x, x, x, torch.zeros(1, 1, lanes, lanes, dtype=dtype), torch.tensor(offsets))


def test_tensors_elsewhere_are_refused(monkeypatch):
    monkeypatch.delenv("TRITON_INTERPRET", raising=False)
    with pytest.raises(SettingsError, match="takes tensors on a GPU, not on cpu; unset it, or start with"):
        _call(monkeypatch)


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ({"lanes": 24}, r"expected \(segments, heads, N, N\) with N of 16, 32, 64, 128"),
        ({"dtype": torch.float64}, "take float32, bfloat16 and float16"),
        (
            {"offsets": (0, 5)},
            r"offsets \[0, 5\]: expected 2, one more than states, that rise from 0 to the 4 rows",
        ),
        ({"offsets": (0, 2, 4)}, "expected 2, one more"),
        ({"offsets": (4, 4)}, "expected 2, one more"),
    ],
)
def test_what_kernels_cannot_take_is_refused(monkeypatch, given, sentence):
    monkeypatch.setenv("TRITON_INTERPRET", "1")  # no kernel starts
    with pytest.raises(SettingsError, match=sentence):
        _call(monkeypatch, **given)


def test_the_device_chooses(monkeypatch):
    monkeypatch.delenv("ROOKERY_WKV", raising=False)
    assert wkv.backend(torch.empty(1)) is wkv.BACKENDS["native"]
    assert wkv.backend(torch.empty(1, dtype=torch.float64)) is wkv.BACKENDS["reference"]

    class Elsewhere:
        device = torch.device("cuda", 0)
        dtype = torch.float32

    assert wkv.backend(Elsewhere()) is wkv.BACKENDS["triton"]
    Elsewhere.dtype = torch.float64
    assert wkv.backend(Elsewhere()) is wkv.BACKENDS["reference"]
    monkeypatch.setenv("ROOKERY_WKV", "triton")
    assert wkv.backend(torch.empty(1)) is wkv.BACKENDS["triton"]


def test_nothing_imports_triton_before_it_is_needed():
    code = "import rookery.ops.wkv, sys; assert 'triton' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_without_triton_there_is_a_remedy(monkeypatch):
    from rookery.errors import MissingExtra
    from rookery.ops.wkv.launch import kernels

    monkeypatch.setitem(sys.modules, "triton", None)
    monkeypatch.delitem(sys.modules, "rookery.ops.wkv.chunked", raising=False)
    with pytest.raises(MissingExtra, match=r"pip install 'rookery\[gpu\]', or be patient with ROOKERY_WKV=reference"):
        kernels("chunked")
