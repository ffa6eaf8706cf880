"""
How fast a model runs on this machine, and what memory that takes: all that `rookery bench` reports.

speed.py         loading, prefill, decoding alone and in batches, in rounds
profiling.py     where the time of a generated token goes
memory.py        what this process holds
against.py       what a peer is asked, and the ratios
peer.py          another program on the same weights, in a process of its own (peer_process.py)
peer_kinds.py    which programs there are: the `rwkv` package (peer_rwkv.py) and llama.cpp (peer_llama.py)

How well a model predicts is `rookery.evaluate`.
"""
