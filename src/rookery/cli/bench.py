"""`rookery bench`: speed and memory of a model on this machine."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from rookery.cli.common import json_option, print_json
from rookery.errors import SettingsError

if TYPE_CHECKING:
    from rookery.bench.speed import Settings

__all__ = ["command"]

_DIGITS = 20  # of a number; Python refuses to read thousands
_PARTS = {"runs", "first_token", "kernels", "context"}


@click.command("bench")
@click.argument("model", required=False, type=click.Path(path_type=Path))
@click.option("--prompt-tokens", type=int, default=512, show_default=True, help="Length of the prompt that is read.")
@click.option("--decode-tokens", type=int, default=128, show_default=True, help="Tokens generated one by one.")
@click.option("--batch", default="1,8", show_default=True, help="Sequences that generate together, comma-separated.")
@click.option("--threads", default="1,0", show_default=True, help="Numbers of threads, comma-separated; 0 means all.")
@click.option("--repeat", type=int, default=3, show_default=True, help="Rounds; minimum, median, maximum are shown.")
@click.option("--profile", is_flag=True, help="Show where a token's time goes: ops, layers, matrices, waiting.")
@click.option("--against", type=click.Choice(["rwkv", "llama.cpp"]), help="Measure that too, on the same weights.")
@click.option("--first-token", is_flag=True, help="Measure from process start to the first token after the prompt.")
@click.option("--kernels", is_flag=True, help="Measure the matrix products of every weight format; needs no MODEL.")
@click.option("--formats", help="Weight formats for --kernels, comma-separated; default: all.")
@click.option("--context", help="Lengths of context at which to measure memory and time per token, comma-separated.")
@click.option("--against-transformer", type=click.Path(path_type=Path), help="A GGUF file to measure beside MODEL.")
@click.option("--plot", type=click.Path(path_type=Path), help="Draw --context: a .svg, .png or .pdf file.")
@click.option("--markdown", is_flag=True, help="Print tables for a Markdown page.")
@json_option
def command(model: Path | None, markdown: bool, as_json: bool, **options: Any) -> None:
    """Measure how fast MODEL reads a prompt and generates alone and in a batch, what it takes, and how near the
    machine's limits that is.

    The tokens are random; speed does not depend on them.  Everything is measured in rounds, so that other work on the
    machine meets all of it alike.  --first-token, --kernels and --context measure that instead of the speeds; with
    --profile or --against the speeds as well.
    """
    if as_json and markdown:
        raise SettingsError("--json and --markdown exclude one another; choose one")
    wish = _wish(model, options)
    from rookery.bench.machine import machine
    from rookery.cli.bench_tables import as_markdown

    found: dict[str, Any] = {"model": str(model) if model else None, "machine": machine()}
    show = _silent if as_json or markdown else _show
    for part, measure in _parts(wish):
        result = [measure()] if part == "runs" else measure()
        heading = {} if _PARTS & found.keys() else {"machine": found["machine"]}
        show(heading | {part: result})
        found[part] = found.get(part, []) + result if part == "runs" else result
    if as_json:
        print_json(found)
    elif markdown:
        click.echo(as_markdown(found))


@dataclass(frozen=True, slots=True)
class _Wish:
    """What is to be measured; impossible wishes were refused.  speeds: whether the usual rounds are wanted."""

    model: Path | None
    settings: Settings
    threads: list[int]
    speeds: bool
    profile: bool
    against: str | None
    first_token: bool
    kernels: bool
    formats: list[str]
    context: list[int]
    transformer: Path | None
    plot: Path | None


def _wish(model: Path | None, given: dict[str, Any]) -> _Wish:
    from rookery.bench.context import LENGTHS
    from rookery.bench.plot import check_plot
    from rookery.bench.speed import Settings

    settings = Settings(
        given["prompt_tokens"], given["decode_tokens"], _numbers("--batch", given["batch"], 1), given["repeat"]
    )
    threads = _threads(given["threads"])
    plot, transformer = given["plot"], given["against_transformer"]
    if given["context"]:
        context = _numbers("--context", given["context"], 1)
    else:
        context = list(LENGTHS) if plot or transformer else []
    others = given["first_token"] or given["kernels"] or bool(context)
    speeds = bool(not others or given["profile"] or given["against"])
    if model is None and (speeds or context or given["first_token"]):
        raise click.UsageError("Missing argument 'MODEL'; only --kernels alone does without.")
    if given["formats"] is not None and not given["kernels"]:
        raise SettingsError("--formats says what --kernels measures; give both")
    if plot:
        check_plot(plot)
    formats = _names(given["formats"]) if given["formats"] is not None else []
    more = {key: given[key] for key in ("profile", "against", "first_token", "kernels")}
    return _Wish(
        model, settings, threads, speeds, formats=formats, context=context, transformer=transformer, plot=plot, **more
    )


def _parts(wish: _Wish) -> Iterator[tuple[str, Callable[[], Any]]]:
    """Name in the result -> measure it."""
    if wish.speeds:
        for count in wish.threads:
            yield "runs", lambda threads=count: _run(wish, threads)  # type: ignore[misc]
    if wish.first_token:
        yield "first_token", lambda: _first_token(wish)
    if wish.kernels:
        yield "kernels", lambda: _kernels(wish)
    if wish.context:
        yield "context", lambda: _context(wish)


def _run(wish: _Wish, threads: int) -> dict[str, Any]:
    from rookery.bench.machine import used_by_others
    from rookery.bench.memory import forget_peak, resident_bytes
    from rookery.bench.peer import Peer
    from rookery.bench.profiling import profile
    from rookery.bench.speed import bench, load_timed, native, random_tokens, weights_of

    assert wish.model is not None
    forget_peak()
    before = resident_bytes()
    model, seconds = load_timed(wish.model, threads)
    executor = native(model)
    result: dict[str, Any] = {
        "model": str(model),
        "threads": executor.threads,
        "kernels": executor.table,
        **weights_of(model),
        "load_s": seconds,
        "used_by_others": [used_by_others()],
        "memory_before": before,
    }
    with ExitStack() as stack:
        peer = stack.enter_context(Peer(wish.against, model.checkpoint, executor.threads)) if wish.against else None
        result |= bench(model, wish.settings, peer)
    if wish.profile:
        result["profile"] = profile(model, random_tokens(model.config.vocab, wish.settings.decode_tokens))
    result["used_by_others"].append(used_by_others())
    return result


def _first_token(wish: _Wish) -> dict[str, Any]:
    from rookery.bench.first import first_token

    assert wish.model is not None
    return first_token(wish.model, wish.settings, wish.threads)


def _kernels(wish: _Wish) -> dict[str, Any]:
    from rookery.bench.kernels import kernels

    return kernels(wish.threads, wish.settings.repeat, wish.formats)


def _context(wish: _Wish) -> dict[str, Any]:
    from rookery.bench.context import contexts
    from rookery.bench.plot import plot

    assert wish.model is not None
    found = contexts(wish.model, wish.transformer, wish.context, max(wish.threads))
    if wish.plot:
        plot(found, wish.plot)
    return found


def _threads(text: str) -> list[int]:
    """Without those that come twice, such as all of one processor."""
    from rookery.ops.native import default_threads

    return list(dict.fromkeys(count or default_threads() for count in _numbers("--threads", text, 0)))


def _names(text: str) -> list[str]:
    names = [name.strip().upper() for name in text.split(",")]
    if not all(names):
        raise SettingsError(f"--formats is {text!r}; expected weight formats, such as Q8_0,Q4_K")
    return list(dict.fromkeys(names))


def _numbers(option: str, text: str, least: int) -> list[int]:
    parts = [part.strip() for part in text.split(",")]
    if not all(part.isdecimal() and len(part) <= _DIGITS and int(part) >= least for part in parts):
        raise SettingsError(f"{option} is {text!r}; expected numbers of {least} or more, such as 1,8")
    return [int(part) for part in parts]


def _show(found: dict[str, Any]) -> None:
    from rookery.cli.bench_tables import print_section, sections

    for section in sections(found):
        print_section(section)


def _silent(found: dict[str, Any]) -> None:
    """A page or an object is printed at the end."""
