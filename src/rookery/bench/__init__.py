"""
How fast a model runs on this machine, and what memory that takes: all that `rookery bench` reports.

speed.py         loading, prefill, decoding alone and in batches, in rounds
profiling.py     where the time of a generated token goes
memory.py        what this process holds
peer.py          the official `rwkv` package on the same weights, in a process of its own (peer_process.py)

How well a model predicts is `rookery.evaluate`.
"""
