"""Batches: exact, complete, and the same however they are dealt."""

from collections import Counter
from itertools import pairwise

import numpy as np
import pytest

from rookery.errors import SettingsError
from rookery.train.data import Batches, Part, Passage, Weighted, bytes_learned, micro, split, token_sizes
from rookery.train.data.batches import Batch


def documents(tokens):
    """Every document as a tuple: the slow truth."""
    index = tokens.documents
    return [tuple(tokens.ids[a:b].tolist()) for a, b in pairwise(index)]


def segments(batch):
    """(tokens, targets, weights) of every segment."""
    edges = np.cumsum([0, *batch.lengths])
    assert edges[-1] == len(batch.tokens) == len(batch.targets) == len(batch.weights)
    return [
        tuple(tuple(a[x:y].tolist()) for a in (batch.tokens, batch.targets, batch.weights)) for x, y in pairwise(edges)
    ]


def equal(one: Batch, other: Batch) -> bool:
    return segments(one) == segments(other)


@pytest.mark.parametrize("shuffle", ["pieces", "documents", "none"])
@pytest.mark.parametrize("context", [1, 7, 16, 1000])
@pytest.mark.parametrize("size", [3, 64])
def test_every_token_once_an_epoch(many, shuffle, context, size):
    """Each token of each document is read exactly once, with the token that follows it, whatever the layout."""
    total = len(many.ids)
    batches = Batches([Weighted(Part.whole(many))], tokens_per_batch=size, context=context, shuffle=shuffle)
    read: list[tuple[int, int, float]] = []
    for step in range(-(-total // size)):
        batch = batches.at(step)
        assert len(batch.tokens) == size
        assert max(batch.lengths) <= context
        assert batch.tokens.dtype == batch.targets.dtype == np.int64
        assert batch.weights.dtype == np.float32
        read += zip(batch.tokens.tolist(), batch.targets.tolist(), batch.weights.tolist(), strict=True)
    expected = [(a, b, 1.0) for d in documents(many) for a, b in zip(d, (*d[1:], 0), strict=True)]
    assert Counter(read[:total]) == Counter(expected)


def test_a_segment_is_a_stretch_of_one_document(many):
    whole = {d[i:j] for d in documents(many) for i in range(len(d)) for j in range(i + 1, len(d) + 1)}
    batches = Batches([Weighted(Part.whole(many))], tokens_per_batch=50, context=9)
    for step in range(60):
        for tokens, targets, _ in segments(batches.at(step)):
            assert tokens in whole
            assert targets[:-1] == tokens[1:]


def test_epochs_differ_and_wrap_within_a_batch(many):
    total = len(many.ids)
    batches = Batches([Weighted(Part.whole(many))], tokens_per_batch=total, context=1000)
    first, second = batches.at(0), batches.at(1)
    assert Counter(segments(first)) == Counter(segments(second))
    assert segments(first) != segments(second)
    assert batches.epochs(3) == [3.0]
    longer = Batches([Weighted(Part.whole(many))], tokens_per_batch=3 * total + 1, context=1000).at(0)
    assert len(longer.tokens) == 3 * total + 1
    assert Counter(segments(longer))[segments(first)[0]] >= 3


def test_without_a_shuffle_the_order_is_that_of_the_data(many):
    batch = Batches([Weighted(Part.whole(many))], tokens_per_batch=500, context=10_000, shuffle="none").at(0)
    assert np.array_equal(batch.tokens, many.ids[:500])


def test_long_documents_are_dealt_in_pieces(tokens_of):
    tokens = tokens_of("a" * 999, "b" * 999)
    kinds = [set(Batches([Weighted(Part.whole(tokens))], tokens_per_batch=250, context=25).at(0).tokens.tolist())]
    assert {ord("a") + 1, ord("b") + 1} <= kinds[0]
    together = Batches([Weighted(Part.whole(tokens))], tokens_per_batch=250, context=25, shuffle="documents").at(0)
    assert len(set(together.tokens.tolist()) - {0}) == 1


def test_every_epoch_cuts_long_documents_elsewhere(tokens_of):
    tokens = tokens_of("".join(chr(33 + i) for i in range(60)))
    batches = Batches([Weighted(Part.whole(tokens))], tokens_per_batch=61, context=10)
    firsts = [frozenset(s[0][0] % 10 for s in segments(batches.at(epoch)) if s[0][0]) for epoch in range(10)]
    assert len(set(firsts)) == 10  # every one of the ten places, once
    assert all(len(first) == 1 for first in firsts)


def test_a_step_is_a_pure_function(many):
    make = lambda: Batches([Weighted(Part.whole(many))], tokens_per_batch=40, context=16, seed=3)  # noqa: E731
    forward = [make().at(step) for step in range(80)]
    batches = make()
    for step in np.random.default_rng(0).permutation(80).tolist():
        assert equal(batches.at(step), forward[step])


@pytest.mark.parametrize("equal_parts", [1, 4, 8])
def test_however_it_is_dealt_the_segments_are_the_same(many, equal_parts):
    batches = Batches([Weighted(Part.whole(many))], tokens_per_batch=160, context=16, equal=equal_parts)
    for step in range(25):
        whole = batches.at(step)
        for world in (1, 2, 4):
            parts = [batches.at(step, rank, world) for rank in range(world)]
            assert [s for part in parts for s in segments(part)] == segments(whole)
            for accumulate in (1, 2):
                pieces = [micro(part, i, accumulate) for part in parts for i in range(accumulate)]
                assert [s for piece in pieces for s in segments(piece)] == segments(whole)
                assert all(piece.lengths for piece in pieces)
            if equal_parts > 1:
                assert {len(part.tokens) for part in parts} == {160 // world}
            assert all(abs(len(part.tokens) - 160 / world) <= 16 for part in parts)


def test_a_batch_of_too_few_segments_cannot_be_dealt(tokens_of):
    batches = Batches([Weighted(Part.whole(tokens_of("x" * 100)))], tokens_per_batch=30, context=30)
    with pytest.raises(SettingsError, match=r"30 tokens in \d segments cannot be dealt to 8; make the batch larger"):
        batches.at(0, 0, 8)


def test_shares_are_exact(tokens_of):
    sources = [tokens_of(letter * 50, letter * 31) for letter in "abc"]
    weights = (0.5, 2.0, 0.7)
    batches = Batches(
        [Weighted(Part.whole(t), w) for t, w in zip(sources, weights, strict=True)], tokens_per_batch=101, context=64
    )
    read = Counter()
    for step in range(640):
        batch = batches.at(step)
        assert len(batch.tokens) == 101
        for name in "abc":
            read[name] += int((batch.tokens == ord(name) + 1).sum())
        here = [epochs * size for epochs, size in zip(batches.epochs(step + 1), batches.sizes, strict=True)]
        assert here == pytest.approx([101 * (step + 1) * w / 3.2 for w in weights], abs=1.001)
    assert read["b"] / read["a"] == pytest.approx(4, rel=0.01)


def test_masks_are_of_targets(tokens_of, tmp_path, letters):
    from rookery.train.data import open_sources, tokenised

    path = tmp_path / "chat.jsonl"
    path.write_text('{"turns": [["User", "q"], ["Assistant", "a"]]}\n')
    tokens = tokenised(open_sources(path), letters, tmp_path / "t")
    batch = Batches([Weighted(Part.whole(tokens))], tokens_per_batch=len(tokens.ids), context=100).at(0)
    learned = "".join(chr(t - 1) for t, w in zip(batch.targets, batch.weights, strict=True) if w and t)
    assert learned == " a\n\n"
    assert batch.targets[-1] == 0
    assert batch.weights[-1] == 1
    assert batch.total == 5


def test_without_an_ending_token_the_last_has_no_target(tokens_of):
    tokens = tokens_of("abc", "de", ending=None)
    batch = Batches([Weighted(Part.whole(tokens))], tokens_per_batch=7, context=8).at(0)
    for _, _, weights in segments(batch):
        assert weights[-1] == 0
        assert set(weights[:-1]) == {1}


def test_one_byte_is_enough(tokens_of):
    batch = Batches([Weighted(Part.whole(tokens_of("x")))], tokens_per_batch=5, context=3).at(0)
    assert segments(batch) == [((0, 121), (121, 0), (1, 1))] * 2 + [((0,), (121,), (1,))]


def test_held_out_documents_are_never_trained_on(tokens_of):
    tokens = tokens_of(*(f"document {i} " + "x" * (i % 7) for i in range(200)))
    train, held = split(tokens, 0.1, seed=4)
    assert train.size + held.size == len(tokens.ids)
    assert not set(train.starts.tolist()) & set(held.starts.tolist())
    assert len(held.starts) == 20
    assert not np.array_equal(split(tokens, 0.1, seed=5)[1].starts, held.starts)
    one = split(tokens, 1e-9)[1]
    assert len(one.starts) == 1
    assert split(tokens, 0)[1] is None
    with pytest.raises(SettingsError, match="held_out is 1"):
        split(tokens, 1)


def test_one_document_is_held_out_by_its_end(tokens_of):
    tokens = tokens_of("abcdefghij" * 10)
    train, held = split(tokens, 0.2)
    assert (train.size, held.size) == (81, 20)
    batch = Batches([Weighted(train)], tokens_per_batch=81, context=100).at(0)
    assert np.array_equal(np.sort(batch.tokens), np.sort(tokens.ids[:81]))
    with pytest.raises(SettingsError, match="the only document has 2 tokens"):
        split(tokens_of("x"), 0.5)


def test_validation_passes_once_through(many):
    for size in (1, 100, 10_000):
        passage = Passage(Part.whole(many), tokens_per_batch=size, context=16)
        batches = list(passage)
        assert len(batches) == len(passage)
        assert np.array_equal(np.concatenate([b.tokens for b in batches]), many.ids)
        assert all(len(b.tokens) <= size or len(b.lengths) == 1 for b in batches)
        lengths = [n for b in batches for n in b.lengths]
        assert lengths == [
            n for d in documents(many) for n in [16] * (len(d) // 16) + [len(d) % 16] * (len(d) % 16 > 0)
        ]


def test_a_limited_validation_is_drawn_from_everywhere(many):
    limited = Passage(Part.whole(many), tokens_per_batch=100, context=16, limit=300)
    assert 284 < limited.size == sum(len(batch.tokens) for batch in limited) <= 300
    assert [segments(b) for b in limited] == [
        segments(b) for b in Passage(Part.whole(many), tokens_per_batch=100, context=16, limit=300)
    ]
    assert Passage(Part.whole(many), tokens_per_batch=9, context=16, limit=1).size > 0
    with pytest.raises(SettingsError, match="limit is 0"):
        Passage(Part.whole(many), tokens_per_batch=9, context=16, limit=0)
    with pytest.raises(IndexError):
        limited[len(limited)]


def test_bytes_learned_are_those_of_the_text(tokens_of, letters):
    tokens = tokens_of("abc", "ü")
    (batch,) = Passage(Part.whole(tokens), tokens_per_batch=100, context=16)
    assert bytes_learned(batch, token_sizes(letters)) == 5 == tokens.meta["bytes"]


def test_the_fingerprint_tells_data_and_layout_apart(many, tokens_of):
    def make(tokens=many, weight=1.0, **layout):
        layout = {"tokens_per_batch": 40, "context": 16, **layout}
        return Batches([Weighted(Part.whole(tokens), weight)], **layout).fingerprint

    other = tokens_of("something else")
    layouts = [
        make(),
        make(other),
        make(weight=2.0),
        make(context=17),
        make(seed=1),
        make(tokens_per_batch=41),
        make(shuffle="none"),
    ]
    assert len(set(layouts)) == len(layouts)
    assert make() == layouts[0]
    assert Part.whole(many).fingerprint != split(many, 0.1)[0].fingerprint


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"context": 0}, "context is 0"),
        ({"tokens_per_batch": 0}, "tokens_per_batch is 0"),
        ({"shuffle": "riffle"}, "shuffle is 'riffle', expected one of pieces"),
        ({"equal": 3}, "equal is 3, expected a number that divides"),
    ],
)
def test_impossible_layouts(many, options, sentence):
    with pytest.raises(SettingsError, match=sentence):
        Batches([Weighted(Part.whole(many))], **{"tokens_per_batch": 40, "context": 16, **options})


@pytest.mark.parametrize("weight", [0, -1, float("nan"), float("inf")])
def test_impossible_weights(many, weight):
    with pytest.raises(SettingsError, match="expected a number above 0"):
        Batches([Weighted(Part.whole(many), weight)], tokens_per_batch=40, context=16)


def test_no_sources_and_too_many():
    with pytest.raises(SettingsError, match="nothing to train on"):
        Batches([], tokens_per_batch=40, context=16)


def test_too_many_sources_for_a_batch(many):
    with pytest.raises(SettingsError, match="too small for 9 sources"):
        Batches([Weighted(Part.whole(many))] * 9, tokens_per_batch=40, context=16)


def test_steps_and_ranks_are_checked(many):
    batches = Batches([Weighted(Part.whole(many))], tokens_per_batch=40, context=16)
    for given in ((-1,), (0, 2, 2), (0, -1, 2)):
        with pytest.raises(SettingsError, match="expected a step and a rank below the world"):
            batches.at(*given)
