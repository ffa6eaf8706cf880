"""One request: stops, cancellation and limits, and that the state is always that of the prompt and the kept text."""

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

from rookery import Engine, Generation, Model, Piece, Request, Sampler, State, StateCache, chain
from rookery.engine import Scheduler, generate
from rookery.errors import NumericError, RookeryError, SettingsError, StateError, TokenError
from rookery.generation import _unpenalised
from rookery.sampling import mask_of

PROMPT = [5, 6, 7]
COUNT = 40


def run(model: Model, prompt: Any = PROMPT, seed: int = 0, cache: StateCache | None = None, **more: Any) -> Generation:
    more = {"max_tokens": COUNT, "stop_tokens": (), "sampler": Sampler(top_p=0.9, seed=seed)} | more
    return generate(model, Request(prompt, **more), cache).result()


def cold(model: Model, *parts: Sequence[int]) -> State:
    return model.forward([token for part in parts for token in part])[1]


def replayed(model: Model, tokens: Sequence[int], length: int) -> list[int]:
    """The tokens that spell the first `length` bytes: whole tokens as they were, the beginning of a cut one anew."""
    out: list[int] = []
    for token in tokens:
        text = model.tokenizer.token_bytes(token)
        if len(text) > length:
            return out + (model.tokenizer.encode(text[:length]) if length else [])
        out.append(token)
        length -= len(text)
    return out


@pytest.mark.parametrize("name", GOLDENS)
def test_state_and_text_of_a_whole_run(name: str) -> None:
    model = model_of(name)
    done = run(model)
    assert done.finish == "length"
    assert len(done.tokens) == COUNT
    assert done.text == model.tokenizer.decode(done.tokens)
    assert done.state == cold(model, PROMPT, done.tokens)
    assert (done.prompt_tokens, done.cached_tokens) == (3, 0)


def test_greedy_is_the_argmax_of_forward() -> None:
    model = model_of("v7")
    logits, state = model.forward(PROMPT)
    expected = []
    for _ in range(10):
        expected.append(int(np.argmax(logits)))
        logits, state = model.forward(expected[-1:], state)
    assert run(model, sampler=Sampler.greedy(), max_tokens=10).tokens == expected


@settings(max_examples=120, deadline=None)
@given(data=st.data(), name=st.sampled_from(["v4", "v5.2", "v6", "v7"]), seed=st.integers(0, 20))
def test_stop_strings_roll_back_exactly(data: st.DataObject, name: str, seed: int) -> None:
    """Stops cut out of the text that would have come, wherever they begin and end."""
    model = model_of(name)
    free = run(model, seed=seed)
    text = model.tokenizer.decode_bytes(free.tokens)
    stops = []
    for _ in range(data.draw(st.integers(1, 3))):
        begin = data.draw(st.integers(0, len(text) - 1))
        stops.append(text[begin : begin + data.draw(st.integers(1, 12))])
    stops += [stop[:-1] + b"#" for stop in stops]  # almost completed: what was held back must be let go
    first = min(text.find(stop) + len(stop) for stop in stops if stop in text)
    start = min(first - len(stop) for stop in stops if text[:first].endswith(stop))
    cache = data.draw(st.sampled_from([None, StateCache()]))
    done = run(model, seed=seed, stop=stops, cache=cache)
    assert done.finish == "stop"
    assert done.stop is not None
    assert (done.stop.start, done.stop.end) == (start, first)
    assert done.text == text[:start].decode(errors="replace")
    assert done.state == cold(model, PROMPT, replayed(model, free.tokens, start))


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 50), token=st.integers(0, 111), count=st.integers(1, COUNT))
def test_stop_tokens_are_not_part_of_it(seed: int, token: int, count: int) -> None:
    model = model_of("v7")
    free = run(model, seed=seed, max_tokens=count)
    done = run(model, seed=seed, max_tokens=count, stop_tokens=[token])
    if token not in free.tokens:
        assert (done.tokens, done.finish, done.state) == (free.tokens, "length", free.state)
        return
    kept = free.tokens[: free.tokens.index(token)]
    assert (done.tokens, done.finish) == ([*kept, token], "stop")
    assert done.text == model.tokenizer.decode(kept)
    assert done.state == cold(model, PROMPT, kept)


