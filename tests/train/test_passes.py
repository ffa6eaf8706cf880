"""Plans: every row once, in order, in no more memory than there is, each piece after the one before it."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rookery.errors import SettingsError
from rookery.train import passes as module
from rookery.train.passes import SHORTEST, borders, passes

LENGTHS = st.lists(st.integers(1, 1500), min_size=1, max_size=12)
few = settings(deadline=None, max_examples=40)


@few
@given(LENGTHS, st.sampled_from([3, 5, 63, 64, 255, 257, 600, 2000]))
def test_every_row_is_read_once_after_those_before_it(lengths, segment):
    plan = passes(lengths, segment)
    starts = [sum(lengths[:i]) for i in range(len(lengths))]
    ends = {start + length for start, length in zip(starts, lengths, strict=True)}
    left: dict[int, int] = {}  # border: row, of those left and not yet taken up
    read: list[tuple[int, int]] = []
    for pieces in plan:
        assert 0 < sum(piece.stop - piece.start for piece in pieces) <= segment
        begun = [piece.before is not None for piece in pieces]
        assert begun == sorted(begun, reverse=True)  # those that go on first
        for piece in pieces:
            assert (left.pop(piece.before) == piece.start) if piece.before is not None else (piece.start in starts)
        for piece in pieces:
            assert (piece.after is None) == (piece.stop in ends)
            if piece.after is not None:
                left[piece.after] = piece.stop
        read += [(piece.start, piece.stop) for piece in pieces]
    assert left == {}
    read.sort()
    assert read[0][0] == 0
    assert [a for _, a in read] == [b for b, _ in read[1:]] + [sum(lengths)]


@few
@given(LENGTHS, st.sampled_from([3, 5, 63, 64, 255, 257, 600, 2000]))
def test_borders_are_numbered_and_few(lengths, segment):
    plan = passes(lengths, segment)
    numbers = [piece.after for pieces in plan for piece in pieces if piece.after is not None]
    assert numbers == list(range(borders(plan)))
    assert len(numbers) <= sum(lengths) / min(SHORTEST, segment)


def test_documents_share_the_rows_and_leave_what_they_do_not_need(monkeypatch):
    monkeypatch.setattr(module, "SHORTEST", 256)
    plan = passes([1000, 300, 5000], 1500)
    assert [[piece.stop - piece.start for piece in pieces] for pieces in plan] == [
        [600, 300, 600],
        [400, 1100],
        [1500],
        [1500],
        [300],
    ]


def test_documents_that_fit_are_not_cut():
    plan = passes([600] * 20 + [9000, 500], 4096)
    sizes = [[piece.stop - piece.start for piece in pieces] for pieces in plan]
    assert sizes == [[600] * 6, [600] * 6, [600] * 6, [600] * 2, [4096], [4096], [808, 500]]


def test_no_segment_is_one_pass_and_nothing_is_none():
    assert len(passes([5, 70000, 3], 0)) == 1
    assert len(passes([5, 7], 12)) == 1
    assert passes([], 0) == passes([], 9) == []
    with pytest.raises(SettingsError, match="segment=-1"):
        passes([3], -1)
