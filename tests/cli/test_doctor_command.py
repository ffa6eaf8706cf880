"""`rookery doctor`: it must be content here, and notice what is wrong."""

import os

from rookery import diagnosing
from rookery.ops import oracle


def test_is_content(rookery):
    about = rookery("doctor", "--json").json
    checks = {check["name"]: check for check in about["checks"]}
    assert about["ok"]
    assert checks["mathematics"]["ok"]
    assert checks["tokenization"]["ok"]
    assert "portable" in checks["kernels"]["found"]
    assert "extra peers" in checks
    lines = rookery("doctor").out.splitlines()
    assert len(lines) == len(checks)


def test_notices_wrong_mathematics(rookery, monkeypatch):
    monkeypatch.setattr(oracle, "first_difference", lambda *_: oracle.Difference(3, "%3 = exp(%2)", 0.5))
    run = rookery("doctor")
    assert run.code == 1
    assert "WRONG  mathematics" in run.out
    assert "exp(%2)" in run.out


def test_notices_a_wrong_vocabulary(rookery, monkeypatch):
    monkeypatch.setattr(diagnosing, "_IDS", (1, 2, 3))
    run = rookery("doctor")
    assert run.code == 1
    assert "WRONG  tokenization" in run.out


def test_a_check_that_breaks_is_a_finding(rookery, monkeypatch):
    def broken() -> diagnosing.Check:
        raise ImportError("no such symbol")

    monkeypatch.setitem(diagnosing._CHECKS, "memory", broken)
    run = rookery("doctor")
    assert run.code == 1
    assert "ImportError: no such symbol" in run.out


def test_notices_a_kernel_table_this_processor_lacks(rookery, monkeypatch):
    monkeypatch.setenv("ROOKERY_CPU", "abacus")
    run = rookery("doctor")
    assert run.code == 1
    assert "abacus" in run.out
    assert os.environ["ROOKERY_CPU"] == "abacus"


def test_says_how_to_install_what_is_absent(rookery, monkeypatch):
    monkeypatch.setitem(diagnosing.EXTRAS, "peers", ("comparing", ("no_such_module",)))
    assert "pip install 'rookery[peers]'" in rookery("doctor").out
