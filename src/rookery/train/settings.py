"""What a training run is told, as one value: checked when it is made, kept beside the checkpoints."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, fields
from typing import Any

from rookery.errors import SettingsError

__all__ = ["Settings"]


@dataclass(frozen=True, slots=True)
class Settings:
    """How a run goes.

    steps:            optimizer steps in all.
    tokens_per_batch: tokens of a step, over all processes and micro-batches.
    micro_batches:    parts that a step's batch is cut into, to save memory; the result is the same up to rounding.
    context:          the longest stretch of a document that gradients know of.
    segment:          tokens that a process keeps at once, 0 for all; more go in passes, with the same result (`long`).
    truncate:         end gradients where such a pass ends: less work, and wrong.
    rate, final_rate: learning rate at the top of the schedule and at its end.
    warmup:           steps until the rate is at its top.
    weight_decay:     of the matrices.
    clip:             gradients are scaled down to this norm.
    flatten:          L2Wrap's factor (`loss.cross_entropy`); 0 leaves it out.
    half:             multiply matrices in bfloat16.
    recompute:        keep only what enters each block; slower, less memory.
    seed:             of the order of the data, and of new parameters.
    most_skipped:     steps in a row that may be skipped for gradients that are not finite.
    validate_every, save_every: in steps; 0 means only at the end.
    validation_tokens: to validate on, of each source at most.
    keep:             checkpoints to keep.
    """

    steps: int
    tokens_per_batch: int = 4096
    micro_batches: int = 1
    context: int = 512
    segment: int = 0
    truncate: bool = False
    rate: float = 1e-3
    final_rate: float = 1e-4
    warmup: int = 20
    weight_decay: float = 0.1
    clip: float = 1.0
    flatten: float = 1e-4
    half: bool = False
    recompute: bool = False
    seed: int = 0
    most_skipped: int = 20
    validate_every: int = 100
    save_every: int = 100
    validation_tokens: int = 65536
    keep: int = 2

    def __post_init__(self) -> None:
        for name in ("steps", "tokens_per_batch", "micro_batches", "context", "keep", "validation_tokens"):
            self._check(name, getattr(self, name) >= 1, "at least 1")
        for name in ("segment", "warmup", "validate_every", "save_every", "most_skipped", "seed"):
            self._check(name, getattr(self, name) >= 0, "0 or more")
        self._check("rate", 0 < self.rate < 10, "more than 0 and less than 10")
        self._check("final_rate", 0 <= self.final_rate <= self.rate, f"from 0 to the rate, {self.rate}")
        self._check("weight_decay", 0 <= self.weight_decay < 100, "0 to 100")
        self._check("clip", self.clip > 0, "more than 0")
        self._check("flatten", 0 <= self.flatten < 1, "0 to 1")
        self._check("truncate", self.segment > 0 or not self.truncate, "False, or a segment to truncate at")
        self._check("micro_batches", self.micro_batches <= self.tokens_per_batch, "no more than tokens_per_batch")

    def _check(self, name: str, holds: bool, expected: str) -> None:
        if not holds:
            raise SettingsError(f"{name}={getattr(self, name)!r}: expected {expected}")

    def as_json(self) -> str:
        return json.dumps(asdict(self), indent=1)

    @classmethod
    def from_json(cls, text: str) -> Settings:
        """SettingsError for fields this version does not know."""
        found: dict[str, Any] = json.loads(text)
        unknown = set(found) - {field.name for field in fields(cls)}
        if unknown:
            raise SettingsError(f"unknown training settings {', '.join(sorted(unknown))}: made by another version")
        return cls(**found)
