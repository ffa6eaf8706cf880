"""
The whole of docs/performance.md in one run: every model against llama.cpp, and how near the machine's limits that is.

    python benchmarks/performance.py results.jsonl model.gguf ... [--transformer transformer.gguf --plot context.svg]
    python benchmarks/performance.py results.jsonl --tables     # what is there, as Markdown

Each measurement is a process of its own (`rookery bench`), whose result becomes a line of the file at once: run the
same command again to go on where it was broken off; lines that are there are not measured again.  Nine models take
some 25 minutes.  Needs `pip install 'rookery[peers,plot]'`; the transformer comes from benchmarks/transformer.py.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from performance_tables import tables

BUSY = Path(__file__).parent / "busy.py"
SMALL = 300 << 20  # bytes of a file up to which more rounds cost little
SPEEDS = ("--prompt-tokens", "512", "--decode-tokens", "32", "--batch", "8,32", "--against", "llama.cpp")


def main() -> None:
    options = _options()
    found, failed = _lines(options.results), []
    for key, command in () if options.tables else _commands(options):
        if key in found:
            continue
        if result := _measured(key, command):
            found[key] = result
            with open(options.results, "a", encoding="utf-8") as file:
                file.write(json.dumps({"key": key, "found": result}) + "\n")
        else:
            failed.append(key)
    print(tables(found))
    if failed:
        raise SystemExit(f"not measured, see above: {', '.join(failed)}; run the same command again")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Measure everything that docs/performance.md shows.")
    parser.add_argument("results", type=Path, help="JSON lines; goes on where it ends")
    parser.add_argument("models", type=Path, nargs="*", help="GGUF files, the smallest first")
    parser.add_argument("--threads", default="1,2")
    parser.add_argument("--transformer", type=Path, help="to draw the first model beside")
    parser.add_argument("--plot", type=Path, help="where to draw it")
    parser.add_argument("--context", default="512,1024,2048,4096,8192,16384")
    parser.add_argument("--tables", action="store_true", help="measure nothing, print what is there")
    options = parser.parse_args()
    for path in (*options.models, *([options.transformer] if options.transformer else [])):
        if not path.is_file():  # found out after the first half hour it would be a pity
            parser.error(f"{path}: there is no such file")
    return options


def _commands(options: argparse.Namespace) -> Iterator[tuple[str, list[str]]]:
    """What a line is called, and what measures it."""
    bench = ["-m", "rookery", "bench"]
    yield "kernels", [*bench, "--kernels", "--threads", options.threads, "--repeat", "5"]
    for model in options.models:
        repeat = "5" if model.stat().st_size < SMALL else "3"
        for count in options.threads.split(","):
            yield f"{model.stem} {count}", [*bench, str(model), *SPEEDS, "--threads", count, "--repeat", repeat]
        yield (
            f"{model.stem} first token",
            [*(*bench, str(model), "--first-token", "--threads", options.threads, "--repeat", "2")],
        )
    if options.models:
        yield "busy", [str(BUSY), str(options.models[0]), "--against", "llama.cpp"]
    if options.models and options.transformer:
        beside = ["--against-transformer", str(options.transformer), "--context", options.context]
        plot = ["--plot", str(options.plot)] if options.plot else []
        yield "context", [*bench, str(options.models[0]), *beside, *plot]


def _measured(key: str, command: list[str]) -> dict[str, Any] | None:
    """None if it failed; it has said why."""
    start = time.monotonic()
    done = subprocess.run([sys.executable, *command, "--json"], stdout=subprocess.PIPE, text=True, check=False)
    print(f"{key}: {time.monotonic() - start:.0f} s", file=sys.stderr)
    return None if done.returncode else dict(json.loads(done.stdout))


def _lines(path: Path) -> dict[str, dict[str, Any]]:
    """What was measured before.  A last line that was not written to its end is left out."""
    found = {}
    for line in path.read_text(encoding="utf-8").splitlines() if path.exists() else ():
        try:
            row = json.loads(line)
        except ValueError:
            continue
        found[row["key"]] = row["found"]
    return found


if __name__ == "__main__":
    main()
