"""Many requests at once: each gets what it would get alone, bit for bit, and fails or ends alone."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from goldens import GOLDENS
from hypothesis import given, settings
from hypothesis import strategies as st
from small_models import model_of

from rookery import Engine, Generation, Model, Request, Sampler, StateCache
from rookery.engine import STRIDE, Scheduler, generate
from rookery.errors import RookeryError, SettingsError, TokenError

VOCAB = 112


class Uniform:
    """An executor whose logits are all equal and whose states add up the tokens; it counts its calls."""

    name, threads = "uniform", 1

    def __init__(self) -> None:
        self.calls: list[list[int]] = []
        self.hold = threading.Event()
        self.hold.set()
        self.broken = False

    def run(
        self, tokens: np.ndarray, lengths: Sequence[int], states: Sequence[np.ndarray], wanted: np.ndarray
    ) -> np.ndarray:
        self.hold.wait(20)
        if self.broken:
            raise MemoryError("no room")
        assert len({id(state) for state in states}) == len(states)
        self.calls.append(list(lengths))
        for part, state in zip(np.split(tokens, np.cumsum(lengths)[:-1]), states, strict=True):
            state[0] += part.sum()
        return np.zeros((len(wanted), VOCAB), np.float32)


def fake() -> tuple[Model, Uniform]:
    executor = Uniform()
    return replace(model_of("v7"), executor=executor), executor


def alone(model: Model, request: Request) -> Generation:
    return generate(model, request).result()


def same(job: Generation, other: Generation) -> bool:
    return (job.tokens, job.text, job.finish, job.state) == (other.tokens, other.text, other.finish, other.state)


def drain(scheduler: Scheduler) -> None:
    while not scheduler.idle:
        scheduler.step()


_request = st.builds(
    lambda prompt, sampler, max_tokens, stop: Request(prompt, sampler, max_tokens, stop, ()),
    prompt=st.lists(st.integers(0, VOCAB - 1), min_size=1, max_size=60)
    | st.builds(lambda n, t: [t] * n, st.integers(250, 530), st.integers(0, 3)),
    sampler=st.builds(
        Sampler,
        temperature=st.sampled_from([0.0, 0.7, 1.0]),
        top_p=st.sampled_from([0.3, 0.9, 1.0]),
        frequency_penalty=st.sampled_from([0.0, 0.4]),
        seed=st.integers(0, 9),
    ),
    max_tokens=st.integers(0, 12),
    stop=st.sampled_from([(), ("a",), ("ab", "\n\n"), ("d c",)]),
)


@settings(max_examples=40, deadline=None)
@given(
    name=st.sampled_from(["v4", "v5.1", "v6", "v7"]),
    requests=st.lists(_request, min_size=1, max_size=7),
    slots=st.integers(1, 6),
    rows=st.sampled_from([6, 7, 33, 256]),
    cached=st.booleans(),
)
def test_together_as_alone(name: str, requests: list[Request], slots: int, rows: int, cached: bool) -> None:
    """Whatever shares the calls, however prompts are cut, from the cache or not: tokens and states bit for bit."""
    model = model_of(name)
    cache = StateCache() if cached else None
    for _ in range(2):  # the second time everything is cached
        scheduler = Scheduler(model, slots=slots, rows=rows, cache=cache)
        jobs = [Generation(model, request, cache) for request in requests]
        for job in jobs:
            scheduler.add(job)
        drain(scheduler)
        for job, request in zip(jobs, requests, strict=True):
            assert job.error is None
            assert same(job, alone(model, request))


@pytest.mark.parametrize("name", GOLDENS)
def test_cached_as_cold(name: str) -> None:
    """A prompt that shares a long beginning with an earlier one starts from the last landmark inside it."""
    model, cache = model_of(name), StateCache()
    first = Request([1, 2, 3] * 200, Sampler(seed=0), max_tokens=5, stop_tokens=())
    other = replace(first, prompt=[1, 2, 3] * 190 + [4] * 40)
    generate(model, first, cache).result()
    job = generate(model, other, cache).result()
    assert job.cached_tokens == 2 * STRIDE
    assert same(job, alone(model, other))
    again = generate(model, other, cache).result()
    assert again.cached_tokens == 610
    assert same(again, job)


def test_a_reply_is_found_when_the_talk_goes_on() -> None:
    model, cache = model_of("v7"), StateCache()
    first = generate(model, Request([5, 6], Sampler(seed=0), max_tokens=30, stop_tokens=()), cache).result()
    prompt = [5, 6, *first.tokens, 7, 8]
    second = generate(model, Request(prompt, Sampler(seed=0), max_tokens=3, stop_tokens=()), cache).result()
    assert second.cached_tokens == 32
    assert same(second, alone(model, second.request))


def test_landmarks_do_not_depend_on_what_else_is_read() -> None:
    """Also the first prompt of an empty cache is read so that states are kept at multiples of the stride."""
    model, executor = fake()
    cache = StateCache()
    scheduler = Scheduler(model, slots=3, rows=100, cache=cache)
    for prompt in ([1] * 700, [2] * 650):
        scheduler.add(Generation(model, Request(prompt, max_tokens=0), cache))
    drain(scheduler)
    assert all(sum(lengths) <= 100 for lengths in executor.calls)
    probe = generate(model, Request([1] * 600 + [3], max_tokens=0), cache).result()
    assert probe.cached_tokens == 2 * STRIDE
    probe = generate(model, Request([2] * 300, max_tokens=0), cache).result()
    assert probe.cached_tokens == STRIDE


def test_rows_and_slots_are_limits() -> None:
    model, executor = fake()
    scheduler = Scheduler(model, slots=4, rows=9)
    for length in range(1, 12):
        scheduler.add(Generation(model, Request([1] * length, max_tokens=3, stop_tokens=())))
    drain(scheduler)
    assert max(map(len, executor.calls)) == 4
    assert max(map(sum, executor.calls)) == 9


def test_replies_go_on_while_a_long_prompt_is_read() -> None:
    model, _ = fake()
    cache = StateCache()
    quick = Request([1], max_tokens=20, stop_tokens=())
    generate(model, replace(quick, max_tokens=1), cache).result()
    scheduler = Scheduler(model, slots=2, rows=10, cache=cache)
    reply = Generation(model, quick, cache)
    scheduler.add(Generation(model, Request([2] * 500, max_tokens=1), cache))
    scheduler.add(reply)  # behind the prompt, with its logits in the cache
    for step in range(1, 15):
        scheduler.step()
        assert len(reply.tokens) == step + 1


def test_a_prompt_is_read_while_all_others_reply() -> None:
    model, _ = fake()
    scheduler = Scheduler(model, slots=3, rows=3)
    jobs = [Generation(model, Request([1] * n, max_tokens=50, stop_tokens=())) for n in (1, 1, 20)]
    for job in jobs:
        scheduler.add(job)
    for _ in range(22):
        scheduler.step()
    assert jobs[2].tokens


@pytest.mark.parametrize(("slots", "rows"), [(0, 5), (-1, 5), (3, 2), (1, 0)])
def test_impossible_schedulers(slots: int, rows: int) -> None:
    with pytest.raises(SettingsError, match="slots"):
        Scheduler(model_of("v7"), slots=slots, rows=rows)


def test_one_request_fails_alone() -> None:
    def allow(tokens: Sequence[int]) -> np.ndarray | None:
        if len(tokens) == 2:
            raise ValueError("grammar")
        return None

    model = model_of("v7")
    good = [Request([n, 5], Sampler(seed=n), max_tokens=9, stop_tokens=()) for n in range(6)]
    with Engine(model, slots=4) as engine:
        jobs = [engine.submit(request) for request in good[:3]]
        bad = engine.submit(Request([9], max_tokens=9, stop_tokens=(), allow=allow))
        jobs += [engine.submit(request) for request in good[3:]]
        with pytest.raises(ValueError, match="grammar"):
            bad.result()
        with pytest.raises(TokenError):
            engine.submit([VOCAB])
        assert all(same(job.result(), alone(model, job.request)) for job in jobs)
    assert len(bad.tokens) == 2


def test_a_model_that_fails_hangs_nobody() -> None:
    model, executor = fake()
    with Engine(model, slots=2) as engine:
        executor.hold.clear()
        executor.broken = True
        jobs = [engine.submit([1, 2], max_tokens=3) for _ in range(5)]
        executor.hold.set()
        for job in jobs:
            with pytest.raises(MemoryError, match="no room"):
                job.result()
        executor.broken = False
        assert engine.submit([1], max_tokens=2).result().finish in ("length", "stop")  # the engine goes on


def test_fifty_at_once() -> None:
    model = model_of("v7")
    requests = [
        Request([n % 7, *range(1, n % 13 + 2)] * (n % 5 + 1), Sampler(seed=n), max_tokens=n % 17, stop=("a",))
        for n in range(50)
    ]
    jobs: dict[int, Generation] = {}
    with Engine(model, slots=8) as engine:

        def submit(part: int) -> None:
            for n in range(part, 50, 5):
                jobs[n] = engine.submit(requests[n])

        threads = [threading.Thread(target=submit, args=(part,)) for part in range(5)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        for n, request in enumerate(requests):
            assert same(jobs[n].result(), alone(model, request)), n


def test_submit_takes_text_and_options() -> None:
    model = model_of("v7")
    state = model.forward([3])[1]
    with Engine(model) as engine:
        job = engine.submit("abc", Sampler(seed=4), max_tokens=6, stop=["d"], state=state).result()
    assert same(job, alone(model, Request("abc", Sampler(seed=4), 6, ("d",), state=state)))


def test_cancelling_leaves_the_others() -> None:
    model, _ = fake()
    with Engine(model, slots=4) as engine:
        endless = engine.submit(Request([1, 2], max_tokens=10**9, stop_tokens=()))
        other = engine.submit(Request([1, 2], max_tokens=50, stop_tokens=()))
        assert next(iter(endless)).token is not None
        endless.cancel()
        endless.result()
        assert endless.finish == "cancelled"
        assert other.result().finish == "length"
    assert endless.state is not None
    assert endless.state.count == 2 + len(endless.tokens)
    assert endless.state.data[0] == np.float32(3 + sum(endless.tokens))


def test_closing_ends_what_runs_and_what_waits() -> None:
    model, executor = fake()
    engine = Engine(model, slots=2)
    jobs = [engine.submit(Request([1], max_tokens=10**9, stop_tokens=())) for _ in range(5)]
    assert next(iter(jobs[0])).token is not None
    executor.hold.clear()
    closing = threading.Thread(target=engine.close)
    closing.start()
    executor.hold.set()
    closing.join(20)
    assert not closing.is_alive()
    for job in jobs:
        assert job.result().finish == "cancelled"
        assert job.state is not None
        assert job.state.count in (0, 1 + len(job.tokens))
    engine.close()
    with pytest.raises(RookeryError, match="closed"):
        engine.submit([1])


def test_leaving_by_an_error_closes_too() -> None:
    model, _ = fake()
    with pytest.raises(KeyError), Engine(model) as engine:  # noqa: PT012
        job = engine.submit(Request([1], max_tokens=10**9, stop_tokens=()))
        raise KeyError
    assert job.result().finish == "cancelled"
    assert not [t for t in threading.enumerate() if t.name == "rookery-engine"]


def test_more_slots_than_rows() -> None:
    model, executor = fake()
    with Engine(model, slots=STRIDE + 44) as engine:
        executor.hold.clear()
        jobs: list[Any] = [engine.submit(Request([1], max_tokens=4, stop_tokens=())) for _ in range(STRIDE + 44)]
        executor.hold.set()
        assert all(job.result().finish == "length" for job in jobs)
    assert max(map(len, executor.calls)) > STRIDE


def test_a_callback_that_exits_ends_its_generations_and_not_the_engine() -> None:
    def leave(tokens: Sequence[int]) -> None:
        raise SystemExit(3)

    with Engine(model_of("v7")) as engine:
        with pytest.raises(RookeryError, match="SystemExit"):
            engine.submit(Request([1], max_tokens=3, allow=leave)).result()
        assert len(engine.submit([1], max_tokens=1).result().tokens) == 1
