"""Runs that are stopped, killed, torn and resumed go on exactly as if nothing had been."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
from pathlib import Path

import pytest

torch = pytest.importorskip("torch", reason="needs the extra rookery[train]")

from small_models import words  # noqa: E402
from toy import Counting, new_run, toy_trainer  # noqa: E402

import rookery  # noqa: E402
from rookery.errors import NumericError, SettingsError  # noqa: E402
from rookery.train import checkpoint  # noqa: E402
from rookery.train.log import read_log  # noqa: E402
from rookery.train.watcher import Watcher  # noqa: E402


def losses(folder: Path) -> list[float]:
    return [line["loss"] for line in read_log(folder / "log.jsonl") if "loss" in line]


@pytest.fixture(scope="module")
def unbroken(tmp_path_factory) -> list[float]:
    folder = tmp_path_factory.mktemp("unbroken")
    assert new_run(folder).go()
    return losses(folder)


class Stopping(Watcher):
    """Sends the process a signal after a step."""

    def __init__(self, step: int, number: int) -> None:
        self.at, self.number, self.resumed_at, self.validations = step, number, 0, 0
        self.damaged: list[str] = []

    def step(self, report):
        if report.step == self.at:
            os.kill(os.getpid(), self.number)

    def resumed(self, step):
        self.resumed_at = step

    def validated(self, step, loss):
        self.validations += 1

    def torn(self, path, why):
        self.damaged.append(why)


def test_it_learns(unbroken):
    assert unbroken[0] == pytest.approx(3.9, abs=0.1)  # ln 50: it knows nothing
    assert unbroken[-1] < 1.5


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("at", [1, 7])
def test_a_signal_ends_a_run_that_goes_on_later(tmp_path, unbroken, at, number):
    assert not new_run(tmp_path, Stopping(at, number)).go()
    watcher = Stopping(0, 0)
    assert new_run(tmp_path, watcher).go()
    assert watcher.resumed_at == at
    assert losses(tmp_path) == unbroken


def test_killed_at_any_moment(tmp_path, unbroken):
    chance = random.Random(5)
    for _ in range(40):
        toy = Path(__file__).with_name("toy.py")
        process = subprocess.Popen([sys.executable, str(toy), str(tmp_path), "save_every=1"])
        try:
            process.wait(3 + 3 * chance.random())
        except subprocess.TimeoutExpired:
            process.kill()
        if process.wait() == 0:
            break
    assert losses(tmp_path) == unbroken
    assert not list(tmp_path.glob("*.partial"))


@pytest.mark.parametrize("damage", ["truncated", "flipped", "without meta"])
def test_a_torn_checkpoint_is_found_out_and_the_one_before_it_used(tmp_path, unbroken, damage):
    new_run(tmp_path).go()
    newest = sorted(tmp_path.glob("step-*"))[-1]
    data = newest / "__0_0.distcp"
    if damage == "truncated":
        os.truncate(data, data.stat().st_size // 2)
    elif damage == "flipped":
        content = bytearray(data.read_bytes())
        content[len(content) // 2] ^= 1
        data.write_bytes(content)
    else:
        (newest / "meta.json").unlink()
    watcher = Stopping(0, 0)
    assert new_run(tmp_path, watcher).go()
    assert watcher.resumed_at == 8
    assert newest.name in watcher.damaged[0]
    assert losses(tmp_path) == unbroken


def test_a_finished_run_is_finished(tmp_path):
    new_run(tmp_path).go()
    before = (tmp_path / "log.jsonl").read_text()
    assert new_run(tmp_path).go()
    assert (tmp_path / "log.jsonl").read_text() == before


def test_what_may_not_change_and_what_may(tmp_path, unbroken):
    new_run(tmp_path, Stopping(5, signal.SIGTERM)).go()
    with pytest.raises(SettingsError, match="rate"):
        new_run(tmp_path, rate=1e-3).go()
    other = new_run(tmp_path)
    other.data = "other"
    with pytest.raises(SettingsError, match="other data"):
        other.go()
    assert new_run(tmp_path, save_every=1, keep=5).go()
    assert losses(tmp_path) == unbroken


def test_the_model_beside_the_checkpoints_is_the_one_that_was_trained(tmp_path):
    run = new_run(tmp_path)
    run.go()
    batch = Counting().at(3)
    loaded = rookery.load(tmp_path / "model.rookery", executor="numpy", tokenizer=words(50))
    hidden, _ = run.trainer.model(torch.from_numpy(batch.tokens[:16]), [16])
    logits, _ = loaded.forward(batch.tokens[:16].tolist())
    torch.testing.assert_close(
        run.trainer.model.logits(hidden)[-1], torch.from_numpy(logits).float(), rtol=0, atol=2e-5
    )


def test_micro_batches_change_only_rounding(unbroken):
    parts = [report.loss for report in toy_trainer(micro_batches=3).reports()]
    assert parts == pytest.approx(unbroken, rel=2e-4)


def test_steps_without_a_finite_gradient_are_skipped_and_too_many_refused():
    trainer = toy_trainer(most_skipped=2)
    with torch.no_grad():
        trainer.model.head.weight[3] = float("nan")
    before = trainer.model.emb.weight.clone()
    assert [trainer.advance().skipped for _ in range(2)] == [True, True]
    assert torch.equal(trainer.model.emb.weight, before)
    with pytest.raises(NumericError, match="3 steps in a row"):
        trainer.advance()


def test_a_full_disk_is_one_sentence_and_leaves_the_last_checkpoint(tmp_path, monkeypatch):
    run = new_run(tmp_path, Stopping(5, signal.SIGTERM))
    run.go()

    def full(*args, **kwargs):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(checkpoint.dcp, "save", full)
    with pytest.raises(SettingsError, match="free some space"):
        new_run(tmp_path).go()
    saved = checkpoint.latest(tmp_path)
    assert saved is not None
    assert saved.step == 5
