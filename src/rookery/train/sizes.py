"""The dial: a size, and a recipe that is sensible for it."""

from __future__ import annotations

from dataclasses import dataclass

from rookery.config import Config
from rookery.errors import SettingsError
from rookery.initialise import make_config

__all__ = ["SIZES", "Size", "size_named"]

RATE = 0.45  # of the width's inverse: the peak learning rate, as BlinkDL's guide has it
FINAL_RATE = 0.04


@dataclass(frozen=True, slots=True)
class Size:
    """Shapes, and what a step of training reads.

    layers, width, head_size: of the model.
    vocab: of the vocabulary that suits it: a large one drowns a small model.
    tokens_per_batch, context: of a step, and of the longest stretch read in one piece.
    about: how long it takes, in words.
    """

    layers: int
    width: int
    head_size: int
    vocab: int
    tokens_per_batch: int
    context: int
    about: str

    @property
    def rate(self) -> float:
        """The peak learning rate."""
        return RATE / self.width

    @property
    def final_rate(self) -> float:
        return FINAL_RATE / self.width

    def config(self, version: str, vocab: int) -> Config:
        heads = self.width if version == "4" else self.head_size  # RWKV-4 has none
        return make_config(version, layers=self.layers, width=self.width, vocab=vocab, head_size=heads)


SIZES = {
    "smoke": Size(2, 64, 32, 512, 2048, 128, "a minute: does it work at all?"),
    "nano": Size(4, 128, 32, 1024, 4096, 256, "half an hour on two cores"),
    "micro": Size(4, 192, 32, 2048, 4096, 256, "an hour or two on two cores"),
    "mini": Size(6, 256, 64, 4096, 8192, 512, "a night on two cores"),
    "small": Size(8, 384, 64, 8192, 16384, 512, "a weekend on eight cores, an hour on a GPU"),
    "base": Size(12, 768, 64, 65536, 32768, 1024, "0.2 billion parameters: a GPU"),
}


def size_named(name: str) -> Size:
    """SettingsError for a name that is none."""
    if name not in SIZES:
        raise SettingsError(f"size={name!r}: expected one of {', '.join(SIZES)}")
    return SIZES[name]
