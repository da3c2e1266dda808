"""Which layer of a file is which of a network where their names differ, by structure: modules, order and shapes.

Layers are the leaves of the tree of modules that names describe. Two modules are partners if they hold layers of equal kinds
and shapes, and nothing else in the same place does; a module without a partner is opened. Where several modules are equal,
their names decide, or their numbers, or their order in the file.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Literal

from resnet_spec.graph.model import Graph
from resnet_spec.ops import Shape

Certainty = Literal["certain", "likely", "ambiguous"]
COUNTER = "num_batches_tracked"
SUFFIXES = ("weight", "bias", "running_mean", "running_var", COUNTER)
_ORDER: tuple[Certainty, ...] = ("certain", "likely", "ambiguous")
_NUMBER = re.compile(r"\d+")
_MOST_ROUNDS = 64
_MOST_BEGINNING, _MOST_TRIED = 4, 8  # parts of a beginning that is tried, and how many of them are
_MOST_DEPTH = 64  # of modules in each other


@dataclass(frozen=True, slots=True)
class LayerTensors:
    """The tensors of one module: their last names and shapes. A tensor of another last name is a layer of its own."""

    name: str
    tensors: Mapping[str, Shape]

    @property
    def kind(self) -> tuple[tuple[str, Shape], ...]:
        """What it is, apart from its name. Counters of batches do not count: old files lack them."""
        return tuple(sorted((name, shape) for name, shape in self.tensors.items() if name != COUNTER))

    def key(self, tensor: str) -> str:
        """The whole name of one of its tensors."""
        return f"{self.name}.{tensor}" if tensor and self.name else self.name or tensor


@dataclass(frozen=True, slots=True)
class LayerPair:
    """A layer of a network, one of a file, and how sure it is that they are the same. `others` it may be as well."""

    own: LayerTensors
    source: LayerTensors
    certainty: Certainty
    others: tuple[str, ...] = ()


def list_layers(shapes: Mapping[str, Shape]) -> list[LayerTensors]:
    """Group tensors into layers, in the order of the mapping."""
    found: dict[str, dict[str, Shape]] = {}
    for key, shape in shapes.items():
        name, _, last = key.rpartition(".")
        if last in SUFFIXES:
            found.setdefault(name, {})[last] = shape
        else:
            found.setdefault(key, {})[""] = shape
    return [LayerTensors(name, tensors) for name, tensors in found.items()]


def find_renaming(
    own: Mapping[str, Shape], found: Mapping[str, Shape], beginning: str = "", graph: Graph | None = None
) -> list[LayerPair] | None:
    """Match all layers of a network with those of a file, or of a part of it, by structure; None where that is not possible.

    The part is what has the `beginning`, or the first that holds as many layers as the network.
    """
    runs_before = None if graph is None else _Dependence(graph).runs_before
    parts = [found, {name: shape for name, shape in found.items() if name.startswith(beginning)}] if beginning else [found]
    for part in parts:
        if (pairs := match_structure(own, part, runs_before)) is not None:
            return pairs
    count, inside = len(list_layers(own)), Counter[str]()
    for layer in list_layers(found):
        names = layer.name.split(".")[:_MOST_BEGINNING]
        inside.update(".".join(names[:at]) + "." for at in range(1, len(names)))
    for begin in [begin for begin, layers in inside.items() if layers == count][:_MOST_TRIED]:
        part = {name: shape for name, shape in found.items() if name.startswith(begin)}
        if (pairs := match_structure(own, part, runs_before)) is not None:
            return pairs
    return None


def list_renamed(pairs: Iterable[LayerPair]) -> dict[str, str]:
    """The name in the file of each tensor of paired layers."""
    return {
        pair.own.key(tensor): pair.source.key(tensor)
        for pair in pairs
        for tensor in pair.own.tensors
        if tensor in pair.source.tensors
    }


class _Dependence:
    """Which operation of a graph depends on which other one."""

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.positions = {node.name: position for position, node in enumerate(graph.nodes)}

    def runs_before(self, one: str, other: str) -> bool:
        """Whether the operation `other` depends on `one`."""
        first, second = self.positions.get(one), self.positions.get(other)
        return first is not None and second is not None and first in self.graph.needed_by([second])


def match_structure(
    own: Mapping[str, Shape], found: Mapping[str, Shape], runs_before: Callable[[str, str], bool] | None = None
) -> list[LayerPair] | None:
    """Match all layers of a network with all layers of a file, whatever their names; None where that is not possible.

    A last layer for other classes and a first one for other channels may differ in that.

    Args:
        own, found: shapes by name, in the order of the network and of the file.
        runs_before: whether a layer of the network depends on another one, by their names.
    """
    ours, theirs = list_layers(own), list_layers(found)
    if len(ours) != len(theirs) or not ours:
        return None
    kinds = _number_kinds(ours, theirs)
    if kinds is None:
        return None
    ordered = list(found) != sorted(found)  # safetensors sort their names, so that their order means nothing
    one, other = _Tree.plant(ours, kinds[0]), _Tree.plant(theirs, kinds[1])
    return None if one is None or other is None else _Matcher(ordered, runs_before).match(one, other)


def _number_kinds(ours: Sequence[LayerTensors], theirs: Sequence[LayerTensors]) -> tuple[list[int], list[int]] | None:
    """The kind of each layer as a number, on both sides; None where they are not the same kinds equally often."""
    numbers: dict[object, int] = {}
    one, other = ([numbers.setdefault(layer.kind, len(numbers)) for layer in layers] for layers in (ours, theirs))
    more, fewer = Counter(one) - Counter(other), Counter(other) - Counter(one)
    if not more and not fewer:
        return one, other
    if sum(more.values()) > 2:
        return None
    for at, kind in enumerate(one):
        if more[kind] > 0:
            alike = [to for to, theirs_kind in enumerate(other) if fewer[theirs_kind] > 0 and _is_fitted(ours[at], theirs[to])]
            if len(alike) != 1:
                return None
            more[kind] -= 1
            fewer[other[alike[0]]] -= 1
            one[at] = other[alike[0]] = len(numbers) + at
    return None if +fewer else (one, other)


def _is_fitted(ours: LayerTensors, theirs: LayerTensors) -> bool:
    """Whether two layers differ in the number of classes alone, or in the channels of images alone."""
    if ours.tensors.keys() != theirs.tensors.keys() or "weight" not in ours.tensors:
        return False
    one, other = ours.tensors["weight"], theirs.tensors["weight"]
    if len(one) == len(other) == 4 and other[1] == 3 != one[1] and (one[0], one[2:]) == (other[0], other[2:]):
        return all(shape == theirs.tensors[name] for name, shape in ours.tensors.items() if name != "weight")
    return one[1:] == other[1:] and set(ours.tensors) <= {"weight", "bias"} and len(one) in (2, 4)


@dataclass(slots=True, eq=False)
class _Tree:
    """A module, or a layer. `bag` is which kinds of layers it holds, and how often."""

    path: str
    layer: LayerTensors | None = None
    children: dict[str, _Tree] = field(default_factory=dict)
    kinds: list[int] = field(default_factory=list)
    bag: tuple[int, ...] = ()
    place: int = 0  # of its first layer, in the order of the network or of the file

    @staticmethod
    def plant(layers: Sequence[LayerTensors], kinds: Sequence[int]) -> _Tree | None:
        """The tree of all layers; None where names are nested too deeply."""
        root = _Tree("")
        for place, (layer, kind) in enumerate(zip(layers, kinds, strict=True)):
            parts = layer.name.split(".")
            if len(parts) > _MOST_DEPTH:
                return None
            node = root
            node.kinds.append(kind)
            for part in parts:
                if part not in node.children:
                    node.children[part] = _Tree(f"{node.path}.{part}" if node.path else part, place=place)
                node = node.children[part]
                node.kinds.append(kind)
            node.layer = layer
        root._sort()
        return root

    def _sort(self) -> None:
        if self.layer is not None and self.children:  # a module that has tensors of its own: they are a layer in it
            mine = _Tree(self.path, self.layer, place=self.place, kinds=self.kinds[:1])
            self.children = {"": mine, **self.children}
            self.layer = None
        for child in self.children.values():
            child._sort()
        self.bag = tuple(sorted(self.kinds))

    def inside(self) -> Iterator[_Tree]:
        yield from self.children.values()

    def leaves(self) -> Iterator[_Tree]:
        if self.layer is not None:
            yield self
        for child in self.children.values():
            yield from child.leaves()


class _Matcher:
    """Pairs the layers of two trees that hold the same kinds of layers."""

    def __init__(self, ordered: bool, runs_before: Callable[[str, str], bool] | None) -> None:
        self.ordered = ordered
        self.runs_before = runs_before
        self.pairs: list[LayerPair] = []

    def match(self, one: _Tree, other: _Tree) -> list[LayerPair] | None:
        """The pairs, in the order of the network; None where there is no such matching."""
        pending: list[tuple[_Tree, _Tree, Certainty, tuple[str, ...]]] = [(one, other, "certain", ())]
        places = {leaf.path: leaf.place for leaf in one.leaves()}
        while pending:
            one, other, certainty, others = pending.pop()
            if one.layer is not None and other.layer is not None:
                self.pairs.append(LayerPair(one.layer, other.layer, certainty, others))
                continue
            found = self._match_inside(one, other)
            if found is None:
                return None
            pending += [
                (first, second, max(certainty, each, key=_ORDER.index), also or others) for first, second, each, also in found
            ]
        return sorted(self.pairs, key=lambda pair: places[pair.own.name])

    def _match_inside(self, one: _Tree, other: _Tree) -> list[tuple[_Tree, _Tree, Certainty, tuple[str, ...]]] | None:
        """Pair what is in two modules: what is equal; and what has no equal is opened."""
        # A module may have to be opened on one side alone: the other one is a layer, or is written without it.
        ours = list(one.inside()) if one.layer is None else [one]
        theirs = list(other.inside()) if other.layer is None else [other]
        found: list[tuple[_Tree, _Tree, Certainty, tuple[str, ...]]] = []
        for _ in range(_MOST_ROUNDS):
            bags = _by_bag(ours), _by_bag(theirs)
            equal = [bag for bag, nodes in bags[0].items() if len(bags[1].get(bag, ())) == len(nodes)]
            for bag in equal:
                found += self._decide(one.path, other.path, bags[0][bag], bags[1][bag])
            ours = [node for node in ours if node.bag not in equal]
            theirs = [node for node in theirs if node.bag not in equal]
            if not ours and not theirs:
                return found
            if all(node.layer is not None for node in (*ours, *theirs)):
                return None
            # Modules of the most layers are opened first: what is in them may be partners of the smaller ones.
            most = max(len(node.bag) for node in (*ours, *theirs) if node.layer is None)
            ours, theirs = (
                [each for node in side for each in (node.inside() if node.layer is None and len(node.bag) == most else (node,))]
                for side in (ours, theirs)
            )
        return None

    def _decide(
        self, our_path: str, their_path: str, ours: Sequence[_Tree], theirs: Sequence[_Tree]
    ) -> list[tuple[_Tree, _Tree, Certainty, tuple[str, ...]]]:
        """Pair equal modules or layers of one place: by name, by number, or by order."""
        if len(ours) == 1:
            return [(ours[0], theirs[0], "certain", ())]
        names = [_relative(node, our_path) for node in ours], [_relative(node, their_path) for node in theirs]
        lasts = [[name.rpartition(".")[2].lower() for name in side] for side in names]
        by_last = dict(zip(lasts[1], theirs, strict=True))
        if len(by_last) == len(theirs) and set(lasts[0]) == set(lasts[1]) and len(set(lasts[0])) == len(ours):
            return [(node, by_last[last], "certain", ()) for node, last in zip(ours, lasts[0], strict=True)]
        numbered = [_sort_numbered(side, nodes) for side, nodes in zip(names, (ours, theirs), strict=True)]
        if numbered[0] is not None and numbered[1] is not None:
            return [(one, other, "certain", ()) for one, other in zip(numbered[0], numbered[1], strict=True)]
        fixed: list[tuple[_Tree, _Tree, Certainty, tuple[str, ...]]] = []
        if len(by_last) == len(theirs) and len(set(lasts[0])) == len(ours):  # names that both have decide about these
            fixed = [(node, by_last[last], "likely", ()) for node, last in zip(ours, lasts[0], strict=True) if last in by_last]
            if len(fixed) == len(ours) - 1:  # and what is left are the last two
                done = {id(node) for pair in fixed for node in pair[:2]}
                left = [next(node for node in side if id(node) not in done) for side in (ours, theirs)]
                return [*fixed, (left[0], left[1], "likely", ())]
        one = numbered[0] or sorted(ours, key=lambda node: node.place)
        other = numbered[1] or sorted(theirs, key=lambda node: node.place)
        known = (self.ordered or numbered[1] is not None) and self._runs_in_order(one)
        paths = tuple(node.path for node in other)
        return [
            (first, second, "likely", ())
            if known
            else (first, second, "ambiguous", tuple(path for path in paths if path != second.path))
            for first, second in zip(one, other, strict=True)
        ]

    def _runs_in_order(self, nodes: Sequence[_Tree]) -> bool:
        """Whether each of some modules of the network depends on the one before it: then order in a file is theirs."""
        if self.runs_before is None:
            return True
        ends = [[leaf.layer.name for leaf in node.leaves() if leaf.layer is not None] for node in nodes]
        return all(self.runs_before(one[-1], other[0]) for one, other in pairwise(ends))


def _by_bag(nodes: Sequence[_Tree]) -> dict[tuple[int, ...], list[_Tree]]:
    found: dict[tuple[int, ...], list[_Tree]] = {}
    for node in nodes:
        found.setdefault(node.bag, []).append(node)
    return found


def _relative(node: _Tree, path: str) -> str:
    return node.path[len(path) + 1 :] if path else node.path


def _sort_numbered(names: Sequence[str], nodes: Sequence[_Tree]) -> list[_Tree] | None:
    """Modules whose names differ in numbers alone, by these numbers; None where they differ in more."""
    if len({_NUMBER.sub("#", name) for name in names}) != 1:
        return None
    numbers = [tuple(int(each[:18]) for each in _NUMBER.findall(name)) for name in names]
    if len(set(numbers)) != len(numbers):
        return None
    return [node for _, node in sorted(zip(numbers, nodes, strict=True), key=lambda pair: pair[0])]
