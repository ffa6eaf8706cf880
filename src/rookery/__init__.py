"""
Rookery: the home of all the RWKV birds.

    model = rookery.load("model.pth")
    for piece in model.generate("Once upon a time", rookery.Sampler(temperature=0.8), max_tokens=64):
        print(piece.text, end="")

Everything public is named here and loaded when it is first used.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rookery.cache import StateCache
    from rookery.chat import Chat
    from rookery.config import Config
    from rookery.engine import Engine
    from rookery.errors import RookeryError
    from rookery.formats import open_checkpoint, save_checkpoint
    from rookery.generation import Generation, Piece, Request
    from rookery.model import Model, load
    from rookery.sampling import Sampler
    from rookery.state import State
    from rookery.tokenizer import load_tokenizer

__version__ = "0.1.0"

__all__ = [
    "Chat",
    "Config",
    "Engine",
    "Generation",
    "Model",
    "Piece",
    "Request",
    "RookeryError",
    "Sampler",
    "State",
    "StateCache",
    "load",
    "load_tokenizer",
    "open_checkpoint",
    "save_checkpoint",
]

_HOMES = {
    "Chat": "rookery.chat",
    "Config": "rookery.config",
    "Engine": "rookery.engine",
    "Generation": "rookery.generation",
    "Model": "rookery.model",
    "Piece": "rookery.generation",
    "Request": "rookery.generation",
    "RookeryError": "rookery.errors",
    "Sampler": "rookery.sampling",
    "State": "rookery.state",
    "StateCache": "rookery.cache",
    "load": "rookery.model",
    "load_tokenizer": "rookery.tokenizer",
    "open_checkpoint": "rookery.formats",
    "save_checkpoint": "rookery.formats",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'rookery' has no attribute {name!r}")
    value = getattr(importlib.import_module(_HOMES[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted([*__all__, "__version__"])
