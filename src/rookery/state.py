"""
A state is a thing: everything a model remembers of a text, as one small immutable value.

It knows which model and vocabulary it belongs to, how many tokens it has read, and the hash chain over them.  It
can be kept, forked, saved, shipped and compared; its size depends on the model alone.  The file format is specified
in docs/state-format.md.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from rookery import chain
from rookery.errors import StateError
from rookery.layout import StateLayout

__all__ = ["State"]


@dataclass(frozen=True, slots=True, eq=False)
class State:
    """What a model remembers after `count` tokens.

    layout:    names and shapes of the arrays inside.
    data:      float32 (layout.size,), read-only.
    model:     fingerprint of the weights it was computed with.
    tokenizer: fingerprint of the vocabulary its tokens are from, "" when unknown.
    count:     tokens read since the initial state.
    chain:     hash chain over those tokens (`rookery.chain`).
    """

    layout: StateLayout
    data: np.ndarray
    model: str
    tokenizer: str = ""
    count: int = 0
    chain: bytes = chain.START

    def __post_init__(self) -> None:
        if self.data.shape != (self.layout.size,) or self.data.dtype != np.float32:
            raise StateError(
                f"a state for {self.layout.config.version} needs {self.layout.size} float32 numbers, "
                f"got {self.data.dtype} {self.data.shape}"
            )
        if self.data.flags.writeable:
            object.__setattr__(self, "data", self.data.copy())
            self.data.flags.writeable = False

    def __reduce__(self) -> tuple[type[State], tuple[Any, ...]]:
        """Pickles and deep copies are built anew, so that they are immutable too."""
        return State, (self.layout, self.data, self.model, self.tokenizer, self.count, self.chain)

    def __repr__(self) -> str:
        return f"State(RWKV-{self.layout.config.version}, {self.count} tokens, {self.data.nbytes / 2**20:.2f} MiB)"

    def __eq__(self, other: object) -> bool:
        """Equal numbers, belonging to the same model, after the same tokens."""
        if not isinstance(other, State):
            return NotImplemented
        mine, theirs = ((s.model, s.tokenizer, s.count, s.chain) for s in (self, other))
        return mine == theirs and np.array_equal(self.data, other.data)

    def __hash__(self) -> int:
        return hash((self.model, self.chain, self.count))

    def clone(self) -> State:
        """A state is immutable, so a fork is the state itself under a second name."""
        return self

    def advanced(self, data: np.ndarray, tokens: Sequence[int]) -> State:
        """The state after `tokens` more, with these numbers."""
        return replace(self, data=data, count=self.count + len(tokens), chain=chain.extend(self.chain, tokens))

    def arrays(self) -> dict[str, np.ndarray]:
        """Views of the arrays by name, `blocks.0.att_x` and so on; wkv is (H, key lane, value lane) from v5 on."""
        return {field.name: field.of(self.data) for field in self.layout.fields}

    def belongs_to(self, model: str, tokenizer: str = "", *, what: str = "the state") -> None:
        """StateError unless the state was computed by this model (and vocabulary, when both are known)."""
        if self.model != model:
            raise StateError(
                f"{what} belongs to model {self.model[:12]}, but the loaded model is {model[:12]}; "
                "load the model it was made with"
            )
        if tokenizer and self.tokenizer and tokenizer != self.tokenizer:
            raise StateError(
                f"{what} was made with vocabulary {self.tokenizer[:12]}, but this one is {tokenizer[:12]}; "
                "use the same vocabulary"
            )

    def diff(self, other: State) -> dict[str, float]:
        """The largest absolute difference of every array, by name; StateError when the shapes differ."""
        mine_is, other_is = ((s.layout.config.version, s.layout.fields) for s in (self, other))
        if mine_is != other_is:
            raise StateError(f"cannot compare {self} with {other}: their models have different sizes")
        mine, theirs = self.arrays(), other.arrays()
        return {name: float(np.max(np.abs(mine[name] - theirs[name]))) for name in mine}

    def save(self, path: str | Path, note: Mapping[str, Any] | None = None) -> None:
        """Write the state to a file, whole or not at all.  See docs/state-format.md.

        note: anything JSON can say, kept beside the state, such as the text it has read; `statefile.note` reads it.
        """
        from rookery import statefile

        statefile.save(self, Path(path), note)

    @staticmethod
    def load(path: str | Path) -> State:
        """Read a state file; StateError or FormatError, naming the file, when it is damaged or something else."""
        from rookery import statefile

        return statefile.load(Path(path))

    @staticmethod
    def from_time_state(
        layout: StateLayout,
        tensors: Mapping[str, np.ndarray],
        model: str,
        tokenizer: str = "",
        *,
        transposed: bool = False,
    ) -> State:
        """A tuned initial state.

        tensors:    `blocks.i.att.time_state`, each (H, N, N): head, value lane, key lane, as the official trainers
                    write them.
        transposed: they are head, key lane, value lane instead.

        StateError where names, shapes or numbers do not fit the model, and for versions without such states.
        """
        from rookery import otherstates

        return otherstates.from_time_state(layout, tensors, model, tokenizer, transposed=transposed)

    @staticmethod
    def from_rwkv(layout: StateLayout, arrays: Sequence[Any], model: str, tokenizer: str = "") -> State:
        """A state in the `rwkv` package's form: a list of 3 (v4: 5) arrays per block.

        The tokens it has read are unknown, so its chain begins with the numbers themselves.
        """
        from rookery import otherstates

        return otherstates.from_rwkv(layout, arrays, model, tokenizer)

    def to_rwkv(self) -> list[np.ndarray]:
        """Fresh arrays in the order and orientation of the `rwkv` package."""
        from rookery import otherstates

        return otherstates.to_rwkv(self)