def test_stop_tokens_and_strings_together() -> None:
    """Text held back for a stop string is let go when a stop token ends the reply."""
    model = model_of("v7")
    free = run(model)
    end = next(i for i in range(4, COUNT) if free.tokens[i] not in free.tokens[:i])
    text = model.tokenizer.decode_bytes(free.tokens[:end])
    done = run(model, stop=[text + b"#"], stop_tokens=[free.tokens[end]])
    assert done.text == text.decode(errors="replace")
    assert done.state == cold(model, PROMPT, free.tokens[:end])


def test_late_stops_count_after_the_gate() -> None:
    model = model_of("v7-bytes")
    sampler = Sampler(top_p=0, frequency_penalty=0)
    free = run(model, sampler=sampler, max_tokens=60)
    text = model.tokenizer.decode_bytes(free.tokens)
    gate, end = text[30:36], text.find(text[30:36]) + 6
    late = next(text[i : i + 2] for i in range(end, 58) if text[i : i + 2] in text[:end])
    done = run(model, sampler=sampler, max_tokens=60, late=[late], gate=gate)
    assert done.stop is not None
    assert text.find(late) < done.stop.start == text.find(late, end)
    assert done.state == cold(model, PROMPT, replayed(model, free.tokens, done.stop.start))


@pytest.mark.parametrize("count", [0, 1, 2])
def test_limits(count: int) -> None:
    model = model_of("v6")
    done = run(model, max_tokens=count)
    assert (len(done.tokens), done.finish) == (count, "length")
    assert done.state == cold(model, PROMPT, done.tokens)
    if count == 0:
        assert done.text == ""


@pytest.mark.parametrize("cached", [False, True])
def test_reading_only(cached: bool) -> None:
    model, prompt = model_of("v6"), [1] * 700
    cache = StateCache()
    if cached:
        run(model, prompt, cache=cache)
    done = run(model, prompt, max_tokens=0, cache=cache)
    assert done.cached_tokens == (700 if cached else 0)
    assert done.state == cold(model, prompt)


def test_going_on_from_a_state() -> None:
    model = model_of("v5.1")
    whole = run(model, max_tokens=20)
    first = run(model, max_tokens=8)
    second = generate(model, Request([9], Sampler(seed=1), max_tokens=5, state=first.state)).result()
    assert second.state == cold(model, PROMPT, first.tokens, [9], second.tokens)
    assert first.tokens == whole.tokens[:8]


def test_a_tuned_beginning_is_used() -> None:
    model = model_of("v7")
    _, read = model.forward([3, 4])
    tuned = model.with_initial(State.from_rwkv(model.layout, read.to_rwkv(), model.fingerprint))
    cache = StateCache()
    assert run(model, cache=cache).state == cold(model, PROMPT, run(model).tokens)
    done = run(tuned, cache=cache)
    assert done.cached_tokens == 0  # the same tokens after another beginning
    assert done.state is not None
    assert np.array_equal(done.state.data, cold(model, [3, 4], PROMPT, done.tokens).data)


@pytest.mark.parametrize("after", [0, 1, 2, 7])
def test_cancelled(after: int) -> None:
    """Text and state agree, also for the token that had been chosen and not yet read."""
    model = model_of("v7")
    job = generate(model, Request(PROMPT, Sampler(seed=1), max_tokens=COUNT, stop_tokens=()))
    pieces = []
    if after == 0:
        job.cancel()
    for piece in job:
        pieces.append(piece)
        if len(pieces) == after:
            job.cancel()
    assert job.finish == pieces[-1].finish == "cancelled"
    assert job.text == "".join(piece.text for piece in pieces) == model.tokenizer.decode(job.tokens)
    assert len(job.tokens) == after
    assert job.state == (cold(model, PROMPT, job.tokens) if after else model.initial)


def test_cancelled_while_text_is_held_back() -> None:
    model = model_of("v7-bytes")
    free = run(model, max_tokens=10)
    stop = model.tokenizer.decode_bytes(free.tokens[:6]) + b"\x00#"
    job = generate(model, Request(PROMPT, Sampler(top_p=0.9, seed=0), stop=[stop], stop_tokens=()))
    for _ in zip(range(4), job, strict=False):
        pass
    assert job.text == ""
    job.cancel()
    job.result()
    assert job.text == model.tokenizer.decode(free.tokens[:4])
    assert job.state == cold(model, PROMPT, free.tokens[:4])


