"""Which part of one network is which of another: pairs of operations, blocks and stages.

Stages are paired by name, or else by order; the blocks of a stage from its start, except that a last block of another structure
stays the last; operations by what they are, their names and their shapes. The order of both networks is kept, so an operation
that was inserted has no partner, and those around it keep theirs.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace

from resnet_spec.graph.model import INPUT, Graph, Item, Region, tree
from resnet_spec.ops import Operation, Window

MOST_PAIRS = 60_000  # of items of two sequences: beyond it, they are paired by name and position alone

# What speaks for a pair. Two parts whose pair scores 0 are never paired.
SAME_OPERATION, SAME_FAMILY = 8, 4
SAME_KIND, SAME_LABEL, SAME_ROLE = 1, 6, 8
SAME_NAME, SAME_WINDOW, SAME_SHAPE = 5, 2, 1
_EXCHANGED = ("convolution", "normalization", "activation", "pooling", "join")  # families in which one replaces another


@dataclass(frozen=True, slots=True)
class Alignment:
    """Pairs of positions of nodes and of regions (in `graph.nodes` and `graph.regions`), the first network's first.

    They are in the order of the networks. Whatever is in no pair is only in one of them.
    """

    nodes: tuple[tuple[int, int], ...]
    regions: tuple[tuple[int, int], ...]

    def mirrored(self) -> Alignment:
        """The alignment of the second network with the first one."""
        return Alignment(
            tuple((second, first) for first, second in self.nodes), tuple((second, first) for first, second in self.regions)
        )


def align(first: Graph, second: Graph) -> Alignment:
    """Pair the parts of two networks; takes time proportional to their sizes where they are similar."""
    sides = (_Side(first), _Side(second))
    nodes: list[tuple[int, int]] = []
    regions: list[tuple[int, int]] = []
    pending: list[tuple[Sequence[_Part], Sequence[_Part]]] = [(sides[0].parts, sides[1].parts)]
    while pending:
        for one, other in _pair(*pending.pop()):
            if one.region is None or other.region is None:
                nodes.append((one.start, other.start))
            else:
                regions.append((one.region, other.region))
                pending.append((one.parts, other.parts))
    nodes.sort()
    regions += _pair_sequences(first, second, dict(nodes))
    return Alignment(tuple(nodes), tuple(sorted(regions)))


@dataclass(slots=True, eq=False)
class _Part:
    """An operation, a block or a stage. `role` is what its operations are, without their sizes: equal blocks have equal roles.

    The operations of a sequence are parts of what is around it.
    """

    name: str
    start: int
    kind: str
    label: str
    role: tuple[object, ...]
    in_stage: bool
    op: Operation | None = None
    window: Window | None = None
    shape: tuple[int, ...] = ()
    region: int | None = None
    parts: list[_Part] = field(default_factory=list)


class _Side:
    """One network as nested parts."""

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.positions = {id(region): position for position, region in enumerate(graph.regions)}
        self.parts = list(self._open(tree(graph), "", False))

    def _open(self, items: Sequence[Item], prefix: str, in_stage: bool) -> Iterator[_Part]:
        for item in items:
            name = prefix + item.name
            if item.region is None:
                node = self.graph.nodes[item.start]
                role = (node.op.family, len(node.inputs))
                yield _Part(name, item.start, "node", "", role, in_stage, node.op, node.op.window(), node.shape)
            elif item.region.kind == "sequential":
                yield from self._open(item.items, "" if item.region.inline else name + ".", in_stage)
            else:
                yield self._enclose(item, item.region, name, in_stage)

    def _enclose(self, item: Item, region: Region, name: str, in_stage: bool) -> _Part:
        parts = list(self._open(item.items, "", region.kind == "stage"))
        role = (region.kind, *(part.role for part in parts[:64]))
        at = self.positions[id(region)]
        return _Part(name, item.start, region.kind, region.label, role, in_stage, region=at, parts=parts)


def _pair(first: Sequence[_Part], second: Sequence[_Part]) -> Iterator[tuple[_Part, _Part]]:
    """Pair the parts of two sequences, in order. A block that has no partner there is open: its operations may have some."""
    first, second = _open_lonely(first, second), _open_lonely(second, first)
    start = 0
    while start < min(len(first), len(second)) and _is_same(first[start], second[start]):
        yield first[start], second[start]
        start += 1
    end = 0
    while end < min(len(first), len(second)) - start and _is_same(first[-1 - end], second[-1 - end]):
        yield first[-1 - end], second[-1 - end]
        end += 1
    yield from _pair_between(first[start : len(first) - end], second[start : len(second) - end])


def _open_lonely(parts: Sequence[_Part], others: Sequence[_Part]) -> Sequence[_Part]:
    """Parts, where the blocks of no stage that resemble none of the others are replaced by what is in them."""
    blocks = [other for other in others if other.kind == "block"]
    known = {key for other in blocks for key in (other.name, other.label, other.role)}
    found: list[_Part] = []
    for part in parts:
        if part.kind != "block" or part.in_stage or not known.isdisjoint((part.name, part.label, part.role)):
            found.append(part)
            continue
        inside = [replace(each, name=f"{part.name}.{each.name}", in_stage=False) for each in part.parts]
        found += _open_lonely(inside, others)
    return found


def _is_same(one: _Part, other: _Part) -> bool:
    """Whether two parts at the same place are surely partners: they have one name, and the same structure."""
    return one.name == other.name and one.kind == other.kind and one.role == other.role


def _pair_between(first: Sequence[_Part], second: Sequence[_Part]) -> Iterator[tuple[_Part, _Part]]:
    if not first or not second:
        return
    if len(first) * len(second) > MOST_PAIRS:
        yield from _pair_by_name(first, second)
        return
    # best[i][j]: the highest score of first[i:] and second[j:]. Of equal ones, the earliest pairs are taken.
    scores = [[_score(one, other) for other in second] for one in first]
    best = [[0] * (len(second) + 1) for _ in range(len(first) + 1)]
    for i in range(len(first) - 1, -1, -1):
        row, below, score = best[i], best[i + 1], scores[i]
        for j in range(len(second) - 1, -1, -1):
            found = below[j] if below[j] > row[j + 1] else row[j + 1]
            if score[j] and score[j] + below[j + 1] > found:
                found = score[j] + below[j + 1]
            row[j] = found
    i = j = 0
    while i < len(first) and j < len(second):
        if scores[i][j] and best[i][j] == scores[i][j] + best[i + 1][j + 1]:
            yield first[i], second[j]
            i, j = i + 1, j + 1
        elif best[i][j] == best[i + 1][j]:
            i += 1
        else:
            j += 1


def _pair_by_name(first: Sequence[_Part], second: Sequence[_Part]) -> Iterator[tuple[_Part, _Part]]:
    """Pair parts of equal names in order, and others at the same distance from these."""
    places = {part.name: at for at, part in enumerate(second)}
    at = 0
    for number, part in enumerate(first):
        named = places.get(part.name, -1)
        place = named if named >= at and _score(part, second[named]) else at
        if named >= 0 and place != named:
            continue
        if (
            place < len(second)
            and _score(part, second[place])
            and (place == named or len(second) - place >= len(first) - number)
        ):
            yield part, second[place]
            at = place + 1


def _score(one: _Part, other: _Part) -> int:
    """How much speaks for a pair; 0: these are not partners."""
    if one.kind != other.kind:
        return 0
    named = SAME_NAME if one.name == other.name else 0
    if one.op is None or other.op is None:
        alike = (SAME_LABEL if one.label == other.label else 0) + (SAME_ROLE if one.role == other.role else 0)
        any_block = one.kind == "stage" or (one.in_stage and other.in_stage)
        return SAME_KIND + named + alike if named or alike or any_block else 0
    if type(one.op) is type(other.op):
        alike = SAME_OPERATION
    elif one.op.family == other.op.family in _EXCHANGED:
        alike = SAME_FAMILY
    else:
        return named and 1
    window = SAME_WINDOW if one.window == other.window else 0
    return alike + named + window + (SAME_SHAPE if one.shape == other.shape else 0)


def _pair_sequences(first: Graph, second: Graph, nodes: dict[int, int]) -> Iterator[tuple[int, int]]:
    """Pair the sequences whose first operations are partners, and whose last ones are."""
    places = {(region.start, region.stop - 1): at for at, region in enumerate(second.regions) if region.kind == "sequential"}
    for at, region in enumerate(first.regions):
        if region.kind == "sequential":
            key = nodes.get(region.start, INPUT), nodes.get(region.stop - 1, INPUT)
            if key in places:
                yield at, places.pop(key)
