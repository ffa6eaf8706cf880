"""
How a model is fine-tuned: what is trained of it, and what becomes of that.

A method is a value with

    prepare(model)         adds what is to be trained and freezes the rest
    write(model, folder)   the files a run leaves: the model, or what it learnt apart from it
    rates(width)           learning rate at the top of the schedule and at its end

and there is one training loop for all.  A new method is one file with such a class, and a line in `METHODS`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from rookery.errors import SettingsError
from rookery.tokenizer import Tokenizer
from rookery.train.methods.full import Full
from rookery.train.methods.lora import TARGETS, Lora
from rookery.train.methods.parts import adapter_of, load_adapter, trained
from rookery.train.methods.state import StateTuning
from rookery.train.model import TrainedModel

__all__ = [
    "METHODS",
    "TARGETS",
    "Full",
    "Lora",
    "Method",
    "StateTuning",
    "adapter_of",
    "load_adapter",
    "method_named",
    "trained",
]


class Method(Protocol):
    """See the module's text."""

    def prepare(self, model: TrainedModel) -> None: ...

    def write(self, model: TrainedModel, folder: Any, tokenizer: Tokenizer | None = None) -> None: ...

    def rates(self, width: int) -> tuple[float, float]: ...

    def described(self) -> dict[str, Any]:
        """What a run that is resumed must have in common, as JSON."""


METHODS: Mapping[str, Any] = {"full": Full, "lora": Lora, "state": StateTuning, "lora+state": Lora}


def method_named(name: str, **options: Any) -> Method:
    """A method with its options; SettingsError for names and options that are none."""
    if name not in METHODS:
        raise SettingsError(f"method {name!r}: expected one of {', '.join(METHODS)}")
    given = {option: value for option, value in options.items() if value is not None}
    given |= {"state": True} if name == "lora+state" else {}
    known = METHODS[name].__dataclass_fields__
    unknown = [option for option in given if option not in known]
    if unknown:
        raise SettingsError(f"method {name!r} has no {', '.join(unknown)}; leave it out, or choose another method")
    method: Method = METHODS[name](**given)
    return method
