"""
A model, loaded: tokens in, logits and states out.

Knows weights, executors and states; knows nothing of sampling, prompts or files' insides.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from rookery.builtin import GOSLING, gosling
from rookery.config import Config
from rookery.errors import FormatError, NumericError, RookeryError, SettingsError, StateError, TokenError
from rookery.fingerprint import fingerprint
from rookery.formats import Checkpoint, open_checkpoint
from rookery.layout import StateLayout, aligned_copy
from rookery.parameters import parameters
from rookery.state import State

if TYPE_CHECKING:
    from rookery.adapter import Adapter
    from rookery.engine import Generation
    from rookery.sampling import Sampler
    from rookery.tokenizer import Tokenizer

__all__ = ["Executor", "Model", "load"]


class Executor(Protocol):
    """Runs a model for a ragged batch; see `NativeExecutor.run`."""

    name: str

    @property
    def threads(self) -> int: ...

    def run(
        self, tokens: np.ndarray, lengths: Sequence[int], states: Sequence[np.ndarray], wanted: np.ndarray
    ) -> np.ndarray: ...

    def hidden(
        self, tokens: np.ndarray, lengths: Sequence[int], states: Sequence[np.ndarray], wanted: np.ndarray
    ) -> np.ndarray: ...


@dataclass(slots=True, eq=False)
class Model:
    """A loaded model.

    config, layout: sizes, and what its states look like.
    executor:    what runs it; `executor.run` is the whole boundary.
    tokenizer:   its vocabulary.
    fingerprint: identifies the weights; states carry it.
    initial:     the state a fresh text begins with: zeros, or a tuned state.
    checkpoint:  the file it came from.
    """

    config: Config
    layout: StateLayout
    executor: Executor
    tokenizer: Tokenizer
    fingerprint: str
    initial: State
    checkpoint: Checkpoint

    def __repr__(self) -> str:
        c = self.config
        return f"Model(RWKV-{c.version} {c.bird}, layers={c.layers}, width={c.width}, vocab={c.vocab})"

    def __str__(self) -> str:
        c = self.config
        return f"RWKV-{c.version} {c.bird}, {c.layers} layers of {c.width}, vocabulary {c.vocab}"

    def forward(
        self, tokens: Sequence[int] | np.ndarray, state: State | None = None, *, full: bool = False
    ) -> tuple[np.ndarray, State]:
        """Read tokens.

        tokens: ids, at least one.  state: where to go on from; the model's initial state if None.
        Returns the logits after the last token, float32 (vocab,), or after every token, (tokens, vocab), with
        `full`; and the new state.  The given state is not changed.
        """
        ids = self.check_tokens(tokens)
        start = self.check_state(state)
        data = aligned_copy(start.data)
        wanted = np.arange(0 if full else len(ids) - 1, len(ids), dtype=np.int32)
        logits = self.executor.run(ids, [len(ids)], [data], wanted)
        data.flags.writeable = False  # nobody else has it, so the state need not copy it again
        return (logits if full else logits[0]), start.advanced(data, ids.tolist())

    def check_tokens(self, tokens: Sequence[int] | np.ndarray) -> np.ndarray:
        """The tokens as int32, or TokenError naming the first that the model does not have."""
        try:
            given = np.asarray(tokens)
        except (TypeError, ValueError):  # nested sequences of different lengths
            given = np.empty(0)
        if given.ndim != 1 or given.size == 0 or not np.issubdtype(given.dtype, np.integer):
            raise TokenError(f"expected a non-empty sequence of token ids, got {str(tokens)[:60]}")
        bad = np.flatnonzero((given < 0) | (given >= self.config.vocab))
        if bad.size:
            raise TokenError(
                f"token {given[bad[0]]} at position {bad[0]} is outside the model's vocabulary of {self.config.vocab}"
            )
        return np.ascontiguousarray(given, np.int32)

    def check_state(self, state: State | None) -> State:
        """The state, or the initial one for None; StateError when it belongs to another model."""
        if state is None:
            return self.initial
        if not isinstance(state, State):
            raise StateError(f"expected a State, got {type(state).__name__}; use State.from_rwkv for lists of arrays")
        theirs, ours = state.layout.config.group_norm_eps, self.config.group_norm_eps
        if state.model != self.fingerprint and theirs != ours:
            raise StateError(
                f"the state was made with group_norm_eps={theirs:g}, but the model is loaded with {ours:g}; "
                "use the same"
            )
        state.belongs_to(self.fingerprint, self.tokenizer.fingerprint)
        return state

    def tuned(self, path: str | Path, *, transposed: bool = False) -> State:
        """An initial state learnt by state tuning, from a .pth or safetensors file with `time_state` tensors."""
        from rookery.formats import read_tensors

        tensors = {name: tensor.numpy() for name, tensor in read_tensors(path).items()}
        return State.from_time_state(
            self.layout, tensors, self.fingerprint, self.tokenizer.fingerprint, transposed=transposed
        )

    def generate(
        self,
        prompt: str | Sequence[int],
        sampler: Sampler | None = None,
        *,
        max_tokens: int = 256,
        stop: Sequence[str] = (),
        state: State | None = None,
    ) -> Generation:
        """Continue a text, piece by piece.

        prompt: text or token ids.  Iterate over the result for pieces of text; its `state` is afterwards exactly
        that of the prompt and the kept text, `text` all of it.  For many texts at once see `rookery.Engine`.
        """
        from rookery.engine import Request, generate

        return generate(self, Request(prompt, sampler, max_tokens=max_tokens, stop=stop, state=state))

    def with_initial(self, state: State) -> Model:
        """The same model whose texts begin with another state, such as a tuned one."""
        return replace(self, initial=self.check_state(state))


def load(
    path: str | Path | Checkpoint,
    *,
    threads: int = 0,
    tokenizer: Tokenizer | str | Path | None = None,
    executor: str = "native",
    group_norm_eps: float | None = None,
    progress: Callable[[int, int], None] | None = None,
    sparse: str = "auto",
    adapter: Adapter | str | Path | None = None,
    adapter_alpha: float | None = None,
) -> Model:
    """Load a model from any supported file or directory; what it is, is decided by its content.

    path:      or "gosling", the built-in model, where no file has that name; or a checkpoint that is open already, such
               as one that `rookery.quantize.quantized` made.
    threads:   0 for every processor this process may use.
    tokenizer: a tokenizer, "world", or a path to a vocabulary; by default the file's own, else the one that fits.
    executor:  "native", or "numpy" (float64, slow: the oracle).
    group_norm_eps: for v5 and later; 64e-5 unless a tool with another definition made the model.
    progress:  called with (matrices done, matrices in all) while loading.
    sparse:    whether to skip zeros in the channel mix, which changes no bit: "auto" in the layers where the file says
               that it pays (`rookery quantize` counts them), "always" or "never".  Only Q8_0 matrices can.
    adapter:   what fine-tuning learnt: a file of low-rank changes (LoRA), tuned states or both.  Matrices it changes
               are merged while they are loaded: in F32 where the model is, otherwise in F16.
    adapter_alpha: the scale of the changes times their rank, where the file does not say it (RWKV-PEFT's).
    """
    checkpoint = path if isinstance(path, Checkpoint) else open_checkpoint(_place(path))
    checkpoint = _with_adapter(checkpoint, adapter, adapter_alpha)
    config = _config(checkpoint, group_norm_eps)
    words = _tokenizer(tokenizer, checkpoint, config)
    layout = StateLayout(config)
    mark = fingerprint(checkpoint, config)
    try:
        runs = _executor(executor, layout, checkpoint, threads, progress, sparse)
    except (NumericError, FormatError) as error:
        raise _located(error, checkpoint.path) from None
    model = Model(
        config=config,
        layout=layout,
        executor=runs,
        tokenizer=words,
        fingerprint=mark,
        initial=State(layout, layout.zeros(), mark, words.fingerprint),
        checkpoint=checkpoint,
    )
    if checkpoint.initial_state:
        tuned = {name: tensor.numpy() for name, tensor in checkpoint.initial_state.items()}
        model.initial = State.from_time_state(layout, tuned, mark, words.fingerprint)
    return model


def _with_adapter(checkpoint: Checkpoint, adapter: Adapter | str | Path | None, alpha: float | None) -> Checkpoint:
    if adapter is None and alpha is None:
        return checkpoint
    if adapter is None:
        raise SettingsError(f"adapter_alpha={alpha}: there is no adapter to scale; give one, or leave it out")
    from rookery.adapter import Adapter, adapted, read_adapter

    return adapted(checkpoint, adapter if isinstance(adapter, Adapter) else read_adapter(adapter), alpha)


def _place(path: str | Path) -> str | Path:
    return gosling() if str(path) == GOSLING and not Path(path).is_file() else path


def _located(error: RookeryError, path: Path) -> RookeryError:
    """The same error, beginning with the file it is about."""
    text = str(error)
    return error if text.startswith(str(path)) else type(error)(f"{path}: {text}")


def _config(checkpoint: Checkpoint, group_norm_eps: float | None) -> Config:
    assert checkpoint.config is not None  # open_checkpoint has filled it in
    if group_norm_eps is None:
        return checkpoint.config
    if not 0 < group_norm_eps < 1:
        raise SettingsError(f"group_norm_eps={group_norm_eps}: expected a small positive number such as 64e-5")
    return replace(checkpoint.config, group_norm_eps=group_norm_eps)


def _tokenizer(given: Tokenizer | str | Path | None, checkpoint: Checkpoint, config: Config) -> Tokenizer:
    from rookery.tokenizer import Tokenizer, load_tokenizer, tokenizer_for

    if given is None:
        return tokenizer_for(checkpoint.vocabulary, config.vocab)
    return given if isinstance(given, Tokenizer) else load_tokenizer(given)


def _executor(
    name: str, layout: StateLayout, checkpoint: Checkpoint, threads: int, progress: Any, sparse: str
) -> Executor:
    if name == "native":
        from rookery.ops.native import NativeExecutor

        p = parameters(layout.config, checkpoint.tensors)
        skipping = _sparse_layers(sparse, checkpoint, layout.config)
        built = NativeExecutor(layout, p, threads=threads, on_packed=_released(checkpoint, progress), sparse=skipping)
        checkpoint.release()
        return built
    if name == "numpy":
        from rookery.ops.oracle import NumpyExecutor

        return NumpyExecutor(layout, parameters(layout.config, checkpoint.tensors, np.float64))
    raise SettingsError(f"executor {name!r}: expected 'native' or 'numpy'")


def _sparse_layers(sparse: str, checkpoint: Checkpoint, config: Config) -> Collection[int]:
    from rookery.ops.sparsity import paying_layers

    layers: dict[str, Collection[int]] = {"never": (), "always": range(config.layers)}
    if sparse not in ("auto", *layers):
        raise SettingsError(f"sparse={sparse!r}: expected 'auto', 'always' or 'never'")
    return paying_layers(checkpoint.metadata) if sparse == "auto" else layers[sparse]


def _released(checkpoint: Checkpoint, progress: Callable[[int, int], None] | None) -> Callable[[int, int], None]:
    def report(done: int, total: int) -> None:
        checkpoint.release()
        if progress:
            progress(done, total)

    return report
