"""Fine-tuning: what is trained, what is not, and that files hold exactly what was learnt."""

from __future__ import annotations

import hashlib
import os
import signal

import numpy as np
import pytest
from models_at_hand import VERSIONS

torch = pytest.importorskip("torch", reason="needs the extra rookery[train]")

from small_models import words  # noqa: E402
from torch.distributed.checkpoint import FileSystemReader  # noqa: E402
from tuned import SEGMENTS, TASK, base_of, new_run, prepared, trainer_of  # noqa: E402

import rookery  # noqa: E402
from rookery.adapter import Adapter, LowRank, read_adapter, write_adapter  # noqa: E402
from rookery.errors import FormatError, SettingsError  # noqa: E402
from rookery.fingerprint import fingerprint  # noqa: E402
from rookery.formats import open_checkpoint, read_tensors, save_checkpoint  # noqa: E402
from rookery.train import checkpoint  # noqa: E402
from rookery.train.export import as_checkpoint  # noqa: E402
from rookery.train.log import read_log  # noqa: E402
from rookery.train.methods import Full, Lora, StateTuning, adapter_of, load_adapter, method_named, trained  # noqa: E402
from rookery.train.model import TrainedModel  # noqa: E402
from rookery.train.watcher import Watcher  # noqa: E402

METHODS = [Lora(rank=4), StateTuning(), Lora(rank=4, state=True)]
NAMES = ["lora", "state", "lora+state"]
CASES = [
    pytest.param(version, method, id=f"{version}-{name}")
    for version in VERSIONS
    for method, name in zip(METHODS, NAMES, strict=True)
    if version != "4" or name == "lora"
]


def digests(model: TrainedModel, names: set[str]) -> dict[str, str]:
    found = dict(model.named_parameters())
    return {n: hashlib.sha256(found[n].detach().numpy().tobytes()).hexdigest() for n in names}


def logits(model: TrainedModel, tokens: np.ndarray) -> np.ndarray:
    hidden, _ = model(torch.from_numpy(tokens), [len(tokens)])
    return model.logits(hidden).detach().numpy()


def served(source, tokens, **options) -> np.ndarray:
    """By the oracle in float64."""
    model = rookery.load(source, executor="numpy", tokenizer=words(50), **options)
    return model.forward(tokens, full=True)[0]


@pytest.mark.parametrize(("version", "method"), CASES)
def test_it_begins_as_the_model_and_learns_and_the_model_stays(version, method):
    trainer = trainer_of(version, method, rate=0.1 if method == StateTuning() else 0.02)
    tokens = TASK.at(5).tokens[:16]
    np.testing.assert_array_equal(logits(trainer.model, tokens), logits(TrainedModel.of(base_of(version)), tokens))
    base = {name for name, _ in trainer.model.named_parameters()} - set(trained(trainer.model))
    assert base == set(base_of(version).tensors)
    before = digests(trainer.model, base)
    losses = [report.loss for report in trainer.reports()]
    assert losses[-1] < 0.5 * losses[0]
    assert digests(trainer.model, base) == before
    for name, tensor in base_of(version).tensors.items():
        np.testing.assert_array_equal(dict(trainer.model.named_parameters())[name].detach().numpy(), tensor.numpy())


def test_what_is_trained_of_goose():
    assert trained(prepared("7", StateTuning())) == ["blocks.0.att.time_state", "blocks.1.att.time_state"]
    kinds = ["att.receptance", "att.key", "att.value", "att.output", "ffn.key", "ffn.value"]
    halves = {f"blocks.{i}.{kind}.lora_{half}" for i in (0, 1) for kind in kinds for half in "AB"}
    assert set(trained(prepared("7", Lora()))) == halves
    some = Lora(targets=("att.value", "ffn.key"), state=True)
    assert {n.split(".", 2)[2] for n in trained(prepared("7", some))} == {
        "att.time_state", "att.value.lora_A", "att.value.lora_B", "ffn.key.lora_A", "ffn.key.lora_B",
    }  # fmt: skip
    unused = {f"blocks.0.att.v{i}" for i in "012"}
    assert set(trained(prepared("7", Full()))) == set(base_of("7").tensors) - unused
    assert {n for n in trained(prepared("6", Lora())) if "gate" in n or "ffn.receptance" in n}


