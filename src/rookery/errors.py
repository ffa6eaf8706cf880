"""
Everything that rookery raises on purpose.

RookeryError
  FormatError          a file is not what it claims
    TruncatedFile        it ends too early
    UnsafeFile           it asks for something a weight file must never ask for
    MissingTensor        a tensor the version needs is absent
    UnknownTensor        a tensor that no known version has
  UnsupportedError     valid, but not implemented here
  MissingExtra         an optional dependency is absent
  StateError           a state does not fit the model or the request
  TokenError           a token id or text that the vocabulary cannot represent
  SettingsError        an impossible or contradictory option
    StrategyError        a malformed strategy string (in rookery.compat.rwkv)
  NumericError         a computation produced NaN or infinity

Every message names the thing, says what was expected, and what to do.
"""

from __future__ import annotations

__all__ = [
    "FormatError",
    "MissingExtra",
    "MissingTensor",
    "NumericError",
    "RookeryError",
    "SettingsError",
    "StateError",
    "TokenError",
    "TruncatedFile",
    "UnknownTensor",
    "UnsafeFile",
    "UnsupportedError",
]


class RookeryError(Exception):
    """The base class: catch this to catch whatever rookery raises on purpose."""


class FormatError(RookeryError):
    """A file is not what it claims to be."""

    @classmethod
    def damaged(cls, name: str, origin: str = "") -> FormatError:
        """For a tensor whose checksum is wrong."""
        return cls(
            f"{origin + ': ' if origin else ''}tensor {name!r} is not what was written: its checksum is wrong; fetch "
            "the file again or convert it again from its source"
        )


class TruncatedFile(FormatError):
    """A file ends before the data its header promises."""


class UnsafeFile(FormatError):
    """A file asks for code or resources that a weight file has no business with."""


class MissingTensor(FormatError):
    """A checkpoint lacks a tensor that its version needs."""


class UnknownTensor(FormatError):
    """A checkpoint holds a tensor that no known version has."""


class UnsupportedError(RookeryError):
    """The input is valid, but this is not implemented here."""


class MissingExtra(RookeryError):
    """An optional dependency is absent; the message says how to install it."""


class StateError(RookeryError):
    """A state does not fit the model, or a state file is damaged."""


class TokenError(RookeryError):
    """A token id or a text that the vocabulary cannot represent."""


class SettingsError(RookeryError):
    """An impossible or contradictory setting."""


class NumericError(RookeryError):
    """A computation produced NaN or infinity."""

    @classmethod
    def in_tensor(cls, name: str, origin: str = "") -> NumericError:
        """For a weight that is NaN or infinite."""
        return cls(
            f"{origin + ': ' if origin else ''}tensor {name!r} holds NaN or infinity; the file is damaged or the "
            "training diverged, use another checkpoint"
        )
