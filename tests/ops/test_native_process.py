"""What happens to threads at the edges of a process: a fork, the end of the interpreter.  In processes of their own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from models_at_hand import random_small

from rookery.errors import SettingsError

TESTS = Path(__file__).parents[1]

START = f"""
import os, sys, threading, time
sys.path[:0] = [{str(TESTS)!r}]
import numpy as np
import rookery
from goldens import load_golden
from small_models import words

def loaded(threads):
    golden = load_golden("v7")
    return rookery.load(golden.checkpoint_path, tokenizer=words(golden.config_hint.vocab), threads=threads)
"""

FORK = """
model = loaded(3)
before = model.forward([1, 2, 3])[0]
busy = threading.Thread(target=lambda: [model.forward([1] * 2000) for _ in range(20)])
busy.start()
time.sleep(0.05)  # the fork then finds the model at work
child = os.fork()
if child == 0:
    os._exit(0 if (model.forward([1, 2, 3])[0] == before).all() else 3)
status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
busy.join()
assert (model.forward([1, 2, 3])[0] == before).all()
sys.exit(status)
"""

FORKED_AND_DROPPED = """
model = loaded(3)
if (child := os.fork()) == 0:
    del model
    sys.exit(0)
sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""

ENGINE = """
engine = rookery.Engine(loaded(1))
engine.submit([1, 2], max_tokens=3).result()
if (child := os.fork()) == 0:
    try:
        engine.submit([1, 2], max_tokens=3).result()
    except rookery.errors.RookeryError as error:
        sys.exit(0 if "fork" in str(error) else 3)  # which closes the engine, too
sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""

ONE_PROCESSOR = """
one = loaded(1)
os.sched_setaffinity(0, [min(os.sched_getaffinity(0))])
together, state, same = loaded(4), None, None
for token in [5, 9, 2] * 200:  # long enough for threads to find that they are in each other's way
    logits, state = together.forward([token], state)
    other, same = one.forward([token], same)
    assert np.array_equal(logits, other)
"""

LEAVE = """
model = loaded(THREADS)
def work():
    while True:
        model.forward([1] * 500)
        for _ in model.generate("a", max_tokens=3): pass
for _ in range(3):
    threading.Thread(target=work, daemon=True).start()
time.sleep(0.2)
"""


def run(script: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-W", "ignore", "-c", START + script]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


@pytest.mark.parametrize("script", [FORK, FORKED_AND_DROPPED, ENGINE], ids=["at work", "dropped", "engine"])
def test_a_fork_goes_on(script: str) -> None:
    done = run(script)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="Linux alone can take processors from a process")
def test_threads_that_share_a_processor_change_no_bit() -> None:
    done = run(ONE_PROCESSOR)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("threads", [1, 2])
def test_the_interpreter_ends_while_daemon_threads_work(threads: int) -> None:
    done = run(LEAVE.replace("THREADS", str(threads)))
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("threads", [-1, 1025, 2**40, 2.5, "2", None, True])
def test_impossible_numbers_of_threads_are_refused(threads: Any) -> None:
    with pytest.raises(SettingsError, match="threads"):
        random_small("7").native(threads=threads)


REFUSED = """
import resource
resource.setrlimit(resource.RLIMIT_AS, (1 << 30, 1 << 30))  # stacks of 8 MiB each
try:
    loaded(1000)
except rookery.errors.SettingsError as error:
    assert "fewer" in str(error), error
else:
    sys.exit(3)
"""


def test_a_system_that_refuses_threads_is_no_crash() -> None:
    done = run(REFUSED)
    assert (done.returncode, done.stderr) == (0, "")