def test_cancelled_inside_a_long_prompt() -> None:
    model, prompt = model_of("v6"), [2, 3] * 400
    scheduler, job = Scheduler(model, slots=1), Generation(model, Request(prompt))
    scheduler.add(job)
    scheduler.step()
    job.cancel()
    scheduler.step()
    assert scheduler.idle
    assert job.finish == "cancelled"
    assert job.state is not None
    assert 0 < job.state.count < 800
    assert job.state == cold(model, prompt[: job.state.count])


def test_reading_reports_its_progress() -> None:
    seen: list[tuple[int, int]] = []
    job = run(model_of("v7"), [1] * 300, max_tokens=2, progress=lambda done, total: seen.append((done, total)))
    assert seen == [(256, 300), (300, 300)]
    assert job.prompt_read == 300


def test_a_sampler_is_a_sampler() -> None:
    with pytest.raises(SettingsError, match=r"sampler is 0\.5, expected a Sampler"):
        model_of("v7").generate("a", 0.5)  # type: ignore[arg-type]


def test_cancelled_after_a_stop_it_stays_a_stop() -> None:
    """The tokens before a stop string are still to be read again."""
    model = model_of("v7")
    free = run(model)
    text = model.tokenizer.decode_bytes(free.tokens[:8])
    job = generate(model, Request(PROMPT, Sampler(top_p=0.9, seed=0), stop=[text[3:]], stop_tokens=()))
    while job.stop is None:
        assert job.pump is not None
        job.pump()
    job.cancel()
    job.result()
    assert job.finish == "stop"
    assert job.state == cold(model, PROMPT, replayed(model, free.tokens, 3))


def test_only_allowed_tokens() -> None:
    model, seen = model_of("v7"), []

    def allow(tokens: Sequence[int]) -> np.ndarray | None:
        seen.append(list(tokens))
        return mask_of([10, 11] if len(tokens) % 2 else [20], 112) if len(tokens) < 4 else None

    done = run(model, allow=allow, max_tokens=6)
    assert done.tokens[0] == done.tokens[2] == 20
    assert {done.tokens[1], done.tokens[3]} <= {10, 11}
    assert seen == [done.tokens[:i] for i in range(6)]
    assert done.state == cold(model, PROMPT, done.tokens)


def test_what_allow_raises_ends_the_request() -> None:
    def allow(tokens: Sequence[int]) -> np.ndarray | None:
        if len(tokens) == 3:
            raise KeyError("grammar")
        return None

    job = generate(model_of("v7"), Request(PROMPT, allow=allow, stop_tokens=()))
    pieces: list[Piece] = []
    with pytest.raises(KeyError, match="grammar"):
        pieces.extend(job)
    assert job.finish == "error"
    assert isinstance(job.error, KeyError)
    assert job.state is None
    with pytest.raises(KeyError, match="grammar"):  # again and again
        job.result()


def test_a_model_that_fails_ends_the_request(monkeypatch: pytest.MonkeyPatch) -> None:
    """What was in the state by then is not known, so there is none."""
    model = model_of("v7", "numpy")
    monkeypatch.setattr(type(model.executor), "run", lambda *_: 1 / 0)
    job = generate(model, Request(PROMPT))
    for _ in range(2):
        with pytest.raises(ZeroDivisionError):
            job.result()
    assert (job.finish, job.state) == ("error", None)


def test_logits_that_are_no_numbers(monkeypatch: pytest.MonkeyPatch) -> None:
    model = model_of("v7", "numpy")
    monkeypatch.setattr(type(model.executor), "run", lambda *_: np.full((1, 112), np.nan, np.float32))
    with pytest.raises(NumericError):
        run(model)


def test_the_oracle_generates_too() -> None:
    native, oracle = (run(model_of("v6", name), sampler=Sampler.greedy()) for name in ("native", "numpy"))
    assert native.tokens == oracle.tokens


@pytest.mark.parametrize("name", ["v7", "v7-bytes"])
def test_pieces_add_up(name: str) -> None:
    model = model_of(name)
    job = generate(model, Request(PROMPT, Sampler(top_p=1, seed=5, logprobs=2), max_tokens=60, stop_tokens=()))
    pieces = list(job)
    assert "".join(piece.text for piece in pieces) == job.text == model.tokenizer.decode(job.tokens)
    assert [piece.token for piece in pieces] == [*job.tokens, None]
    assert [piece.finish for piece in pieces] == [None] * 60 + ["length"]
    assert all(piece.logprobs is not None and len(piece.logprobs.top) == 2 for piece in pieces[:-1])
    assert list(job) == pieces[-1:]  # the end stays


