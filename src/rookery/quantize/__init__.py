"""
Quantising: a model in fewer bits, and what that cost.

    card = quantize("model.pth", "model.gguf", "q4_k_m")

recipes.py    which tensor gets which weight format
encoding.py   a checkpoint in these formats, encoded as it is read
calibrate.py  how much each column of a matrix counts, from a text
quality.py    a model beside its source: KL divergence, perplexity, agreement
card.py       what is written down about it
writing.py    all of it, in order
"""

from __future__ import annotations

from rookery.quantize.calibrate import second_moments
from rookery.quantize.card import Card, card_in
from rookery.quantize.encoding import quantized
from rookery.quantize.quality import Quality, compare
from rookery.quantize.recipes import RECIPES, Recipe, plan, recipe
from rookery.quantize.writing import Text, Texts, quantize, sample

__all__ = [
    "RECIPES",
    "Card",
    "Quality",
    "Recipe",
    "Text",
    "Texts",
    "card_in",
    "compare",
    "plan",
    "quantize",
    "quantized",
    "recipe",
    "sample",
    "second_moments",
]
