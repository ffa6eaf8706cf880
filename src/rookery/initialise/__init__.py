"""
New models: what training starts from, and stand-ins for trained ones.

`make_config` chooses the sizes, `initialise` gives the checkpoint a trainer begins with, `random_model` one with the
statistics of a trained model (nothing zero, realistic decays) for tests and benchmarks.  Every tensor is made when it
is loaded, from the seed and its own name, so a model larger than the memory can be written tensor by tensor.
"""

from __future__ import annotations

from rookery.initialise.fresh import initialise
from rookery.initialise.sizes import RELEASED, make_config, released_config
from rookery.initialise.trained import random_model

__all__ = ["RELEASED", "initialise", "make_config", "random_model", "released_config"]
