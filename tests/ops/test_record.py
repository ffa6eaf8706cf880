"""Recorded programs: their structure, their passes, and that mistakes in them are found."""

from __future__ import annotations

import re
from dataclasses import replace

import numpy as np
import pytest
from models_at_hand import GOLDENS, VERSIONS, golden_model, random_small
from program_checker import WHOLE_ROWS, hazards, lasting, most_alive, uses

from rookery.ops.native import NativeExecutor
from rookery.ops.numpy import NumpyOps
from rookery.ops.oracle import first_difference, interpret
from rookery.ops.record import READS_WHOLE_ROWS, Op, Program, record

PASSES = [(True, True), (True, False), (False, True), (False, False)]
# stages per layer as counted by hand: one for each matrix product or norm that waits for the one before
STAGES = {"4": 6, "5.0": 6, "5.1": 6, "5.2": 6, "6": 10, "7": 7}


def recorded(version: str, **passes: bool) -> Program:
    small = random_small(version)
    return record(small.layout, small.leaves(), **passes)


@pytest.mark.parametrize(("stage", "pack"), PASSES)
@pytest.mark.parametrize("name", GOLDENS)
def test_no_thread_reads_or_overwrites_too_early(name, stage, pack):
    small = golden_model(name)
    assert hazards(record(small.layout, small.leaves(), stage=stage, pack=pack)) == []


def spoiled(program: Program, kind: str) -> Program:
    """A sound program with one mistake that a pass might make."""
    ops, buffers = list(program.ops), list(program.buffers)
    reader = next(i for i, op in enumerate(ops) if op.name == "linear" and op.stage > 3)
    if kind == "too early":
        ops[reader] = replace(ops[reader], stage=ops[reader].stage - 1)
    elif kind == "in place":
        buffers[ops[reader].out] = buffers[ops[reader].inputs[0]]
    elif kind == "shared while needed":
        value, (begin, end) = max(lasting(program).items(), key=lambda item: item[1][1] - item[1][0])
        width = program.widths[value]
        intruder = next(op.out for op in ops[begin + 1 : end] if program.widths[op.out] == width)
        buffers[intruder] = buffers[value]
    elif kind == "out of order":
        ops.reverse()
    return replace(program, ops=ops, buffers=buffers)


@pytest.mark.parametrize("kind", ["too early", "in place", "shared while needed", "out of order"])
def test_the_checker_finds_mistakes(kind):
    assert hazards(spoiled(recorded("7", pack=False), kind))


@pytest.mark.parametrize("version", VERSIONS)
def test_staging_moves_threads_apart_rarely(version):
    small = random_small(version)
    staged, plain = (record(small.layout, small.leaves(), stage=flag) for flag in (True, False))
    # the embedding's norm, the final norm and the head come on top
    assert staged.stages <= STAGES[version] * small.config.layers + 4
    assert staged.stages <= plain.stages
    assert sorted(map(str, _names(staged))) == sorted(map(str, _names(plain)))


def _names(program: Program) -> list[tuple[str, int]]:
    return [(op.name, op.out) for op in program.ops]


@pytest.mark.parametrize("version", VERSIONS)
def test_packing_needs_few_buffers(version):
    packed, loose = recorded(version), recorded(version, pack=False)
    assert len(loose.buffer_widths) == len(loose.widths)
    # values live within one width and wait for a barrier, which costs a few more than the least possible
    assert most_alive(packed) <= len(packed.buffer_widths) <= 3 * most_alive(packed)
    assert len(packed.buffer_widths) < len(loose.buffer_widths) / 3


@pytest.mark.parametrize("version", VERSIONS)
def test_buffers_do_not_grow_with_layers(version):
    """Seen as the buffers of two layers: no more than the values that live in one."""
    small = random_small(version)
    program = record(small.layout, small.leaves())
    per_layer = (len(program.ops) - 5) / small.config.layers
    assert len(program.buffer_widths) < per_layer


def test_constants_are_computed_while_recording():
    small = random_small("5.2")
    program = record(small.layout, small.leaves())
    assert not uses(program, "exp")
    decay = small.leaves().blocks[0].att.time_decay
    wkv = uses(program, "wkv6")[0]
    np.testing.assert_allclose(program.vectors[wkv.vectors[1]], np.exp(-np.exp(decay)), rtol=1e-6)


@pytest.mark.parametrize("version", VERSIONS)
def test_every_matrix_is_kept_once(version):
    small = random_small(version)
    program = record(small.layout, small.leaves())
    names = [w.name for w in program.matrices]
    assert len(set(names)) == len(names)
    assert sorted({op.matrix for op in program.ops if op.matrix >= 0}) == list(range(len(names)))


def test_a_matrix_used_twice_is_kept_once_but_not_as_embedding():
    small = random_small("4")
    p = small.leaves()
    p.blocks[1].ffn.key = p.blocks[0].ffn.key
    before = len(record(small.layout, small.leaves()).matrices)
    assert len(record(small.layout, p).matrices) == before - 1
    p.head = p.emb
    assert len(record(small.layout, p).matrices) == before - 1
    tokens = small.tokens(5)
    logits = NativeExecutor(small.layout, p).run(tokens, [5], [small.layout.zeros()], np.arange(5, dtype=np.int32))
    assert np.isfinite(logits).all()
    assert first_difference(small.layout, p, tokens.tolist()) is None


