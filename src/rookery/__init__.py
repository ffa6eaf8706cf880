"""Rookery: the home of all the RWKV birds."""

__version__ = "0.1.0"
