"""What the commands that train share: options, the live line, samples."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from rookery.cli.live import Bars, Line, span
from rookery.cli.printable import printable
from rookery.errors import MissingExtra, SettingsError
from rookery.train.watcher import Watcher, Watchers

if TYPE_CHECKING:
    from rookery.formats import Checkpoint
    from rookery.train.assemble import Assembled, Wish
    from rookery.train.methods import Method
    from rookery.train.model import TrainedModel
    from rookery.train.run import Run
    from rookery.train.trainer import Trainer
    from rookery.train.transformer import Transformer

__all__ = ["Tuning", "go", "run_options", "wish_of"]

_SETTINGS = (
    "steps", "tokens", "tokens_per_batch", "micro_batches", "context", "segment", "truncate", "rate", "final_rate",
    "warmup", "weight_decay", "clip", "half", "recompute", "seed", "validate_every", "validation_tokens", "save_every",
)  # fmt: skip


def run_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """The options of every run."""
    options = (
        click.option("--steps", type=int, help="Steps of the optimizer; default 1000."),
        click.option("--tokens", type=int, help="Tokens to read, in place of --steps."),
        click.option("--tokens-per-batch", type=int, help="Tokens of a step; default: the size's."),
        click.option("--micro-batches", type=int, help="Cut a step into so many parts, to save memory."),
        click.option("--context", type=int, help="Longest stretch of a document read in one piece."),
        click.option("--segment", type=int, help="Tokens kept at once; longer texts in passes, with exact gradients."),
        click.option("--truncate", is_flag=True, default=None, help="End gradients where a pass ends: for comparison."),
        click.option("--rate", type=float, help="Peak learning rate; default 0.45 / width, a tenth with --from."),
        click.option("--final-rate", type=float, help="Learning rate at the end; default 0.04 / width."),
        click.option("--warmup", type=int, help="Steps until the rate is at its peak."),
        click.option("--weight-decay", type=float, help="Of the matrices; default 0.1."),
        click.option("--clip", type=float, help="Gradients are scaled down to this norm; default 1."),
        click.option("--half", is_flag=True, default=None, help="Multiply matrices in bfloat16."),
        click.option("--recompute", is_flag=True, default=None, help="Less memory, slower."),
        click.option("--seed", type=int, help="Of new weights and of the order of the data."),
        click.option("--validate-every", type=int, help="Steps between validations; default 100."),
        click.option("--validation-tokens", type=int, help="To validate on, of each source at most; default 65536."),
        click.option("--save-every", type=int, help="Steps between checkpoints; default 100."),
        click.option("--held-out", type=float, default=0.01, show_default=True, help="Share to validate on."),
        click.option("--validate-on", multiple=True, metavar="DATA", help="Validate on these files instead."),
        click.option("--separator", help="Line between the documents of a text file; empty for blank lines."),
        click.option("--field", help="Field of a record that holds its text."),
        click.option("--format", "prompt_format", default="world", show_default=True, help="Form of conversations."),
        click.option("--leading/--no-leading", default=True, help="Begin every document with token 0; default: yes."),
        click.option("--sample", metavar="TEXT", help="Let the model continue this text at every validation."),
        click.option("--tensorboard", is_flag=True, help="Log for TensorBoard too, into the folder of the run."),
        click.option("--plan", is_flag=True, help="Say what memory and time it will take, and train nothing."),
        click.option("--threads", type=int, default=0, help="Default: all processors this process may use."),
    )
    for option in reversed(options):
        command = option(command)
    return command


def wish_of(data: tuple[str, ...], *, sizes: dict[str, int], options: dict[str, Any]) -> Wish:
    """The options that say what is trained; they are taken out of `options`."""
    _check_torch()
    from rookery.train.assemble import Wish
    from rookery.train.data.sources import Options

    settings = {name: options.pop(name) for name in _SETTINGS}
    reading = Options(options.pop("separator"), options.pop("field"), options.pop("prompt_format"))
    return Wish(
        data,
        source=options.pop("source"),
        size=options.pop("size"),
        version=options.pop("version"),
        removal=options.pop("removal", "1"),
        vocabulary=options.pop("vocabulary"),
        held_out=options.pop("held_out"),
        held_out_data=options.pop("validate_on"),
        options=reading,
        leading=0 if options.pop("leading") else None,
        settings={name: value for name, value in settings.items() if value is not None},
        sizes=sizes,
    )


def _check_torch() -> None:
    # Before torch loads: threads of its that wait spin, which costs most of the speed where others use the processors.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    try:
        import torch  # noqa: F401
    except ImportError:
        raise MissingExtra("training needs torch: pip install 'rookery[train]'") from None


@dataclass(frozen=True, slots=True)
class Tuning:
    """How a model is fine-tuned.  adapter: what another run learnt, to go on from."""

    method: Any
    model: Path
    adapter: Path | None = None

    def prepared(self, model: TrainedModel, checkpoint: Checkpoint) -> Method:
        """The method, which now knows whom it tunes."""
        from rookery.adapter import read_adapter
        from rookery.fingerprint import fingerprint
        from rookery.train.methods import load_adapter

        method: Method = replace(self.method, base=fingerprint(checkpoint))
        method.prepare(model)
        if self.adapter is not None:
            load_adapter(model, read_adapter(self.adapter), fingerprint(checkpoint))
        return method

    def use(self, folder: str) -> str:
        """The command that runs what was learnt."""
        name = self.method.described()["name"]
        if name == "full":
            return f"rookery run {folder}/model.rookery"
        model = printable(str(self.model))
        file = "--state {}/time_state.pth" if name == "state" else "--adapter {}/adapter.safetensors"
        return f"rookery run {model} {file.format(folder)}"


def go(wish: Wish, folder: Path, options: dict[str, Any], tuning: Tuning | None = None) -> None:
    """Assemble the run and train it, all of a model or as `tuning` says; perhaps as one of torchrun's processes."""
    from rookery.train import parallel

    with parallel.together():
        _train(wish, folder, options, tuning)


