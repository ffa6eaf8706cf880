"""
From a trace to a plan: which ops go together, and what exists in memory between them.

Products, recurrences and shifts are *boundaries*: what they read must exist in memory.  A value's *level* is the number
of boundaries on the longest way to it.  The row-wise ops of a level and a width are one group.

Between groups a value may be kept in memory or computed again.  A group computes again what needs at most MOST_SOURCES
values that it does not read anyway: the difference of two rows for a token shift, a gate's sigmoid.  What it keeps
would be as much.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from rookery.ops.fused.trace import ROW_WISE, Node, Trace, Value

__all__ = ["Group", "Plan", "plan"]

MOST_SOURCES = 1
_AHEAD = ("linear", "wkv4", "wkv6", "wkv7")  # boundaries whose results are a level above what they read
_READERS = (*_AHEAD, "shift", "last")


@dataclass(slots=True)
class Group:
    """Row-wise ops of one width.

    sources: ids of what it reads: values, and shifts of values.  vectors: of the parameters it reads.
    ops, outputs: of what it computes, in order, and what of that exists in memory afterwards.
    """

    columns: int
    sources: set[int] = field(default_factory=set)
    vectors: set[int] = field(default_factory=set)
    ops: set[int] = field(default_factory=set)
    outputs: set[int] = field(default_factory=set)


@dataclass(frozen=True, slots=True)
class Plan:
    """What a call does.

    steps:  groups, and ids of nodes that are computed by themselves, in order.
    drops:  for each step, the ids that nobody reads after it.
    slim:   ids that only products and groups read: in memory they may have the type that products are computed in.
    outputs: ids of what the trace was asked for.
    """

    nodes: list[Node]
    steps: list[Group | int]
    drops: list[list[int]]
    slim: frozenset[int]
    outputs: tuple[int, ...]


def plan(trace: Trace, outputs: Iterable[Value]) -> Plan:
    """The plan of a trace of which `outputs` are wanted."""
    whole = tuple(trace.whole(x).id for x in outputs)
    planner = _Planner(trace.nodes, whole)
    steps = planner.steps()
    return Plan(trace.nodes, steps, _drops(trace.nodes, steps, whole), planner.slim(), whole)


class _Planner:
    def __init__(self, nodes: list[Node], outputs: tuple[int, ...]) -> None:
        self.nodes, self.outputs = nodes, outputs
        self.level: list[int] = []
        for node in nodes:
            self.level.append(self._level(node))
        self.wanted = self._wanted()  # nodes that something wanted depends on
        self.targets = self._targets()  # row-wise results that exist in memory, and the level that computes them

    def _level(self, node: Node) -> int:
        below = max((self.level[i] for i in node.inputs), default=0)
        if node.name == "shift":
            return below + (self.nodes[node.inputs[0]].name in ROW_WISE)
        return below + (node.name in _AHEAD)

    def _wanted(self) -> set[int]:
        found = set(self.outputs)
        for id in range(len(self.nodes) - 1, -1, -1):
            if id in found:
                found.update(self.nodes[id].inputs)
        return found

    def _targets(self) -> dict[int, int]:
        """What boundaries read and what is wanted; as late as it is read, where that costs no memory."""
        latest: dict[int, int] = {}
        for id in self.wanted:
            node = self.nodes[id]
            if node.name not in _READERS:
                continue
            for i in node.inputs:
                ahead = node.name in _AHEAD or (node.name == "shift" and self.nodes[i].name in ROW_WISE)
                latest[i] = min(latest.get(i, self.level[id]), self.level[id] - ahead)
        latest |= {i: self.level[i] for i in self.outputs}
        return {
            i: at if len(self._bases(self._cone(i, {}))) <= MOST_SOURCES else self.level[i]
            for i, at in latest.items()
            if self.nodes[i].name in ROW_WISE
        }

    def _cone(self, id: int, targets: dict[int, int]) -> set[int]:
        """The sources that a row-wise result is computed from, where those in `targets` exist."""
        found: set[int] = set()
        for i in self.nodes[id].inputs:
            if self.nodes[i].name in ROW_WISE and i not in targets:
                found |= self._cone(i, targets)
            elif self.nodes[i].columns:
                found.add(i)
        return found

    def _bases(self, sources: Iterable[int]) -> set[int]:
        """A shift reads what it shifts."""
        return {self.nodes[i].inputs[0] if self.nodes[i].name == "shift" else i for i in sources}

    def steps(self) -> list[Group | int]:
        groups = {level: self._groups(level) for level in range(max(self.level), -1, -1)}
        found: list[Group | int] = [i for i in sorted(self.wanted) if self.nodes[i].name == "eager"]
        for level in sorted(groups):
            found += [i for i in sorted(self.wanted) if self.nodes[i].name in _AHEAD and self.level[i] == level]
            found += groups[level]
            found += [i for i in sorted(self.wanted) if self.nodes[i].name == "last" and self.level[i] == level]
        return found

    def _groups(self, level: int) -> list[Group]:
        """The groups that compute the targets of a level; may add targets to the levels below."""
        groups: dict[int, Group] = {}
        for id in sorted(i for i, at in self.targets.items() if at == level):
            columns = self.nodes[id].columns
            group = groups.setdefault(columns, Group(columns))
            group.outputs.add(id)
        for group in groups.values():
            crossing: list[int] = []
            for id in group.outputs:
                self._pull(group, id, level, crossing)
            for id in sorted(crossing, reverse=True):
                self._cross(group, id)
        return list(groups.values())

    def _pull(self, group: Group, id: int, level: int, crossing: list[int] | None) -> None:
        """Put an op and what it needs into a group; results of other levels into `crossing`, if there is one."""
        if id in group.ops:
            return
        group.ops.add(id)
        for i in self.nodes[id].inputs:
            if self.nodes[i].name in ROW_WISE:
                made = self.targets.get(i, level)
                if made < level:
                    group.sources.add(i)
                elif crossing is None or self.level[i] == level or i in self.targets:
                    self._pull(group, i, level, crossing)
                else:
                    crossing.append(i)
            else:
                (group.sources if self.nodes[i].columns else group.vectors).add(i)

    def _cross(self, group: Group, id: int) -> None:
        """A result of a lower level is computed again, or kept there."""
        if id in group.ops or id in group.sources:
            return
        more = self._bases(self._cone(id, self.targets)) - self._bases(group.sources)
        if len(more) <= MOST_SOURCES:
            self._pull(group, id, self.level[id] + 1, None)
        else:
            self.targets[id] = self.level[id]
            group.sources.add(id)

    def slim(self) -> frozenset[int]:
        readers: dict[int, set[str]] = {}
        for id in self.wanted:
            for i in self.nodes[id].inputs:
                readers.setdefault(i, set()).add(self.nodes[id].name)
        products = {i for i in self.wanted if self.nodes[i].name == "linear"}
        return frozenset(
            {i for i in products if readers.get(i, set()) <= {"linear", *ROW_WISE}} - set(self.outputs)
            | {i for i in self.targets if readers.get(i) == {"linear"}} - set(self.outputs)
        )


def reads(nodes: list[Node], step: Group | int) -> set[int]:
    """Ids of what a step reads."""
    if not isinstance(step, Group):
        return set(nodes[step].inputs)
    found = step.vectors | step.sources
    for i in step.sources:
        if nodes[i].name == "shift":
            found |= set(nodes[i].inputs)
    return found


def _drops(nodes: list[Node], steps: list[Group | int], outputs: tuple[int, ...]) -> list[list[int]]:
    last: dict[int, int] = {}
    for at, step in enumerate(steps):
        last |= dict.fromkeys(reads(nodes, step), at)
    drops: list[list[int]] = [[] for _ in steps]
    for id, at in last.items():
        if id not in outputs and nodes[id].name != "shift":
            drops[at].append(id)
    return drops
