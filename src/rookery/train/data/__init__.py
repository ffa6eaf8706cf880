"""
Training data: documents, their tokens on disk, and batches that are a function of the step.

sources/          documents from files and data sets
conversations.py  conversations as documents: what is learned of them
encoding.py       one document as tokens
writing.py        a folder of tokens, written
tokens.py         the same, mapped
tokenising.py     from documents to tokens, once
parts.py          what is trained on, what is held out
order.py          shuffles without shuffling
stream.py         one source in the order of training
batches.py        batches of all sources
passage.py        once through, to validate
show.py           a batch for people

Knows nothing of torch, models or optimisers.
"""

from rookery.train.data.batches import Batch, Batches, Weighted, micro
from rookery.train.data.parts import Part, split
from rookery.train.data.passage import Passage, bytes_learned, token_sizes
from rookery.train.data.show import show_batch
from rookery.train.data.sources import Options, open_sources
from rookery.train.data.tokenising import Settings, tokenised
from rookery.train.data.tokens import Tokens

__all__ = [
    "Batch",
    "Batches",
    "Options",
    "Part",
    "Passage",
    "Settings",
    "Tokens",
    "Weighted",
    "bytes_learned",
    "micro",
    "open_sources",
    "show_batch",
    "split",
    "token_sizes",
    "tokenised",
]
