"""
Strategy strings of the `rwkv` package, such as "cuda fp16i8 *10 -> cpu fp32".

    strategy = part { "->" part }
    part     = device " " type [ bits ] [ " *" layers [ "+" ] ]
    device   = "cuda" [ ":" number ] | "cpu" | "mps" | "dml"
    type     = "fp32" | "fp16" | "bf16"
    bits     = "i8" | "i4" | "i3"
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from rookery.errors import SettingsError, UnsupportedError

__all__ = ["Part", "StrategyError", "check_runs_here", "parse"]

_PART = re.compile(r"(cuda(?::[0-9]+)?|cpu|mps|dml) (fp16|fp32|bf16)(i8|i4|i3)?(?: \*([0-9]+)(\+)?)? *")
MAX_LENGTH = 1000  # characters


class StrategyError(SettingsError, ValueError):
    """A strategy string that says nothing; a ValueError too, as in the package."""


@dataclass(frozen=True, slots=True)
class Part:
    """Where some layers are computed, and how.

    device: "cpu", "cuda", "cuda:1" ...   type: "fp32", "fp16", "bf16".   bits: "", "i8", "i4" or "i3".
    layers: how many, None for the rest.  streamed: the layers beyond that are brought to the device one by one.
    """

    device: str
    type: str
    bits: str = ""
    layers: int | None = None
    streamed: bool = False

    def __str__(self) -> str:
        count = "" if self.layers is None else f" *{self.layers}{'+' if self.streamed else ''}"
        return f"{self.device} {self.type}{self.bits}{count}"


def parse(strategy: str) -> tuple[Part, ...]:
    """The parts of a strategy; StrategyError when it is none."""
    if not isinstance(strategy, str) or len(strategy) > MAX_LENGTH:
        raise _bad(strategy)
    found = [_PART.fullmatch(text.lstrip(" ")) for text in strategy.split("->")]
    parts = []
    for match in found:
        if match is None:
            raise _bad(strategy)
        device, type, bits, layers, plus = match.groups()
        parts.append(Part(device, type, bits or "", None if layers is None else int(layers), plus is not None))
    return tuple(parts)


def check_runs_here(parts: tuple[Part, ...]) -> None:
    """UnsupportedError for devices and quantisations that are not to be had.

    A layer on the CPU is the same wherever the strategy puts it, so counts make no difference.
    """
    for part in parts:
        if part.device != "cpu":
            raise UnsupportedError(f"strategy {str(part)!r}: {part.device} is not supported yet; use 'cpu fp32'")
        if part.bits:
            raise UnsupportedError(
                f"strategy {str(part)!r}: weights are not quantised while loading; use 'cpu fp32', or load a model "
                "that was quantised beforehand"
            )


def _bad(strategy: object) -> StrategyError:
    return StrategyError(
        f"strategy {str(strategy)[:80]!r} is invalid; expected for example 'cpu fp32' or 'cuda fp16 *10 -> cpu fp32'"
    )