def test_the_dump_is_readable():
    small = random_small("7")
    program = record(small.layout, small.leaves())
    lines = program.dump().splitlines()
    assert sum(line.startswith("stage ") for line in lines) == program.stages
    assert len(lines) == program.stages + len(program.ops)
    assert any(re.search(r"%\d+:64 = linear\(%\d+, blocks\.1\.att\.key\.weight\[64x64 F32\]\)", line) for line in lines)
    assert any(re.search(r"wkv7\((%\d+, ){6}heads=4, state@\d+\)", line) for line in lines)
    assert all(op.name in program.dump() for op in program.ops)


def test_whole_row_readers_are_those_the_checker_knows():
    """An op added to the vocabulary must be thought about in both places."""
    assert WHOLE_ROWS == READS_WHOLE_ROWS


# ---------------------------------------------------------------- finding differences


@pytest.mark.parametrize("name", GOLDENS)
def test_a_good_model_has_no_first_difference(name):
    small = golden_model(name)
    assert first_difference(small.layout, small.leaves(), small.tokens(9).tolist(), tolerance=2e-5) is None


@pytest.mark.parametrize("name", GOLDENS)
def test_the_interpreted_program_is_the_definition(name):
    """Op by op from the recorded program == the definition run eagerly."""
    small = golden_model(name)
    tokens, wanted = small.tokens(9), np.array([1, 4, 8], np.int32)
    eager, states = small.layout.zeros(), small.layout.zeros(1).astype(np.float64)
    want = small.oracle().run(tokens, [9], [eager], wanted)
    program = record(small.layout, small.leaves())
    matrices = [w.numpy().astype(np.float64) for w in program.matrices]
    values = interpret(program, small.layout, matrices, NumpyOps(tokens, [9], wanted), states)
    # constants such as e^-e^decay are float32 in the program
    np.testing.assert_allclose(values[program.result], want, rtol=0, atol=1e-5)


@pytest.mark.parametrize("version", ["4", "5.2", "6", "7"])
@pytest.mark.parametrize("victim", ["blocks.1.att.value.weight", "blocks.0.ffn.value.weight", "head.weight"])
def test_the_first_wrong_op_is_named(monkeypatch, version, victim):
    """One packed matrix is off by one number in a hundred."""
    from rookery.ops import native

    honest = native._pack
    small = random_small(version)

    def corrupt(runner, place, w, sparse):
        if w.name != victim:
            return honest(runner, place, w, sparse)
        x = w.numpy() * np.float32(1.01)
        return honest(runner, place, replace(w, format="F32", load=lambda: x), sparse)

    monkeypatch.setattr(native, "_pack", corrupt)
    difference = first_difference(small.layout, small.leaves(), small.tokens(5).tolist())
    assert difference is not None
    assert difference.op.count("linear") == 1
    assert victim in difference.op
    assert 0.005 < difference.error < 0.02


def test_not_a_number_is_a_difference(monkeypatch):
    small = random_small("7")
    p = small.leaves()
    p.blocks[1].ln2.weight[3] = np.nan
    difference = first_difference(small.layout, p, [1, 2, 3])
    assert difference is not None
    assert "layer_norm" in difference.op


# ---------------------------------------------------------------- time of each op


def test_time_is_kept_per_op_and_only_while_asked_for():
    small = random_small("7", width=128, ffn=512)
    native = small.native(threads=2)
    call = (small.tokens(64), [64], [small.layout.zeros()], np.array([63], np.int32))
    assert native.nanoseconds == [0] * len(native.program.ops)
    native.run(*call)
    assert sum(native.nanoseconds) == 0
    native.profile(True)
    native.run(*call)
    once = native.nanoseconds
    assert len(once) == len(native.program.ops)
    assert min(once) >= 0
    assert sum(once) > 0
    native.run(*call)
    assert all(b >= a for a, b in zip(once, native.nanoseconds, strict=True))
    native.profile(False)
    native.run(*call)
    assert sum(native.nanoseconds) == 0


def test_profiling_changes_nothing():
    small = random_small("6")
    native = small.native()
    call = (small.tokens(7), [7])
    wanted = np.arange(7, dtype=np.int32)
    plain = native.run(*call, [small.layout.zeros()], wanted)
    native.profile(True)
    np.testing.assert_array_equal(native.run(*call, [small.layout.zeros()], wanted), plain)


def test_an_op_describes_its_operands():
    program = Program(widths=[4, 4], vectors=[np.zeros(4, np.float32)])
    assert program.describe(Op("mul", 1, (0,), scalar=-0.5)) == "%1:4 = mul(%0, -0.5)"
    assert program.describe(Op("add", 1, (0,), (0,))) == "%1:4 = add(%0, vector0[4])"
