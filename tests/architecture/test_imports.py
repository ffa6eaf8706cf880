"""
Imports point one way, as drawn in docs/architecture.md, and importing is light.
"""

from __future__ import annotations

import subprocess
import sys

import pytest
from sources import Import, imports

import rookery

# From the bottom up.  What is named nowhere is an application of a model: above the engine, below the command line.
LAYERS = (
    {"errors", "_native"},
    {"builtin"},
    {"chain", "config", "models", "quant", "sampling", "stopping"},
    {"fingerprint", "layout", "weights"},
    {"formats", "ops", "state"},
    {"adapter", "initialise", "otherstates", "parameters", "statefile", "tokenizer"},
    {"cache", "model"},
    {"generation"},
    {"engine"},
    {"applications"},
    {"cli"},
    {"__main__"},
)
LEVEL = {unit: level for level, units in enumerate(LAYERS) for unit in units}
APPLICATIONS = LEVEL["applications"]

# Methods that open a door to the layer above, for the caller's convenience: `model.generate`, `state.save`.
DOORS = {("model", "engine"), ("state", "statefile"), ("state", "otherstates")}

# Third-party packages: who may import them, and when.
GUESTS = {
    "numpy": "anyone",
    "click": "cli",
    "rich": "cli",
    "prompt_toolkit": "cli",
    "platformdirs": "running",
    "tokenizers": "running",
    "torch": "running",
    "rwkv": "running",
    "matplotlib": "running",
    "safetensors": "running",
    "pyarrow": "running",
    "datasets": "running",
    "llama_cpp": "loading",  # in bench.peer_llama alone, which only the peer's own process loads
}
TORCH = ("train.", "ops.torch", "ops.wkv", "ops.fused")  # loaded by who trains: they may import torch as they load
TRITON = ("ops.wkv.chunked", "ops.wkv.recurrent")  # loaded when a kernel is first wanted
PEER = "bench.peer_process"  # a process of its own, to compare with
STANDARD = sys.stdlib_module_names | {"__future__"}
ALL = imports()


def level(unit: str) -> int:
    return LEVEL.get(unit, APPLICATIONS)


def own(when: set[str]) -> list[Import]:
    """Imports of one of our units by another."""
    return [i for i in ALL if i.target_unit and i.target_unit not in (i.unit, "__version__") and i.when in when]


def test_there_is_something_to_look_at():
    assert len(own({"loading"})) > 50
    assert {"model", "ops", "formats", "cli", "engine"} <= {i.unit for i in ALL}


def test_imports_point_down():
    bad = [
        str(i)
        for i in own({"loading", "running"})
        if level(i.target_unit) >= level(i.unit)
        and not level(i.unit) == level(i.target_unit) == APPLICATIONS
        and not (i.when == "running" and (i.unit, i.target_unit) in DOORS)
    ]
    assert bad == []


def test_applications_import_each_other_without_circles():
    edges: dict[str, set[str]] = {}
    for i in own({"loading"}):
        edges.setdefault(i.unit, set()).add(i.target_unit)

    def reaches(start: str, goal: str, seen: set[str]) -> bool:
        for unit in edges.get(start, set()) - seen:
            seen.add(unit)
            if unit == goal or reaches(unit, goal, seen):
                return True
        return False

    assert [unit for unit in edges if reaches(unit, unit, set())] == []


def test_the_mathematics_imports_nothing():
    """Not even types: a definition sees the ops and its parameters, and nothing else."""
    allowed = {"__future__", "typing", "types"}
    bad = [str(i) for i in ALL if i.unit == "models" and i.target_unit != "models" and i.target not in allowed]
    assert bad == []


@pytest.mark.parametrize("unit", ["formats", "quant", "tokenizer", "sampling", "ops"])
def test_the_parts_of_a_model_do_not_know_it(unit):
    above = {"model", "state", "engine", "generation", "chat", "cli"}
    assert [str(i) for i in ALL if i.unit == unit and i.target_unit in above] == []


def test_guests_stay_where_they_belong():
    bad = []
    for i in ALL:
        name = i.target.partition(".")[0]
        if name == "rookery" or name in STANDARD or i.importer == PEER:
            continue
        if (name == "torch" and i.importer.startswith(TORCH)) or (name == "triton" and i.importer in TRITON):
            continue
        rule = GUESTS.get(name, "nobody")
        if not (rule == "anyone" or (rule == "cli" and i.unit == "cli") or (rule == i.when) or i.when == "checking"):
            bad.append(f"{i}; allowed: {rule}")
    assert bad == []


def imported_by(statement: str) -> set[str]:
    """Every module that a fresh interpreter has loaded after a statement."""
    code = f"{statement}\nimport sys\nprint('\\n'.join(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(done.stdout.split())


HEAVY = {"torch", "triton", "tokenizers", "rich", "prompt_toolkit", "gguf", "safetensors", "platformdirs", "click"}


def test_importing_rookery_imports_nothing_else():
    loaded = imported_by("import rookery")
    assert not loaded & (HEAVY | {"numpy"})
    assert {name for name in loaded if name.startswith("rookery.")} == set()


@pytest.mark.parametrize("name", ["load", "Engine", "open_checkpoint", "Sampler", "State"])
def test_the_library_needs_numpy_only(name):
    loaded = imported_by(f"import rookery; rookery.{name}")
    assert not loaded & HEAVY


def test_the_public_names():
    assert rookery.__all__ == sorted(rookery.__all__)
    assert set(rookery.__all__) == set(rookery._HOMES)
    assert dir(rookery) == sorted([*rookery.__all__, "__version__"])
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = rookery.nothing


@pytest.mark.parametrize("name", rookery.__all__)
def test_a_public_name_is_public_at_home_too(name):
    thing = getattr(rookery, name)
    home = sys.modules[rookery._HOMES[name]]
    assert getattr(home, name) is thing
    assert name in home.__all__
    assert thing.__doc__