def test_the_gradients_are_those_of_the_merged_matrix():
    """d/dA and d/dB by way of d/dW of a model whose matrix is W + scale B A."""
    method = Lora(rank=4, alpha=10.0, targets=("att.value",))
    model = prepared("7", method, dtype=torch.float64)
    generator = torch.Generator().manual_seed(3)
    node = model.get_submodule("blocks.1.att.value")
    with torch.no_grad():
        node.lora_B.copy_(torch.randn(node.lora_B.shape, generator=generator, dtype=torch.float64))
    whole = TrainedModel.of(base_of("7"), dtype=torch.float64)
    with torch.no_grad():
        whole.blocks.get_submodule("1").att.value.weight += 2.5 * node.lora_B @ node.lora_A
    tokens = torch.from_numpy(TASK.at(0).tokens)
    for one in (model, whole):
        one(tokens, [7] * SEGMENTS)[0].sin().sum().backward()
    grad = whole.blocks.get_submodule("1").att.value.weight.grad
    torch.testing.assert_close(node.lora_A.grad, 2.5 * node.lora_B.T @ grad)
    torch.testing.assert_close(node.lora_B.grad, 2.5 * grad @ node.lora_A.T)
    assert node.weight.grad is None
    assert all(p.grad is None for n, p in model.named_parameters() if n not in trained(model))


