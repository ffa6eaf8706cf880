"""
Documents from files and data sets.

base.py     what every kind gives
text.py     text files
lines.py    JSON lines: texts and conversations
parquet.py  Parquet tables
binidx.py   Megatron's .bin and .idx, also written
hub.py      data sets of the Hugging Face hub
records.py  what a record holds
packed.py   gzip and xz
opening.py  which kind a path is
"""

from rookery.train.data.sources.base import Document, Options, Piece, Source
from rookery.train.data.sources.opening import open_sources

__all__ = ["Document", "Options", "Piece", "Source", "open_sources"]
