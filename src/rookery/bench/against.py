"""Measurements of a peer: what to run for each of ours, and what the two together say."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from rookery.bench.peer import Peer
    from rookery.bench.speed import Settings, Spread
    from rookery.model import Model

__all__ = ["Comparison"]

_WARM_UP = 3  # calls before anything counts; compilers of other packages need as many
_HOPELESS = 0.8  # of the fastest configuration's speed: a slower one is not measured again


class Comparison:
    """A peer on the tokens that rookery is measured with.

    prompt, steps: token ids to read at once, and one by one.
    """

    def __init__(self, peer: Peer, settings: Settings, prompt: Sequence[int], steps: Sequence[int]) -> None:
        self.peer, self.prompt, self.steps = peer, prompt, steps
        self.batches = settings.batches if peer.batches else ()
        self.few = steps[: settings.batch_steps]

    def warm_up(self) -> None:
        for configuration in self.peer.configurations:
            for _ in range(_WARM_UP):
                self.peer.prefill(configuration, self.prompt[:16])
                self.peer.decode(configuration, self.steps[:2])
            for batch in self.batches:
                self.peer.batched(configuration, self.steps[:2], batch)

    def actions(self) -> Iterator[tuple[str, str, Callable[[], float]]]:
        """(our measurement it belongs to, its own name, run once and return tokens per second)."""
        for configuration in self.peer.configurations:
            for metric, run in self._of(configuration):
                yield metric, _name(metric, configuration), run

    def _of(self, configuration: str) -> Iterator[tuple[str, Callable[[], float]]]:
        peer, prompt, steps, few = self.peer, self.prompt, self.steps, self.few
        yield "prefill", lambda: len(prompt) / peer.prefill(configuration, prompt)
        yield "decode", lambda: len(steps) / peer.decode(configuration, steps)
        for batch in self.batches:
            yield f"batch {batch}", lambda b=batch: b * len(few) / peer.batched(configuration, few, b)  # type: ignore[misc]

    def slow(self, spreads: Mapping[str, Spread]) -> set[str]:
        """The configurations, by measurement, that are too slow for further rounds to change which is the fastest."""
        found = set()
        for metric in ("prefill", "decode", *(f"batch {batch}" for batch in self.batches)):
            medians = {name: spreads[name].median for name in (_name(metric, c) for c in self.peer.configurations)}
            found |= {name for name, median in medians.items() if median < _HOPELESS * max(medians.values())}
        return found

    def summary(self, spreads: Mapping[str, Spread]) -> dict[str, Any]:
        """For the result: "peer", and "ratios", ours over its medians, those of its fastest configuration."""
        single = {metric: self._best(metric, spreads) for metric in ("prefill", "decode")}
        batched = {str(batch): self._best(f"batch {batch}", spreads) for batch in self.batches}
        ratios = {metric: spreads[metric].median / best["median"] for metric, best in single.items()}
        together = {batch: spreads[f"batch {batch}"].median / best["median"] for batch, best in batched.items()}
        return {
            "peer": {"name": self.peer.name, **single, "batched": batched, **self.peer.about},
            "ratios": {**ratios, "batched": together},
        }

    def _best(self, metric: str, spreads: Mapping[str, Spread]) -> dict[str, Any]:
        """Of the fastest configuration, with the medians of all where there are several."""
        found = {name: spreads[_name(metric, name)] for name in self.peer.configurations}
        best = max(found, key=lambda name: found[name].median)
        summary: dict[str, Any] = dict(found[best].summary())
        if len(found) > 1:
            summary |= {"configuration": best, "medians": {name: spread.median for name, spread in found.items()}}
        return summary

    def logits_difference(self, model: Model) -> float:
        """The largest difference of logits after a few tokens, relative to their largest: both compute one model."""
        tokens = [i % model.config.vocab for i in range(1, 20)]
        ours = model.forward(tokens)[0]
        return max(_difference(ours, self.peer.logits(name, tokens)) for name in self.peer.configurations)


def _difference(ours: np.ndarray, logits: Sequence[float]) -> float:
    theirs = np.asarray(logits)
    return float(np.max(np.abs(ours - theirs)) / np.max(np.abs(theirs)))


def _name(metric: str, configuration: str) -> str:
    return f"peer {metric} {configuration}"