@pytest.mark.parametrize("version", [v for v in VERSIONS if v != "4"])
def test_the_gradient_of_a_state_is_that_of_every_segments_beginning(version):
    model = prepared(version, StateTuning())
    tokens, lengths = torch.from_numpy(TASK.at(0).tokens[:33]), [7, 1, 25]
    model(tokens, lengths)[0].sin().sum().backward()
    free = TrainedModel.of(base_of(version))
    states = [tuple(x.clone().requires_grad_() for x in triple) for triple in free.fresh(3)]
    free(tokens, lengths, states)[0].sin().sum().backward()
    for i, (_, wkv, _) in enumerate(states):
        got = model.get_parameter(f"blocks.{i}.att.time_state").grad
        assert got.abs().max() > 0
        torch.testing.assert_close(got, wkv.grad.sum(0).transpose(1, 2), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("recompute", [False, True])
def test_recomputing_and_half_precision_train_the_same_things(recompute):
    method = Lora(rank=4, state=True)
    model = prepared("7", method, recompute=recompute, half=torch.bfloat16)
    model(torch.from_numpy(TASK.at(0).tokens), [7] * SEGMENTS)[0].square().sum().backward()
    assert all(model.get_parameter(name).grad is not None for name in trained(model))


@pytest.mark.parametrize(("version", "method"), CASES)
def test_files_hold_what_was_learnt(tmp_path, version, method):
    """Model in training == base + adapter file == merged model == base + RWKV-PEFT's file and state file."""
    save_checkpoint(base_of(version), tmp_path / "base.safetensors")
    trainer = trainer_of(version, method, steps=8)
    for _ in trainer.reports():
        pass
    method.write(trainer.model, tmp_path)
    tokens = TASK.at(77).tokens[:16]
    want = logits(trainer.model, tokens)
    got = {"merged": served(as_checkpoint(trainer.model), tokens)}
    if isinstance(method, Lora):
        got["safetensors"] = served(tmp_path / "base.safetensors", tokens, adapter=tmp_path / "adapter.safetensors")
    if method == Lora(rank=4):
        peft = {"adapter": tmp_path / "adapter.pth", "adapter_alpha": 8.0}
        got["pth"] = served(tmp_path / "base.safetensors", tokens, **peft)
    if method == StateTuning():
        got["state"] = served(tmp_path / "base.safetensors", tokens, adapter=tmp_path / "time_state.pth")
    for name, found in got.items():
        np.testing.assert_allclose(found, want, rtol=0, atol=1e-4, err_msg=name)
    saved = tmp_path / "merged.safetensors"
    save_checkpoint(as_checkpoint(trainer.model), saved)
    np.testing.assert_allclose(served(saved, tokens), want, rtol=0, atol=1e-4)
    assert bool(open_checkpoint(saved).initial_state) == (method != Lora(rank=4))


def test_files_are_read_by_torch_as_others_expect_them(tmp_path):
    model = prepared("7", Lora(rank=4, state=True))
    Lora(rank=4, state=True).write(model, tmp_path)
    found = torch.load(tmp_path / "adapter.pth", weights_only=True)
    assert found["blocks.1.ffn.value.lora_A"].shape == (4, 128)
    assert found["blocks.1.ffn.value.lora_B"].shape == (32, 4)
    assert not [name for name in found if ".lora_" not in name]
    states = torch.load(tmp_path / "time_state.pth", weights_only=True)
    assert {name: tuple(x.shape) for name, x in states.items()} == {
        f"blocks.{i}.att.time_state": (2, 16, 16) for i in (0, 1)
    }


@pytest.mark.parametrize("method", METHODS, ids=NAMES)
def test_going_on_from_an_adapter(method, tmp_path):
    trainer = trainer_of("7", method, steps=3)
    for _ in trainer.reports():
        pass
    learnt = adapter_of(trainer.model, "ab" * 16)
    write_adapter(learnt, tmp_path / "a.safetensors")
    again = prepared("7", method)
    load_adapter(again, read_adapter(tmp_path / "a.safetensors"))
    for name in trained(again):
        assert torch.equal(again.get_parameter(name), trainer.model.get_parameter(name)), name


def test_adapters_that_do_not_fit_what_is_trained():
    learnt = adapter_of(prepared("7", Lora(rank=4, state=True)))
    for method, message in [
        (Lora(rank=4), "time_state is not trained here"),
        (StateTuning(), "lora_A is not trained here"),
        (Lora(rank=4, targets=("att.key",), state=True), r"output\.lora_A is not trained here"),
        (Lora(rank=3, state=True), r"has shape \(4, 32\), expected \(3, 32\)"),
        (Lora(rank=4, alpha=9, state=True), "has alpha 8, expected 9"),
    ]:
        with pytest.raises(FormatError, match=message):
            load_adapter(prepared("7", method), learnt)
    with pytest.raises(FormatError, match=r"blocks\.0\.att\.key\.lora_A is missing"):
        load_adapter(prepared("7", Lora(rank=4, targets=("att.key",))), Adapter("x", alpha=8))
    with pytest.raises(FormatError, match="holds whole tensors"):
        load_adapter(prepared("7", Lora()), Adapter("x", {}, {"emb.weight": base_of("7").tensors["emb.weight"]}))


def test_a_model_that_begins_with_a_tuned_state_keeps_it(tmp_path):
    trainer = trainer_of("7", StateTuning(), steps=4)
    for _ in trainer.reports():
        pass
    save_checkpoint(as_checkpoint(trainer.model), tmp_path / "tuned.safetensors")
    tokens = TASK.at(77).tokens[:16]
    model = TrainedModel.of(open_checkpoint(tmp_path / "tuned.safetensors"))
    np.testing.assert_array_equal(logits(model, tokens), logits(trainer.model, tokens))
    StateTuning().prepare(model)
    np.testing.assert_array_equal(logits(model, tokens), logits(trainer.model, tokens))
    assert trained(model) == ["blocks.0.att.time_state", "blocks.1.att.time_state"]
    other = TrainedModel.of(open_checkpoint(tmp_path / "tuned.safetensors"))
    Lora(rank=4).prepare(other)
    assert not adapter_of(other).initial_state  # it is the model's, not learnt


class Stopping(Watcher):
    def __init__(self, step: int) -> None:
        self.at, self.resumed_at = step, 0

    def step(self, report):
        if report.step == self.at:
            os.kill(os.getpid(), signal.SIGTERM)

    def resumed(self, step):
        self.resumed_at = step


@pytest.mark.parametrize("method", METHODS, ids=NAMES)
def test_a_run_that_is_stopped_goes_on(tmp_path, method):
    def losses(folder):
        return [line["loss"] for line in read_log(folder / "log.jsonl") if "loss" in line]

    for name in ("whole", "stopped"):
        (tmp_path / name).mkdir()
    assert new_run(tmp_path / "whole", method, steps=8).go()
    assert not new_run(tmp_path / "stopped", method, Stopping(5), steps=8).go()
    watcher = Stopping(0)
    assert new_run(tmp_path / "stopped", method, watcher, steps=8).go()
    assert watcher.resumed_at == 5
    assert losses(tmp_path / "stopped") == losses(tmp_path / "whole")
    assert not list(tmp_path.rglob("model.*"))
    for file in (tmp_path / "whole").glob("*.pth"):
        assert file.read_bytes() == (tmp_path / "stopped" / file.name).read_bytes()


def test_checkpoints_hold_only_what_is_trained(tmp_path):
    run = new_run(tmp_path, StateTuning(base="ab" * 16), steps=4)
    run.go()
    newest = checkpoint.latest(tmp_path)
    held = FileSystemReader(newest.path).read_metadata().state_dict_metadata
    assert {n.removeprefix("model.") for n in held if n.startswith("model.")} == set(trained(run.trainer.model))
    assert not [n for n in held if n.startswith("optimizer.") and "time_state" not in n and "param_groups" not in n]
    assert newest.meta["method"] == {"name": "state", "base": "ab" * 16}


@pytest.mark.parametrize(
    ("other", "message"),
    [
        (StateTuning(), "begun with name='lora', not 'state'"),
        (Lora(rank=5), "begun with rank=4, not 5"),
        (Lora(rank=4, alpha=1), r"begun with alpha=8\.0, not 1\.0"),
        (Lora(rank=4, targets=("att.key",)), "begun with targets="),
        (Lora(rank=4, base="cd"), "begun with base='', not 'cd'"),
    ],
)
def test_another_method_is_another_run(tmp_path, other, message):
    new_run(tmp_path, Lora(rank=4), Stopping(1), steps=4).go()
    with pytest.raises(SettingsError, match=message):
        new_run(tmp_path, other, steps=4).go()


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Lora(rank=0), "rank=0: expected at least 1"),
        (lambda: Lora(alpha=float("inf")), "alpha=inf: expected a number"),
        (lambda: Lora(alpha=-1), "alpha=-1: expected a number"),
        (lambda: prepared("7", Lora(targets=("att.gate",))), r"targets att\.gate: this model has no such matrices"),
        (lambda: prepared("7", Lora(rank=33)), "of 33 or more rows and columns; expected some of a smaller rank"),
        (lambda: prepared("4", StateTuning()), "RWKV-4 has no matrix state to tune"),
        (lambda: prepared("4", Lora(state=True)), "RWKV-4 has no matrix state to tune"),
        (lambda: method_named("dora"), "method 'dora': expected one of full, lora, state, lora"),
        (lambda: method_named("state", rank=4), "method 'state' has no rank"),
    ],
)
def test_impossible_settings(make, message):
    with pytest.raises(SettingsError, match=message):
        make()