def _train(wish: Wish, folder: Path, options: dict[str, Any], tuning: Tuning | None) -> None:
    import torch

    from rookery.ops.native import default_threads
    from rookery.train import parallel
    from rookery.train.assemble import assemble
    from rookery.train.methods import Full
    from rookery.train.run import Run
    from rookery.train.trainer import Trainer

    control = _control(wish, options)
    folder.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(options["threads"] or max(1, default_threads() // parallel.neighbours()))
    with Bars() as bars:
        found = parallel.in_turn(lambda: assemble(wish, folder, bars.report))
    settings = found.settings
    model = _model(found, control)
    method = tuning.prepared(model, found.checkpoint) if tuning else Full()
    trainer = Trainer(parallel.placed(model), found.batches, settings)
    run = Run(trainer, folder, found.batches.fingerprint, found.held_out, found.tokenizer, method=method)
    _introduce(run, found)
    if options["plan"]:
        return _plan(trainer)
    with Line(run, found, options.get("sample")) as line:
        run.watcher = _watcher(line, folder) if options["tensorboard"] and parallel.first() else line
        finished = run.go()
    where = printable(str(folder))
    if not parallel.first():
        return
    if finished:
        click.echo(f"done: {_next(where, tuning, control)}")
    else:
        click.echo(f"stopped after step {trainer.step}; the same command goes on from there", err=True)


def _watcher(line: Line, folder: Path) -> Watcher:
    from rookery.train.tensorboard import TensorBoard

    return Watchers([line, TensorBoard(folder / "tensorboard")])


def _plan(trainer: Trainer) -> None:
    from rookery.cli.tables import human_bytes
    from rookery.train.planning import plan

    found = plan(trainer)
    settings = trainer.settings
    click.echo(
        f"a step of {settings.tokens_per_batch} tokens takes {found.seconds:.2f} s, "
        f"{settings.tokens_per_batch / found.seconds:,.0f} tokens/s\n"
        f"{found.steps} steps take {span(found.total_seconds)}\n"
        f"memory {human_bytes(found.peak_bytes)}, a checkpoint {human_bytes(found.checkpoint_bytes)}, "
        f"{settings.keep} of which are kept"
    )


def _control(wish: Wish, options: dict[str, Any]) -> bool:
    """Whether a Transformer is trained, which nothing here can continue texts with."""
    if not options.get("control"):
        return False
    for name, given in (("--from", wish.source), ("--sample", options.get("sample"))):
        if given is not None:
            raise SettingsError(f"{name} needs a model that rookery runs; leave it out, or --control")
    return True


def _model(found: Assembled, control: bool) -> TrainedModel | Transformer:
    import torch

    from rookery.train.model import TrainedModel
    from rookery.train.transformer import Transformer, TransformerConfig

    settings = found.settings
    how: dict[str, Any] = {"half": torch.bfloat16 if settings.half else None, "recompute": settings.recompute}
    if control:
        return Transformer(TransformerConfig.equal_to(found.config), settings.seed, **how)
    return TrainedModel.of(found.checkpoint, **how)


def _next(where: str, tuning: Tuning | None, control: bool) -> str:
    """What to do with a finished run."""
    if tuning:
        return tuning.use(where)
    return f"rookery plot {where}" if control else f"rookery run {where}/model.rookery"


def _introduce(run: Run, found: Assembled) -> None:
    from rookery.cli.tables import human_count
    from rookery.train import parallel

    if not parallel.first():
        return
    config, settings = found.config, found.settings
    parameters = sum(p.numel() for p in run.trainer.model.parameters())
    learning = sum(p.numel() for p in run.trainer.model.parameters() if p.requires_grad)
    some = f", {human_count(learning)} of them trained" if 2 * learning < parameters else ""
    sizes = ", ".join(human_count(size) for size in found.batches.sizes)
    beside = "" if run.trainer.model.config == config else "Transformer beside "
    click.echo(
        f"{beside}RWKV-{config.version}, {config.layers} layers of {config.width}, vocabulary {config.vocab}: "
        f"{human_count(parameters)} parameters{some}\n"
        f"{sizes} tokens of {found.bytes_per_token:.2f} bytes; {settings.steps} steps of {settings.tokens_per_batch}, "
        f"{sum(found.batches.epochs(settings.steps)) / len(found.batches.sizes):.2f} times through",
        err=True,
    )
