"""Everything is trained."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from rookery.tokenizer import Tokenizer
from rookery.train.export import MODEL, export
from rookery.train.model import TrainedModel
from rookery.train.sizes import FINAL_RATE, RATE

__all__ = ["Full"]

_GENTLE = 0.1  # of a new model's rate: what is there is not to be forgotten


@dataclass(frozen=True, slots=True)
class Full:
    """All parameters.  base: fingerprint of the model it goes on from."""

    base: str = ""

    def prepare(self, model: TrainedModel) -> None:
        """A model comes with all of it trained."""

    def write(self, model: TrainedModel, folder: Path, tokenizer: Tokenizer | None = None) -> None:
        export(model, folder / MODEL, tokenizer)

    def rates(self, width: int) -> tuple[float, float]:
        return _GENTLE * RATE / width, _GENTLE * FINAL_RATE / width

    def described(self) -> dict[str, Any]:
        return {"name": "full", **asdict(self)}
