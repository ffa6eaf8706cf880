"""Tales: whole, well-formed, as asked for, and different."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path
from random import Random

import plots
import pytest
from cast import KINDS, STOCK, WORLDS, being, world_of
from tales import plots_for, tale
from weave import article, weave

PLOTS = sorted(plots.plots())
SAMPLE = [tale(Random(f"sample {i}")) for i in range(1500)]


def every_kind(name: str) -> list[str]:
    return [kind for kind in ("girl", "boy", *KINDS) if name in plots_for(kind)]


@pytest.mark.parametrize("name", PLOTS)
def test_every_plot_with_every_hero_is_whole(name):
    for kind in every_kind(name):
        for size in (0, 1, 2):
            rng = Random(f"{name} {kind} {size}")
            told = tale(rng, being(rng, kind), name, size)
            faults = faults_in(told.text) + faults_in(told.summary) + faults_in(told.after)
            faults += [fault for pair in told.asked for side in pair for fault in faults_in(side)]
            assert faults == [], told.text
            assert 40 <= len(told.text.split()) <= 420
            assert told.who[0].kind == kind
            assert len(told.asked) >= 2
            assert told.moral


def faults_in(text: str) -> list[str]:
    """What can be seen to be wrong without understanding a word."""
    patterns = {
        "a mark of a template": r"[{}\[\]|@<>]",
        "spaces": r"  | [.,!?;:]|^ | $",
        "a before a vowel": r"\b[Aa] (?!one\b|once\b|uni|use)[aeiouAEIOU]",
        "an before a consonant": r"\b[Aa]n (?!hour|honest)[b-df-hj-np-tv-zB-DF-HJ-NP-TV-Z]",
        "small letter after a full stop": r'[.!?] "?[a-z]',
        "two stops": r"[,;:][.,;:!?]|[.!?][,;:]|\.\.(?!\.)|[!?][.]",
        "one word twice": r"\b(?!had\b|that\b|peep\b|drip\b|tick\b|plop\b|bump\b)(\w+) \1\b",
        "no end": r"[^.!?\"]$",
    }
    found = [f"{name}: {match[0]!r}" for name, pattern in patterns.items() for match in re.finditer(pattern, text)]
    return found + (["quotes do not pair"] if text.count('"') % 2 else [])


def test_faults_are_seen():
    assert faults_in("This is a fine tale.") == []
    for bad in (
        "A {h} came.",
        "Two  spaces.",
        "An dog.",
        "He ate a apple.",
        "Stop. go.",
        "He saw the the end.",
        'He said "no.',
        "No end",
    ):
        assert faults_in(bad), bad


def test_the_same_chance_tells_the_same():
    assert [tale(Random(f"s{i}")).text for i in range(50)] == [tale(Random(f"s{i}")).text for i in range(50)]


def test_names_in_a_tale_differ():
    for told in SAMPLE:
        names = [who.name for who in told.who]
        assert len(set(names)) == len(names)
        assert len({who.name[:2] for who in told.who if not who.known}) == sum(not who.known for who in told.who)


def test_pronouns_follow_the_hero():
    """A tale with one character of each sex only has pronouns of theirs; one with a single sex, of that alone."""
    for told in SAMPLE:
        if len({who.female for who in told.who}) == 1 and told.plot in ("learning_skill", "thunder", "cannot_sleep"):
            other = r"\b(he|him|his|himself)\b" if told.who[0].female else r"\b(she|her|hers|herself)\b"
            assert not re.search(other, told.text, re.IGNORECASE), told.text


def test_things_keep_their_looks():
    """Wherever a tale names a thing with a look, it is the same look."""
    looks = {noun: set(all_looks) for sort in STOCK.values() for noun, all_looks in sort.items()}
    for told in SAMPLE:
        asked = re.search(r"([a-z]+) ([a-z ]+?)[.]$", dict(told.asked).get(f"What did {told.who[0]} lose?", ""))
        if not asked or asked[2] not in looks:
            continue
        seen = set(re.findall(rf"([a-z]+) {asked[2]}\b", told.text)) & looks[asked[2]]
        assert seen <= {asked[1]}, told.text


def test_tales_are_varied():
    assert len({told.text for told in SAMPLE}) > 0.995 * len(SAMPLE)
    plots_used = Counter(told.plot for told in SAMPLE)
    assert set(plots_used) == set(PLOTS)
    openings = Counter(told.text[:25] for told in SAMPLE)
    assert openings.most_common(1)[0][1] < 0.25 * len(SAMPLE)


def test_worlds_are_kept_apart():
    for told in SAMPLE:
        heroes = [who for who in told.who if not who.known and (who.kind in KINDS or who.as_child)]
        assert heroes[0] == told.who[0]
    assert {world_of(kind) for kind in KINDS} | {"town"} == set(WORLDS)


@pytest.mark.parametrize(
    ("phrase", "expected"),
    [("apple", "an apple"), ("old hat", "an old hat"), ("hat", "a hat"), ("hour", "an hour"), ("unicorn", "a unicorn")],
)
def test_articles(phrase, expected):
    assert article(phrase) == expected


def test_weaving():
    rng = Random(0)
    hero = being(rng, "fox", female=True)
    words = {"h": hero, "x": "owl"}
    assert weave(rng, "{h} saw {a x}. {H.he} ran .", words) == f"{hero.name} saw an owl. She ran."
    assert weave(rng, "[a|a] b[|]", {}) == "A b"
    with pytest.raises(KeyError):
        weave(rng, "{nobody}", words)
    with pytest.raises(AttributeError):
        weave(rng, "{h.wings}", words)


def test_a_plot_with_an_unknown_word_names_the_line(tmp_path: Path):
    path = tmp_path / "bad.txt"
    path.write_text("plot bad\nabout a thing\nsing A song.\n")
    with pytest.raises(ValueError, match=r"bad\.txt:3: unknown word 'sing'"):
        list(plots.plots_in(path))
    path.write_text("plot bad\nwhere moon\np A text.\n")
    with pytest.raises(ValueError, match="unknown world 'moon'"):
        list(plots.plots_in(path))
