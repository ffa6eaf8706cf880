"""How good a model is; how fast it runs is `rookery.bench`."""

from rookery.evaluate.perplexity import Perplexity, perplexity

__all__ = ["Perplexity", "perplexity"]
