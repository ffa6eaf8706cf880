"""
RWKV of the `rwkv` package over `rookery.load`.

Everything is computed in float32 on the CPU from the weights as they are stored, whatever number type the strategy
names; docs/compatibility.md lists what else differs.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import numpy.typing as npt

from rookery.compat.rwkv import strategy as strategies
from rookery.errors import TokenError, UnsupportedError
from rookery.model import Model, load
from rookery.otherstates import rwkv_numbers, rwkv_views
from rookery.tokenizer import Tokenizer
from rookery.weights import Tensor

__all__ = ["RWKV"]

_VERSIONS = {"4": 4, "5.0": 5, "5.1": 5.1, "5.2": 5.2, "6": 6, "7": 7}  # as the package numbers them


class RWKV:
    """A model as scripts for the `rwkv` package know it.

    model:    path of a model in any supported format; ".pth" may be left out.
    strategy: such as "cpu fp32".  StrategyError, which is a ValueError, when it is malformed; UnsupportedError for
              devices other than the CPU and for i8, i4 and i3.
    verbose:  print what is loaded.
    convert_and_save_and_exit: not supported; models need no conversion.

    args, version, n_layer, n_embd, n_head, head_size: as in the package.
    w, z:     the weights as float32 arrays by official name, decoded when asked for, as the file has them: not
              transposed, scaled or merged as the package's are.
    model:    the `rookery.Model` underneath.
    """

    def __init__(
        self, model: str | os.PathLike[str], strategy: str, verbose: bool = True, convert_and_save_and_exit: Any = None
    ) -> None:
        parts = strategies.parse(strategy)
        strategies.check_runs_here(parts)
        if convert_and_save_and_exit is not None:
            raise UnsupportedError(
                "convert_and_save_and_exit is not supported: a model is loaded for any strategy as it is; leave it out"
            )
        _warn_of_switches()
        path = _path(model)
        if verbose:
            print(f"Loading {path} ({strategy})")
        self.model = load(path, tokenizer=_NoVocabulary())
        self.version = _VERSIONS[self.model.config.version]
        self.args = _args(self.model, path, " -> ".join(map(str, parts)))
        self.n_layer, self.n_embd = self.args.n_layer, self.args.n_embd
        self.n_head, self.head_size = self.args.n_head, self.args.head_size
        self.w = self.z = _Weights(self.model.checkpoint.tensors)
        if verbose:
            print(f"Model detected: v{self.version:.1f}, {self.n_layer} layers, width {self.n_embd}")

    def generate_zero_state(self) -> list[np.ndarray]:
        """The state before any token, without a tuned initial state."""
        return rwkv_views(self.model.layout, self.model.layout.zeros())

    def forward(
        self, tokens: int | Sequence[int] | npt.ArrayLike, state: list[Any] | None, full_output: bool = False
    ) -> tuple[np.ndarray, list[np.ndarray]]:
        """Read tokens.

        tokens: one id, or a sequence of at least one.
        state:  what an earlier call returned, or a list of the package's; None begins a text, with the tuned
                initial state if the model's file has one.
        Returns the logits, float32 (vocab,), or (tokens, vocab) with `full_output` and more than one token; and the
        state.  As in the package, up to v6 that is the list given, its elements exchanged; v7 leaves that list alone.
        """
        ids = self.model.check_tokens(_ids(tokens))
        layout = self.model.layout
        flat = self.model.initial.data.copy() if state is None else rwkv_numbers(layout, state)
        every = full_output and len(ids) > 1
        wanted = np.arange(0 if every else len(ids) - 1, len(ids), dtype=np.int32)
        logits = self.model.executor.run(ids, [len(ids)], [flat], wanted)
        views = rwkv_views(layout, flat)
        if isinstance(state, list) and self.version < 7:
            state[:] = views
            views = state
        return (logits if every else logits[0]), views

    __call__ = forward


class _Weights(Mapping[str, np.ndarray]):
    """Read-only: names to arrays, each decoded anew when it is asked for."""

    def __init__(self, tensors: Mapping[str, Tensor]) -> None:
        self._tensors = tensors

    def __getitem__(self, name: str) -> np.ndarray:
        numbers = np.array(self._tensors[name].numpy())
        numbers.flags.writeable = False
        return numbers

    def __iter__(self) -> Iterator[str]:
        return iter(self._tensors)

    def __len__(self) -> int:
        return len(self._tensors)


class _NoVocabulary(Tokenizer):
    """RWKV takes ids; text is PIPELINE's, which has a tokenizer of its own."""

    name = "none"
    vocab_size = 0
    fingerprint = ""

    def encode_array(self, text: Any) -> npt.NDArray[np.int32]:
        raise TokenError("a model loaded through rookery.compat has no vocabulary; use PIPELINE or rookery.load")

    def decode_bytes(self, ids: Iterable[int]) -> bytes:
        raise TokenError("a model loaded through rookery.compat has no vocabulary; use PIPELINE or rookery.load")


def _args(model: Model, path: Path, strategy: str) -> SimpleNamespace:
    c = model.config
    return SimpleNamespace(
        MODEL_NAME=str(path),
        strategy_string=strategy,
        n_layer=c.layers,
        n_embd=c.width,
        n_att=c.width,
        n_ffn=c.ffn,
        n_head=c.heads,
        head_size=c.head_size,
        vocab_size=c.vocab,
        time_state=bool(model.checkpoint.initial_state),
    )


def _path(model: str | os.PathLike[str]) -> Path:
    """The file meant: the package takes names without their ".pth"."""
    given = os.fspath(model).strip()
    full = Path(given + ".pth")
    return full if not given.endswith(".pth") and full.is_file() else Path(given)


def _ids(tokens: Any) -> Any:
    return [tokens] if isinstance(tokens, int | np.integer) else tokens


def _warn_of_switches() -> None:
    if os.environ.get("RWKV_CUDA_ON") == "1":
        warnings.warn(
            "RWKV_CUDA_ON=1 has no effect in rookery.compat: everything runs on the CPU",
            RuntimeWarning,
            stacklevel=3,
        )
