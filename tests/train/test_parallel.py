"""Runs of several processes are the runs of one; what is stopped, killed and resumed goes on."""

from __future__ import annotations

import os
import random
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs the extra rookery[train]")

if not torch.distributed.is_available():
    pytest.skip("this torch knows no other processes", allow_module_level=True)

from rookery.formats import open_checkpoint  # noqa: E402
from rookery.train.log import read_log  # noqa: E402

TOY = Path(__file__).with_name("toy.py")
PATIENCE_S = 300


class Together:
    """A run by so many processes, each in the environment that torchrun would give it."""

    def __init__(self, folder: Path, world: int, **settings: int) -> None:
        folder.mkdir(exist_ok=True)
        self.folder = folder
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        meeting = {"WORLD_SIZE": world, "LOCAL_WORLD_SIZE": world, "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
        pairs = [f"{name}={value}" for name, value in settings.items()]
        self.processes, self.said = [], []
        for rank in range(world):
            place = {"RANK": rank, "LOCAL_RANK": rank, "OMP_NUM_THREADS": 1}
            environment = os.environ | {name: str(value) for name, value in (meeting | place).items()}
            self.said.append(open(folder / f"said.{rank}", "w+"))  # noqa: SIM115
            command = [sys.executable, str(TOY), str(folder), *pairs]
            self.processes.append(
                subprocess.Popen(command, env=environment, stderr=self.said[-1], stdout=subprocess.DEVNULL)
            )

    def wait(self) -> list[int]:
        """Their exit codes; the end of one that does not come is a failure."""
        until = time.monotonic() + PATIENCE_S
        try:
            return [process.wait(max(1.0, until - time.monotonic())) for process in self.processes]
        finally:
            self.close()

    def close(self) -> None:
        for process, said in zip(self.processes, self.said, strict=True):
            process.kill()
            process.wait()
            said.close()

    def words(self, rank: int) -> str:
        return (self.folder / f"said.{rank}").read_text()


def ran(folder: Path, world: int, **settings: int) -> Path:
    """A run to its end, or to where it is told to stop.  Torch now and then aborts as it leaves: results are judged."""
    together = Together(folder, world, **settings)
    codes = together.wait()
    for rank, code in enumerate(codes):
        assert code == 0 or "without an active exception" in together.words(rank), together.words(rank)
        assert "Warning" not in together.words(rank), together.words(rank)
    return folder


def lines(folder: Path, what: str = "loss") -> list[float]:
    return [line[what] for line in read_log(folder / "log.jsonl") if what in line]


@pytest.fixture(scope="module")
def one(tmp_path_factory) -> Path:
    return ran(tmp_path_factory.mktemp("one"), 1, double=1)


@pytest.fixture(scope="module")
def two(tmp_path_factory) -> Path:
    return ran(tmp_path_factory.mktemp("two"), 2)


def test_two_are_as_one(one, tmp_path):
    both = ran(tmp_path / "both", 2, double=1)
    assert len(lines(both)) == 12
    for what in ("loss", "norm", "validation", "tokens"):
        assert lines(both, what) == pytest.approx(lines(one, what), rel=1e-9)
    mine, theirs = (open_checkpoint(folder / "model.rookery").tensors for folder in (both, one))
    assert set(mine) == set(theirs)
    for name, tensor in mine.items():
        np.testing.assert_allclose(tensor.numpy(), theirs[name].numpy(), rtol=1e-5, atol=1e-7)


def test_rounding_is_all_that_differs_in_float32(one, two):
    assert lines(two)[:4] == pytest.approx(lines(one)[:4], rel=1e-6)
    assert lines(two) == pytest.approx(lines(one), rel=2e-3)


def test_documents_of_any_length_however_they_are_dealt_and_cut(tmp_path):
    """The first process has the long document and many passes, the second few."""
    want = lines(ran(tmp_path / "one", 1, double=1, ragged=1))
    got = lines(ran(tmp_path / "two", 2, double=1, ragged=1, segment=20))
    assert got == pytest.approx(want, rel=1e-9)


def test_all_stop_when_one_is_told_and_go_on_bit_for_bit(two, tmp_path):
    ran(tmp_path, 2, stop=6, by=1)
    assert len(lines(tmp_path)) == 6
    assert (tmp_path / "step-00000006").is_dir()
    assert lines(ran(tmp_path, 2)) == lines(two)


@pytest.mark.parametrize("worlds", [(2, 1), (1, 2), (3, 2)])
def test_others_may_go_on(one, tmp_path, worlds):
    for world, stop in zip(worlds, (5, 0), strict=True):
        ran(tmp_path, world, double=1, stop=stop)
    assert lines(tmp_path) == pytest.approx(lines(one), rel=1e-9)


def test_killed_at_any_moment(two, tmp_path):
    """Of processes that have met, one is killed: the other leaves by itself, and the last run has what all had."""
    chance = random.Random(7)
    for victim in (0, 1, 1, 0):
        together = Together(tmp_path, 2, save_every=1)
        wait_for_steps(tmp_path, together, chance.randint(1, 3))
        time.sleep(0.3 * chance.random())
        together.processes[victim].send_signal(signal.SIGKILL)
        other = 1 - victim
        if together.wait()[other] > 0:  # 0 if it was past its last step
            assert "has lost another one" in together.words(other)
    ran(tmp_path, 2, save_every=1)
    assert lines(tmp_path) == lines(two)
    assert not list(tmp_path.glob("*.partial"))


def wait_for_steps(folder: Path, together: Together, count: int) -> None:
    """Wait until a run has gone so many steps further, or has ended."""
    wanted, until = len(lines(folder)) + count, time.monotonic() + PATIENCE_S
    while len(lines(folder)) < wanted and all(process.poll() is None for process in together.processes):
        assert time.monotonic() < until
        time.sleep(0.05)


def test_a_full_disk_of_the_first_is_said_by_all(tmp_path):
    tmp_path.joinpath("step-00000004.partial").write_text("in the way")
    together = Together(tmp_path, 2)
    assert together.wait() == [1, 1]
    for rank in range(2):
        assert "step-00000004" in together.words(rank)
        assert "SettingsError" in together.words(rank)


def test_the_command_under_torchrun(tmp_path):
    """As one process: the same folder, said once, and the same losses as far as float32 has digits."""
    text = tmp_path / "tales.txt"
    text.write_text("\n\n".join(f"Once there were {i} birds. They flew {i % 7} miles and slept." for i in range(300)))
    command = ["-m", "rookery", "train", str(text), "--size", "smoke", "--vocab", "300", "--steps", "3"]
    command += ["--context", "64", "--tokens-per-batch", "512", "--validate-every", "2", "--sample", "Once"]
    torchrun = ["-m", "torch.distributed.run", "--nproc-per-node", "2", "--rdzv-backend", "c10d"]
    torchrun += ["--rdzv-endpoint", "localhost:0"]
    said = {}
    for name, launch in (("one", []), ("two", torchrun)):
        options = ["-o", str(tmp_path / name), "--segment", "100" if name == "two" else "0"]
        whole = [sys.executable, *launch, *command, *options]
        done = subprocess.run(whole, capture_output=True, text=True, timeout=PATIENCE_S)
        said[name] = done.stdout + done.stderr
        assert len(lines(tmp_path / name)) == 3, said[name]
    assert lines(tmp_path / "two") == pytest.approx(lines(tmp_path / "one"), rel=1e-4)
    assert lines(tmp_path / "two", "validation") == pytest.approx(lines(tmp_path / "one", "validation"), rel=1e-3)
    for words in said.values():
        assert words.count("done: rookery run") == words.count("3 steps of 512") == 1, words
        assert words.count("validation loss") == 2, words
