"""
An independent checker of recorded programs.

Knows only what the native executor promises: threads run the ops of a stage in order, each on its own columns, and
meet between stages.  It keeps, for every buffer, who wrote it and who may still be reading it, and reports each op
that would read what is not there or overwrite what is still needed.
"""

from __future__ import annotations

from rookery.ops.record import Op, Program

__all__ = ["hazards"]

# Ops that read columns of other threads.  Everything else stays in its own columns; norms and sums per head and the
# wkv ops read whole heads, which never straddle threads.
WHOLE_ROWS = {"linear", "layer_norm"}


def hazards(program: Program) -> list[str]:
    """What could go wrong in this program, in words; nothing for a sound one."""
    return [*_order(program), *_buffers(program), *_widths(program)]


def _order(program: Program) -> list[str]:
    """Every value is written once and before it is read; whole rows are read a stage later at the earliest."""
    found, written = [], {}
    for at, op in enumerate(program.ops):
        if at and op.stage < program.ops[at - 1].stage:
            found.append(f"op {at} goes back to stage {op.stage}")
        for i in op.inputs:
            if i not in written:
                found.append(f"op {at} reads %{i} before it is written")
            elif op.name in WHOLE_ROWS and written[i] >= op.stage:
                found.append(f"op {at} reads whole rows of %{i}, which other threads may still be writing")
        if op.out in written:
            found.append(f"op {at} writes %{op.out} a second time")
        written[op.out] = op.stage
    return found


def _buffers(program: Program) -> list[str]:
    """A buffer holds its value for as long as anyone reads it, also on threads that lag within a stage."""
    found: list[str] = []
    content: dict[int, int] = {}  # buffer -> value
    reading: dict[int, int] = {}  # buffer -> last stage in which other threads read it as whole rows
    for at, op in enumerate(program.ops):
        for i in op.inputs:
            buffer = program.buffers[i]
            if content.get(buffer) != i:
                found.append(f"op {at} reads %{i}, but its buffer now holds %{content.get(buffer)}")
            if op.name in WHOLE_ROWS:
                reading[buffer] = op.stage
        target = program.buffers[op.out]
        if reading.get(target, -1) >= op.stage:
            found.append(f"op {at} overwrites buffer {target} in the stage in which others read it")
        if op.name in WHOLE_ROWS and target in [program.buffers[i] for i in op.inputs]:
            found.append(f"op {at} writes over whole rows that it reads")
        content[target] = op.out
    if content.get(program.buffers[program.result]) != program.result:
        found.append("the result is overwritten")
    return found


def _widths(program: Program) -> list[str]:
    """A buffer has the columns of each value in it, and so every thread owns the same columns of all of them."""
    return [
        f"%{i} has {width} columns, its buffer {program.buffer_widths[program.buffers[i]]}"
        for i, width in enumerate(program.widths)
        if width != program.buffer_widths[program.buffers[i]]
    ]


def lasting(program: Program) -> dict[int, tuple[int, int]]:
    """From which op to which each value is needed."""
    first = {op.out: at for at, op in enumerate(program.ops)}
    last = {i: at for at, op in enumerate(program.ops) for i in op.inputs}
    return {value: (at, last.get(value, at)) for value, at in first.items()}


def most_alive(program: Program) -> int:
    """The largest number of values needed at once."""
    spans = lasting(program).values()
    return max(sum(begin <= at <= end for begin, end in spans) for at in range(len(program.ops)))


def uses(program: Program, name: str) -> list[Op]:
    return [op for op in program.ops if op.name == name]
