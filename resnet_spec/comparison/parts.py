"""Where two networks differ: operations, blocks and stages that only one of them has, and what changed in the others."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from resnet_spec.analysis.cost import Cost
from resnet_spec.analysis.sized import SizedGraph
from resnet_spec.comparison.align import Alignment
from resnet_spec.graph.model import INPUT, Item, Node, tree
from resnet_spec.ops import Operation, fields_of

PartKind = Literal["added", "removed", "changed", "resized", "rewired", "renamed"]
Change = tuple[str, object, object]  # the name of a field, and its values; an empty name: the operation itself


@dataclass(frozen=True, slots=True)
class Part:
    """Operations or blocks that differ in one way. `params` and `macs` are by how much the second network has more of them.

    An `added` part is only in the second network, a `removed` one only in the first. Operations are `changed` where a spec
    would write them differently, `resized` where only their sizes follow from another change, `rewired` where they read other
    values, and `renamed` where they have another name, in addition to all this.

    `what` is the operation or the block, `within` the stage of blocks. `names` are those in the network that has the part, or
    in the first one; `partners` are those in the second.
    """

    kind: PartKind
    what: str
    within: str
    is_block: bool
    changes: tuple[Change, ...]
    names: tuple[str, ...]
    partners: tuple[str, ...]
    params: int
    macs: int

    @property
    def count(self) -> int:
        return len(self.names)


def list_parts(first: SizedGraph, second: SizedGraph, alignment: Alignment) -> tuple[Part, ...]:
    """The parts in which two networks differ; what they cost adds up to the difference of the networks' costs."""
    groups = _Groups()
    one, other = {pair[0] for pair in alignment.nodes}, {pair[1] for pair in alignment.nodes}
    for unit in _list_alone(second, other):
        groups.add_unit("added", unit, 1)
    for unit in _list_alone(first, one):
        groups.add_unit("removed", unit, -1)
    partners = dict(alignment.nodes)
    for before, after in alignment.nodes:
        groups.add_pair(first, second, before, after, partners, other)
    order: list[PartKind] = ["added", "removed", "changed", "resized", "rewired", "renamed"]
    return tuple(sorted(groups.list(), key=lambda part: order.index(part.kind)))


@dataclass(frozen=True, slots=True)
class _Unit:
    """An operation or a block of which nothing is in the other network."""

    name: str
    what: str
    within: str
    place: str  # its name in what is around it; empty for the blocks of a stage
    is_block: bool
    cost: Cost


def _list_alone(sized: SizedGraph, paired: set[int]) -> Iterator[_Unit]:
    """The outermost parts that have no partner: blocks, and operations of others."""
    graph = sized.graph
    alone = [0]  # how many of the nodes before a position have no partner
    for position in range(len(graph.nodes)):
        alone.append(alone[-1] + (position not in paired))
    pending: list[tuple[Item, str, str]] = [(item, "", "") for item in reversed(tree(graph))]
    while pending:
        item, prefix, stage = pending.pop()
        count = alone[item.stop] - alone[item.start]
        if not count:
            continue
        region = item.region
        name = item.name if region is not None and region.inline else prefix + item.name
        if region is None:
            yield _Unit(name, graph.nodes[item.start].op.name, "", item.name, False, sized.costs[item.start])
        elif count == item.stop - item.start and region.kind == "block":
            within = stage if prefix == stage + "." else ""
            yield _Unit(name, region.label, within, "" if within else item.name, True, sized.total(item.start, item.stop))
        else:
            below = prefix if region.inline else name + "."
            stage = name if region.kind == "stage" else stage
            pending += [(each, below, stage) for each in reversed(item.items)]


class _Groups:
    """Parts that differ in the same way are one."""

    def __init__(self) -> None:
        self.found: dict[tuple[object, ...], tuple[list[str], list[str], list[int]]] = {}
        self.known: dict[tuple[int, int], tuple[Change, ...]] = {}

    def list(self) -> Iterator[Part]:
        for key, (names, partners, costs) in self.found.items():
            kind, what, within, is_block, changes, _ = key
            yield Part(kind, what, within, is_block, changes, tuple(names), tuple(partners), *costs)  # type: ignore[arg-type]

    def add(self, key: tuple[object, ...], name: str, partner: str, params: int, macs: int) -> None:
        names, partners, costs = self.found.setdefault(key, ([], [], [0, 0]))
        names.append(name)
        if partner:
            partners.append(partner)
        costs[0] += params
        costs[1] += macs

    def add_unit(self, kind: PartKind, unit: _Unit, sign: int) -> None:
        key = (kind, unit.what, unit.within, unit.is_block, (), unit.place)
        self.add(key, unit.name, "", sign * unit.cost.params, sign * unit.cost.macs)

    def add_pair(
        self, first: SizedGraph, second: SizedGraph, before: int, after: int, partners: dict[int, int], other: set[int]
    ) -> None:
        one, two = first.graph.nodes[before], second.graph.nodes[after]
        params = second.costs[after].params - first.costs[before].params
        macs = second.costs[after].macs - first.costs[before].macs
        changes = self._compare(one, two)
        what = one.op.name
        if changes:
            self.add(("changed", what, "", False, changes, ""), one.name, two.name, params, macs)
        elif params or macs or first.shapes[before] != second.shapes[after]:
            self.add(("resized", "", "", False, (), ""), one.name, two.name, params, macs)
        if self._is_rewired(one, two, partners, other):
            self.add(("rewired", "", "", False, (), ""), one.name, two.name, 0, 0)
        if one.name != two.name:
            self.add(("renamed", "", "", False, (), ""), one.name, two.name, 0, 0)

    def _compare(self, one: Node, two: Node) -> tuple[Change, ...]:
        key = (id(one.op), id(two.op))
        if key not in self.known:
            self.known[key] = () if one.op is two.op else _compare_operations(one.op, two.op)
        init: tuple[Change, ...] = (("init", one.init, two.init),) if one.init != two.init else ()
        return (*self.known[key], *init)

    @staticmethod
    def _is_rewired(one: Node, two: Node, partners: dict[int, int], other: set[int]) -> bool:
        """Whether an operation reads other values, all of which both networks have."""
        if not all(value == INPUT or value in partners for value in one.inputs):
            return False
        if not all(value == INPUT or value in other for value in two.inputs):
            return False
        return [partners.get(value, INPUT) for value in one.inputs] != list(two.inputs)


def _compare_operations(one: Operation, other: Operation) -> tuple[Change, ...]:
    """What a spec would write differently."""
    if one == other:
        return ()
    if type(one) is not type(other):
        return (("", one.name, other.name),)
    fields: Sequence[str] = [field.name for field in dataclasses.fields(one) if field.name in fields_of(type(one))]
    values = [(name, getattr(one, name), getattr(other, name)) for name in fields]
    return tuple((name, before, after) for name, before, after in values if before != after)
