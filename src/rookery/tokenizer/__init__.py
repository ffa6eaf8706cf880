"""
Text to token ids and back.

base.py        what every tokenizer does, streaming decoding
greedy.py      greedy longest match: the World tokenizer and any vocabulary that a model brings
pile.py        the byte-level BPE of the Pile models, through the `tokenizers` package
vocabulary.py  the text format of vocabularies
cache.py       packed vocabularies on disk, so that the text is parsed once
choose.py      which tokenizer: by name, by file, for a model
carried.py     the vocabulary inside a model's file

Knows nothing of models, chat or prompts.
"""

from rookery.tokenizer.base import StreamDecoder, Tokenizer
from rookery.tokenizer.carried import with_vocabulary
from rookery.tokenizer.choose import load_tokenizer, tokenizer_for, world
from rookery.tokenizer.greedy import WorldTokenizer
from rookery.tokenizer.pile import PileTokenizer

__all__ = [
    "PileTokenizer",
    "StreamDecoder",
    "Tokenizer",
    "WorldTokenizer",
    "load_tokenizer",
    "tokenizer_for",
    "with_vocabulary",
    "world",
]
