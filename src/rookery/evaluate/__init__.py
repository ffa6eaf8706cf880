"""Measuring models."""

from rookery.evaluate.perplexity import Perplexity, perplexity

__all__ = ["Perplexity", "perplexity"]
