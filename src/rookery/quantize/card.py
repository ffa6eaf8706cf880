"""
The quality card: what a quantised file is and what quantising cost, kept in the file's metadata.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from math import isinf
from typing import Any

from rookery.quantize.quality import Quality

__all__ = ["KEY", "Card", "card_in"]

KEY = "rookery.quality"
_MAX = 1 << 16  # characters of a card worth parsing
_MOST = 1 << 63


@dataclass(frozen=True, slots=True)
class Card:
    """One quantised file.

    recipe:     the name of the recipe.
    source:     fingerprint of the model it was made from.
    bytes, bits_per_weight, source_bits_per_weight: of the tensors.
    calibrated: name of the text the recipe was calibrated with, if any.
    measured:   name of the text `quality` was measured on; both None where it was not.
    """

    recipe: str
    source: str
    bytes: int
    bits_per_weight: float
    source_bits_per_weight: float
    calibrated: str | None = None
    measured: str | None = None
    quality: Quality | None = None

    def values(self) -> dict[str, Any]:
        """Everything in one flat dictionary."""
        flat = asdict(self)
        return flat | (flat.pop("quality") or {})

    def metadata(self) -> dict[str, str]:
        """What goes into a file; a perplexity beyond all numbers is null there, since JSON has no infinity."""
        endless = {key: None for key, value in self.values().items() if isinstance(value, float) and isinf(value)}
        return {KEY: json.dumps(self.values() | endless, ensure_ascii=False, allow_nan=False)}


def card_in(metadata: Mapping[str, Any]) -> dict[str, Any] | None:
    """The values of the card that a file carries; None where there is none that can be read."""
    text = metadata.get(KEY)
    if not isinstance(text, str) or len(text) > _MAX:
        return None
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) and all(map(_plain, found.values())) else None


def _plain(value: Any) -> bool:
    """Whether it may be the value of a card; integers that no float can stand for are nobody's."""
    return value is None or isinstance(value, str | float) or (isinstance(value, int) and abs(value) < _MOST)
