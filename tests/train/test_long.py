"""Training in passes has the gradients of training at once; what is usual has not."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from models_at_hand import VERSIONS, random_small

torch = pytest.importorskip("torch", reason="needs the extra rookery[train]")

from rookery.train import long, passes  # noqa: E402
from rookery.train.data import Batch  # noqa: E402
from rookery.train.loss import cross_entropy  # noqa: E402
from rookery.train.model import TrainedModel  # noqa: E402

LENGTHS = [31, 1, 12, 25, 2]
HERE = Path(__file__).parent


class Tuned(TrainedModel):
    """Documents begin with states that are learned."""

    def fresh(self, segments: int) -> Any:
        if not hasattr(self, "begin"):
            generator = torch.Generator().manual_seed(1)
            like = next(self.parameters())
            self.begin = [
                tuple((f[0] + torch.rand(f[0].shape, generator=generator).to(like)).requires_grad_() for f in fields)
                for fields in super().fresh(1)
            ]
        return [tuple(field.expand(segments, *field.shape) for field in fields) for fields in self.begin]


def batch_of(small, lengths):
    rows, chance = sum(lengths), np.random.default_rng(0)
    targets = chance.integers(0, small.config.vocab, rows)
    return Batch(small.tokens(rows), targets, chance.integers(0, 3, rows) / 2, lengths)


def gradients(kind, small, dtype, segment, truncate=False, **options):
    """The loss, and the gradients of all parameters and first states."""
    model = kind.of(small.checkpoint, dtype=dtype, **options)
    batch = batch_of(small, LENGTHS)

    def loss(hidden, rows):
        targets, weights = torch.from_numpy(rows.targets), torch.from_numpy(rows.weights).to(dtype)
        return cross_entropy(hidden, model.head.weight, targets, weights, flatten=1e-4) / 100

    plan = passes.passes(LENGTHS, segment)
    assert (len(plan) > 1) == (segment > 0)
    value = long.backward(model, loss, batch, plan, truncate)
    assert long.evaluate(model, loss, batch, plan) == pytest.approx(value, rel=1e-5)
    found = {name: p.grad for name, p in model.named_parameters() if p.grad is not None}
    if isinstance(model, Tuned):
        found |= {f"state {i}.{j}": f.grad for i, fields in enumerate(model.begin) for j, f in enumerate(fields)}
    return value, found


def worst(got, want):
    """The largest relative error of any tensor's gradient, beside that of all together."""
    assert set(got) == set(want)
    norms = {name: float(w.double().norm()) for name, w in want.items()}
    errors = {name: float((got[name] - w).double().norm()) for name, w in want.items()}
    floor = 1e-6 * max(norms.values())  # a tensor that the loss hardly depends on has hardly any digits
    together = sum(e**2 for e in errors.values()) ** 0.5 / sum(n**2 for n in norms.values()) ** 0.5
    return max(errors[name] / max(norms[name], floor) for name in want), together


@pytest.mark.parametrize(("version", "segment"), [(v, s) for v in VERSIONS for s in (1, 7, 64) if s > 1 or v in "47"])
def test_gradients_are_those_of_the_whole(version, segment, monkeypatch):
    monkeypatch.setattr(passes, "SHORTEST", 5)  # so that documents go side by side
    small = random_small(version)
    value, want = gradients(Tuned, small, torch.float64, 0)
    got_value, got = gradients(Tuned, small, torch.float64, segment)
    assert got_value == pytest.approx(value, rel=1e-12)
    assert max(worst(got, want)) < 1e-10


@pytest.mark.parametrize("version", VERSIONS)
def test_cutting_adds_no_error_in_float32(version):
    small = random_small(version)
    _, truth = gradients(TrainedModel, small, torch.float64, 0)
    value, whole = gradients(TrainedModel, small, torch.float32, 0)
    got_value, got = gradients(TrainedModel, small, torch.float32, 20)
    assert got_value == pytest.approx(value, rel=1e-6)
    assert worst(got, truth)[1] < max(1e-6, 2 * worst(whole, truth)[1])


def test_recomputing_inside_blocks_goes_with_it():
    small = random_small("7")
    _, want = gradients(TrainedModel, small, torch.float32, 20)
    _, got = gradients(TrainedModel, small, torch.float32, 20, recompute=True)
    assert all(torch.equal(got[name], want[name]) for name in want)


@pytest.mark.parametrize("version", VERSIONS)
def test_truncated_gradients_are_others_and_the_loss_is_the_same(version):
    small = random_small(version)
    value, want = gradients(Tuned, small, torch.float64, 0)
    got_value, got = gradients(Tuned, small, torch.float64, 16, truncate=True)
    assert got_value == pytest.approx(value, rel=1e-12)
    assert worst(got, want)[0] > 0.01


def test_only_states_may_learn():
    """State tuning: no parameter wants a gradient, and in the first pass from the end the blocks have nothing else."""
    small = random_small("7")
    found = []
    for segment in (0, 16):
        model = Tuned.of(small.checkpoint, dtype=torch.float64)
        model.requires_grad_(False)
        plan = passes.passes(LENGTHS, segment)
        long.backward(model, lambda hidden, rows: hidden.square().sum(), batch_of(small, LENGTHS), plan)
        assert all(p.grad is None for p in model.parameters())
        found.append([field.grad for fields in model.begin for field in fields])
    for whole, cut in zip(*found, strict=True):
        torch.testing.assert_close(cut, whole, rtol=1e-9, atol=1e-12)


def test_documents_drop_out_and_only_those_that_go_on_are_computed_twice(monkeypatch):
    monkeypatch.setattr(passes, "SHORTEST", 5)
    small = random_small("7")
    model = TrainedModel.of(small.checkpoint)
    read = []
    forward = model.forward
    monkeypatch.setattr(model, "forward", lambda t, n, s=None: read.append(list(n)) or forward(t, n, s))
    plan = passes.passes(LENGTHS, 40)
    long.backward(model, lambda hidden, rows: hidden.sum(), batch_of(small, LENGTHS), plan)
    lengths = [[piece.stop - piece.start for piece in pieces] for pieces in plan]
    again = [[p.stop - p.start for p in pieces if p.after is not None] for pieces in plan]
    assert read == [some for some in again if some] + lengths[::-1]


def test_memory_is_of_a_pass_whatever_the_length():
    """Bytes that autograd keeps at most at once, counted by its hooks."""
    peaks = [kept_bytes(length, 512) for length in (2048, 8192)]
    assert peaks[1] <= 1.01 * peaks[0]
    assert kept_bytes(2048, 0) > 3 * peaks[0]


def kept_bytes(length, segment):
    """The most bytes of tensors that autograd keeps in any pass of one document."""
    small = random_small("7")
    model = TrainedModel.of(small.checkpoint)
    counts = []

    def loss(hidden, rows):
        counts.append(kept[0])
        kept[0] = 0
        return hidden.square().mean()

    kept = [0]

    def keep(x):
        kept[0] += x.numel() * x.element_size()
        return x

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda x: x):
        long.backward(model, loss, batch_of(small, [length]), passes.passes([length], segment))
    return max(counts)


def test_a_process_stays_small():
    """The size of a process on 16 times the tokens, in passes of 1024."""

    def peak(tokens):
        script = str(HERE / "long_document.py")
        return int(subprocess.run([sys.executable, script, str(tokens)], check=True, capture_output=True).stdout)

    assert peak(65536) < peak(4096) + 40 * 2**20
