"""From the model in training to a file that everything else reads."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import numpy as np

from rookery.formats import Checkpoint, save_checkpoint
from rookery.tokenizer import Tokenizer, WorldTokenizer
from rookery.train import parallel
from rookery.train.model import TrainedModel
from rookery.weights import Tensor

__all__ = ["as_checkpoint", "export"]


def as_checkpoint(model: TrainedModel, tokenizer: Tokenizer | None = None) -> Checkpoint:
    """The model as a checkpoint of float32 tensors, without copying them; with a vocabulary if there is one.

    Of several processes the first one has all tensors, the others have none; all must call it.
    """
    tensors = {
        name: Tensor("F32", tuple(parameter.shape), partial(_numbers, parameter), name)
        for name, parameter in parallel.whole(model).items()
    }
    vocabulary = None
    if isinstance(tokenizer, WorldTokenizer):
        words = ((id, tokenizer.token_bytes(id)) for id in range(tokenizer.vocab_size))
        vocabulary = {id: word for id, word in words if word}
    return Checkpoint(Path("trained"), "new", tensors, vocabulary=vocabulary, config=model.config)


def export(model: TrainedModel, path: Path, tokenizer: Tokenizer | None = None, dtype: str = "F32") -> None:
    """Write the model, whole or not at all, in the format that the suffix names.  For all processes to call."""
    checkpoint = as_checkpoint(model, tokenizer)
    parallel.by_first(lambda: save_checkpoint(checkpoint, path, dtype=dtype))


def _numbers(parameter: object) -> np.ndarray:
    found: np.ndarray = parameter.detach().float().cpu().contiguous().numpy()  # type: ignore[attr-defined]
    return found
