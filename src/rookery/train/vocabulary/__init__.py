"""
Small vocabularies, made for some data: a model of a few million parameters drowns in 65,536 tokens.

words.py       what the data consist of: words and how often
candidates.py  stretches of words that occur often
search.py      which of them to take, for greedy longest match
training.py    from sources to a vocabulary
"""

from rookery.train.vocabulary.training import Trained, train_vocabulary

__all__ = ["Trained", "train_vocabulary"]