def test_methods_by_name():
    assert method_named("lora", rank=8, alpha=None) == Lora(rank=8)
    assert method_named("lora+state", rank=8) == Lora(rank=8, state=True)
    assert method_named("state", base="ab") == StateTuning("ab")
    assert method_named("full") == Full()
    assert Lora().scale == 2
    assert Lora(rank=4, alpha=4).scale == 1
    assert Lora().rates(2048)[0] == pytest.approx(2.2e-4, rel=0.01)


def test_the_adapter_of_a_run_knows_its_model(tmp_path):
    save_checkpoint(base_of("7"), tmp_path / "base.safetensors")
    mark = fingerprint(open_checkpoint(tmp_path / "base.safetensors"))
    method = Lora(rank=4, base=mark)
    method.write(prepared("7", method), tmp_path)
    found = read_adapter(tmp_path / "adapter.safetensors")
    assert (found.base, found.alpha, found.ranks) == (mark, 8.0, [4])
    save_checkpoint(base_of("6"), tmp_path / "other.safetensors")
    with pytest.raises(FormatError, match=mark):
        rookery.load(tmp_path / "other.safetensors", tokenizer=words(50), adapter=found)
    assert LowRank in {type(low) for low in found.low_rank.values()}
    assert read_tensors(tmp_path / "adapter.pth").keys() == read_tensors(tmp_path / "adapter.safetensors").keys()
