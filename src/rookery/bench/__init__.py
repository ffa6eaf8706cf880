"""
How fast a model runs on this machine, how near its limits that is, and what memory it takes: `rookery bench`.

speed.py         prefill, decoding alone and in batches, in rounds, with their shares of the machine
ceilings.py      what the machine delivers meanwhile
profiling.py     where the time of a generated token goes
kernels.py       the matrix products alone
first.py         from the start of a process (first_process.py) to the first token
context.py       memory and time by the length of the context (context_rookery.py, context_llama.py); plot.py draws it
memory.py        what this process holds; machine.py where and when something was measured
against.py       what a peer is asked, and the ratios
peer.py          another program on the same weights
peer_kinds.py    which programs there are: the `rwkv` package (peer_rwkv.py) and llama.cpp (peer_llama.py)
child.py         a process of its own for what is measured (peer_process.py)

How well a model predicts is `rookery.evaluate`.
"""
