"""The options of commands that choose tokens."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import click

from rookery.errors import SettingsError

if TYPE_CHECKING:
    from rookery.sampling import Sampler

__all__ = ["changed", "described", "sampler_of", "sampler_options"]

# option: (field of the sampler, type, help); the sampler itself is imported when it is needed, which keeps help light
_OPTIONS: dict[str, tuple[str, Any, str]] = {
    "--temperature": ("temperature", float, "0 always takes the likeliest token; default 1."),
    "--top-p": ("top_p", float, "Keep the likeliest tokens holding this much probability; default 0.5."),
    "--top-k": ("top_k", int, "Keep this many of the likeliest tokens; default 0, off."),
    "--min-p": ("min_p", float, "Keep tokens at least this fraction as likely as the likeliest; default 0, off."),
    "--typical-p": ("typical_p", float, "Keep the most typical tokens holding this much probability; default 1, off."),
    "--presence-penalty": (
        "presence_penalty",
        float,
        "Subtracted from logits of what was generated before; default 0.",
    ),
    "--frequency-penalty": ("frequency_penalty", float, "The same, for every time; default 0."),
    "--penalty-decay": ("penalty_decay", float, "What an occurrence still counts one token later; default 0.996."),
    "--repetition-penalty": ("repetition_penalty", float, "Divides the logits of the last tokens; default 1, off."),
    "--repeat-last-n": ("repeat_last_n", int, "How many tokens that are; default 64."),
    "--seed": ("seed", int, "Repeats a generation."),
    "--order": (
        "order",
        click.Choice(["rwkv", "usual"]),
        "Temperature after the filters (rwkv, default) or before.",
    ),
}


def sampler_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Every setting of a `Sampler`; pass them to `sampler_of`."""
    ban = click.option("--ban", type=int, multiple=True, metavar="ID", help="Never this token.  May be repeated.")
    bias = click.option(
        "--logit-bias", multiple=True, metavar="ID=X", help="Added to a token's logit.  May be repeated."
    )
    command = ban(bias(command))
    for option, (name, kind, text) in reversed(_OPTIONS.items()):
        command = click.option(option, name, type=kind, help=text)(command)
    return command


def sampler_of(options: dict[str, Any]) -> Sampler:
    """The sampler of these options, which are taken out of the dictionary."""
    from rookery.sampling import Sampler

    given = {name: options.pop(name) for name, _, _ in _OPTIONS.values()}
    biases = dict(map(_bias, options.pop("logit_bias")))
    fields = {name: value for name, value in given.items() if value is not None}
    return Sampler(**fields, ban=options.pop("ban"), logit_bias=biases)


def changed(sampler: Sampler, name: str, value: str) -> Sampler:
    """The sampler with one setting read from text; the name is a field's or an option's."""
    key = name.removeprefix("--").replace("-", "_")
    kinds = {field: kind for field, kind, _ in _OPTIONS.values()}
    if key not in kinds:
        raise SettingsError(f"no setting {name!r}; known: {', '.join(kinds)}")
    if key == "seed" and value in ("", "none"):
        return dataclasses.replace(sampler, seed=None)
    kind = kinds[key] if kinds[key] in (int, float) else str
    try:
        field: dict[str, Any] = {key: kind(value)}
    except ValueError:
        raise SettingsError(f"{key} is {value!r}, expected a number") from None
    return dataclasses.replace(sampler, **field)


def _bias(text: str) -> tuple[int, float]:
    name, _, value = text.partition("=")
    try:
        return int(name), float(value)
    except ValueError:
        raise SettingsError(f"--logit-bias is {text!r}, expected a token id and a number, such as 261=-2.5") from None


def described(sampler: Sampler) -> Sequence[tuple[str, Any]]:
    """Name and value of every setting."""
    return [(name, getattr(sampler, name)) for name, _, _ in _OPTIONS.values()]
