"""
Encoding speed beside pyrwkv-tokenizer, in one interleaved run on one thread.

    python benchmarks/encoding.py [--rounds 7] [--megabytes 8] [text file ...]

Without files it encodes a built-in mixture of English, code, Chinese, Russian and emoji, repeated.  The best round of
each counts: the machine's noise only ever adds time.  Both must give the same ids.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from rookery.tokenizer import world

MIXTURE = (
    "The Eiffel Tower is in the city of Paris; it was finished on 31 March 1889.\n\n"
    "def shift(x, last):\n    return np.concatenate([last[None], x[:-1]])\n\n"
    "人工智能是计算机科学的一个分支。\n它企图了解智能的实质。\n\n"
    "Все счастливые семьи похожи друг на друга. 😀👍🏽\n\n"
)


def main() -> None:
    options = _options()
    texts = [(path.name, path.read_text("utf-8")) for path in options.files] or [("mixture", MIXTURE)]
    print(f"{'text':24}{'MB':>8}{'rookery':>12}{'as list':>12}{'pyrwkv':>12}  MB/s, best of {options.rounds}")
    for name, text in texts:
        repeated = text * max(1, round(options.megabytes * 1e6 / len(text.encode())))
        size = len(repeated.encode()) / 1e6
        speeds = [size / seconds for seconds in _interleaved(repeated, options.rounds)]
        print(f"{name:24}{size:8.1f}" + "".join(f"{speed:12.1f}" for speed in speeds))


def _interleaved(text: str, rounds: int) -> list[float]:
    """Best seconds of: our array, our list, the peer's list."""
    from pyrwkv_tokenizer import RWKVTokenizer

    runs: list[Callable[[str], Sequence[int]]] = [world().encode_array, world().encode, RWKVTokenizer().encode]
    if runs[1](text) != runs[2](text):
        raise SystemExit("the two tokenizers disagree: run the tests")
    best = [float("inf")] * len(runs)
    for _ in range(rounds):
        for number, run in enumerate(runs):
            start = time.perf_counter()
            run(text)
            best[number] = min(best[number], time.perf_counter() - start)
    return best


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("files", nargs="*", type=Path)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--megabytes", type=float, default=8)
    return parser.parse_args()


if __name__ == "__main__":
    main()
