"""llama.cpp computes the official logits from the files we write."""

from pathlib import Path

import numpy as np
import pytest

from rookery.formats import gguf
from rookery.formats.checkpoint import Checkpoint, Tensor

pytestmark = [pytest.mark.peer, pytest.mark.shared]

# Root mean square of the difference, for logits of about 1.
TOLERANCE = {"F32": 2e-6, "F16": 3e-3, "BF16": 2e-2, "Q8_0": 5e-2}


@pytest.mark.parametrize("dtype", list(TOLERANCE))
@pytest.mark.parametrize("model", ["v6", "v7_N64"])
@pytest.mark.parametrize("vocabulary", [None, {i: bytes([i]) for i in range(1, 80)}], ids=["no tokens", "tokens"])
def test_llama_cpp_agrees(tmp_path, shared, model, dtype, vocabulary):
    llama_cpp = pytest.importorskip("llama_cpp")
    numpy_files = pytest.importorskip("safetensors.numpy")
    folder = shared / "fixtures/official_vectors"
    arrays = numpy_files.load_file(folder / f"{model}.safetensors")
    want = np.load(folder / f"{model}_expected.npz")
    tensors = {name: Tensor("F32", a.shape, lambda a=a: a) for name, a in arrays.items()}
    gguf.write(Checkpoint(Path("m"), "x", tensors, vocabulary=vocabulary), tmp_path / "m.gguf", dtype=dtype)

    peer = llama_cpp.Llama(str(tmp_path / "m.gguf"), n_ctx=64, n_batch=16, logits_all=True, verbose=False, n_threads=1)
    peer.eval(want["tokens"].tolist())
    got = np.array(peer.scores[: len(want["tokens"])])
    peer.close()
    assert np.sqrt(np.mean((got - want["logits"]) ** 2)) < TOLERANCE[dtype] * want["logits"].std()