def test_text_prompts_and_the_empty_one() -> None:
    model = model_of("v7")
    assert run(model, "abc d").state == run(model, model.tokenizer.encode("abc d")).state
    assert run(model, "").state == run(model, [0]).state  # the beginning of a document
    with pytest.raises(SettingsError, match="empty"):
        run(model, [], state=model.initial)


@pytest.mark.parametrize(
    ("more", "error"),
    [
        ({"prompt": [112]}, TokenError),
        ({"prompt": [-1]}, TokenError),
        ({"prompt": ["a"]}, TokenError),
        ({"max_tokens": -1}, SettingsError),
        ({"stop": ""}, SettingsError),
        ({"stop": [""]}, SettingsError),
        ({"late": ["a"]}, SettingsError),
        ({"state": "a"}, StateError),
        ({"sampler": Sampler(ban=[112])}, SettingsError),
    ],
)
def test_bad_requests(more: dict[str, Any], error: type[RookeryError]) -> None:
    with pytest.raises(error):
        run(model_of("v7"), **more)


def test_reading_the_pieces_from_another_thread() -> None:
    model = model_of("v7")
    job = generate(model, Request(PROMPT, Sampler(seed=2), max_tokens=5, stop_tokens=()))
    seen: list[str] = []
    thread = threading.Thread(target=lambda: seen.extend(piece.text for piece in job))
    thread.start()
    thread.join()
    assert "".join(seen) == job.text


def test_a_lone_stop_string_is_refused_not_taken_letter_by_letter() -> None:
    model = model_of("v7")
    with pytest.raises(SettingsError, match="stop is 'ab', expected a list of strings"):
        model.generate(PROMPT, stop="ab")
    with Engine(model) as engine, pytest.raises(SettingsError, match="stop is 'ab', expected a list of strings"):
        engine.submit(PROMPT, stop="ab")


def test_vocabularies_of_one_tokenizer_may_differ_in_size() -> None:
    """What is not penalised depends on both."""
    model = model_of("v7-bytes")
    run(model, max_tokens=1)
    small = replace(model, config=replace(model.config, vocab=40))
    assert all(token < 40 for token in _unpenalised(small))


def test_bytes_are_text_and_not_ids() -> None:
    model = model_of("v7-bytes")
    assert run(model, b"ab").read == run(model, "ab").read


@pytest.mark.parametrize("count", [1.5, float("nan"), "3", None, -1])
def test_max_tokens_is_a_whole_number(count: Any) -> None:
    with pytest.raises(SettingsError, match="max_tokens"):
        run(model_of("v7"), max_tokens=count)


def test_each_token_of_a_prompt_enters_the_chain_once(monkeypatch: pytest.MonkeyPatch) -> None:
    hashed = 0

    def extend(start: bytes, tokens: Sequence[int]) -> bytes:
        nonlocal hashed
        hashed += len(tokens)
        return real(start, tokens)

    real = chain.extend
    monkeypatch.setattr(chain, "extend", extend)
    model, cache, prompt = model_of("v7"), StateCache(), [1 + i % 50 for i in range(3000)]
    first = run(model, prompt, cache=cache, max_tokens=1)
    assert hashed == 3001
    again = run(model, [*prompt, 3], cache=cache, max_tokens=1)
    assert hashed == 3001 + 2
    assert (first.state, again.state) == (cold(model, prompt, first.tokens), cold(model, prompt, [3], again.tokens))


def test_an_interrupted_step_ends_the_generation() -> None:
    """Its state may be a token ahead of what is known of it, so that going on would be silently wrong."""
    model = model_of("v7")

    class Interrupted:
        name, threads, calls = "interrupted", 1, 0

        def run(self, *given: Any) -> np.ndarray:
            out = model.executor.run(*given)
            self.calls += 1
            if self.calls == 3:
                raise KeyboardInterrupt
            return out

    job = generate(replace(model, executor=Interrupted()), Request(PROMPT, max_tokens=9, stop_tokens=()))
    with pytest.raises(KeyboardInterrupt):
        job.result()
    with pytest.raises(RookeryError, match="begin it again"):
        job.result()
    assert job.finish == "error"
    assert job.state is None
