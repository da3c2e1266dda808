"""The graph: operations with all arguments known, in an order in which they can run, and the tree of names over them.

A value is identified by the position of the node that computes it; INPUT is the network's own input. Passes read graphs and
return new objects; a graph is never modified.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Literal

from resnet_spec.diagnostics import Label, Span
from resnet_spec.ops import Operation, Shape, Tensor

INPUT = -1
RegionKind = Literal["stage", "block", "sequential"]


@dataclass(frozen=True, slots=True)
class Node:
    """One operation. `name` is dotted and prefixes its `state_dict` keys; `shape` is its output at the graph's input.

    `written` is its path in the file, where that differs from its name.
    """

    name: str
    op: Operation
    inputs: tuple[int, ...]
    shape: Shape
    span: Span = field(compare=False)
    init: str = ""  # how its weight is initialized, where the graph's `init` does not apply
    written: str = field(default="", compare=False)

    def key(self, tensor: Tensor) -> str:
        """The `state_dict` key of one of its tensors."""
        return f"{self.name}.{tensor.name}" if tensor.name else self.name


def fill_value(node: Node) -> float:
    """The initial value of the tensor of an operation that is no module (`own_tensor`)."""
    if node.init in ("", "pytorch"):
        return node.op.initial_value()
    return float({"zeros": "0", "ones": "1"}.get(node.init, node.init))


@dataclass(frozen=True, slots=True)
class Region:
    """A range of nodes: a stage, a block, or a sequence. Regions nest, the outer one first; `depth` is how many are around it.

    The names of its nodes begin with its name, unless it is `inline`: then it is no module, and its name only identifies
    it.
    `label` is the name of the block or operation; comparisons ignore it, since it has no effect on what is computed. `written`
    is its path in the file, where that differs from its name.
    """

    name: str
    kind: RegionKind
    label: str = field(compare=False)
    start: int
    stop: int
    input: int
    output: int
    span: Span = field(compare=False)
    depth: int = 0
    inline: bool = False
    written: str = field(default="", compare=False)


@dataclass(frozen=True, slots=True)
class Output:
    """A named output. `training_only`: the network has it only in training."""

    name: str
    value: int
    training_only: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class BrokenNode:
    """An operation that could not be built, its inputs, and the reason."""

    name: str
    op: str
    inputs: tuple[int, ...]
    message: str
    span: Span = field(compare=False)


_WITHIN = {"library": "in this block of the library", "shipped": "in this block of a shipped spec"}


@dataclass(frozen=True, slots=True)
class Graph:
    """A network built for images of `input` (C, H, W).

    Without `outputs` it returns the value `output`. With them it returns a dict, and `output` is the first one or `logits`.
    `stem` and `head` are the positions where the stem ends and the head begins.
    """

    name: str = field(compare=False)
    input: Shape
    nodes: tuple[Node, ...]
    regions: tuple[Region, ...]
    output: int
    init: str
    outputs: tuple[Output, ...] = ()
    stem: int = field(default=0, compare=False)
    head: int = field(default=0, compare=False)

    @property
    def returned(self) -> tuple[int, ...]:
        """The values that the network returns, in training."""
        return tuple([output.value for output in self.outputs]) or (self.output,)

    def needed_by(self, values: Iterable[int]) -> frozenset[int]:
        """The positions of the nodes that some values depend on, their own among them."""
        found: set[int] = set()
        pending = list(values)
        while pending:
            value = pending.pop()
            if value != INPUT and value not in found:
                found.add(value)
                pending.extend(self.nodes[value].inputs)
        return frozenset(found)

    def skipped_in_evaluation(self) -> frozenset[int]:
        """The positions of the nodes that only outputs of training need."""
        if not any(output.training_only for output in self.outputs):
            return frozenset()
        kept = self.needed_by(output.value for output in self.outputs if not output.training_only)
        return self.needed_by(self.returned) - kept

    def shape_of(self, value: int) -> Shape:
        """The shape of a value at the graph's own input."""
        return self.input if value == INPUT else self.nodes[value].shape

    def flattens(self, position: int) -> bool:
        """Whether a node turns an image, C x H x W, into a value with fewer axes."""
        node = self.nodes[position]
        return len(self.shape_of(node.inputs[0])) == 3 > len(node.shape)

    def around(self, position: int) -> Iterator[Region]:
        """The regions that contain a node, the outermost first."""
        return (region for region in self.regions if region.start <= position < region.stop)

    def place(self, position: int, around: Callable[[int], Iterable[Region]] | None = None) -> tuple[Span, tuple[Label, ...]]:
        """The line of the user's file that led to a node, and the line of the library or of a shipped spec, if it is in one.

        For a node of a shipped spec that no line of the user's file led to, the line of the shipped spec. `around` is a faster
        `self.around`, for callers with many nodes.
        """
        span = self.nodes[position].span
        if span.source.origin not in ("library", "shipped"):
            return span, ()
        enclosing = [region.span for region in (around or self.around)(position)]
        for outside in (("library", "shipped"), ("library",)):
            if span.source.origin not in outside:
                return span, ()
            if own := [each for each in enclosing if each.source.origin not in outside]:
                return own[-1], (Label(span, _WITHIN[span.source.origin]),)
        return span, ()

    def readers(self) -> tuple[tuple[int, ...], ...]:
        """For each node, the positions of the nodes that read it, once for each time they do."""
        found: list[list[int]] = [[] for _ in self.nodes]
        for position, node in enumerate(self.nodes):
            for value in node.inputs:
                if value != INPUT:
                    found[value].append(position)
        return tuple(map(tuple, found))

    def gates(self) -> frozenset[int]:
        """The positions of the nodes of C x 1 x 1 that only scale the channels of a value of C x H x W."""
        if not any(node.op.broadcasts for node in self.nodes):
            return frozenset()
        readers = self.readers()
        found: set[int] = set()

        def scales(position: int, reader: int) -> bool:
            node = self.nodes[reader]
            shape = self.nodes[position].shape
            return reader in found or (node.op.broadcasts and shape[1:] == (1, 1) != node.shape[1:])

        for position in range(len(self.nodes) - 1, -1, -1):
            if readers[position] and all(scales(position, reader) for reader in readers[position]):
                found.add(position)
        return frozenset(found)


@dataclass(frozen=True, slots=True)
class Item:
    """A node or a region as its parent uses it: its name relative to the parent, the values it reads, and its output."""

    name: str
    start: int
    stop: int
    inputs: tuple[int, ...]
    output: int
    region: Region | None  # None: a single node
    items: tuple[Item, ...] = ()

    @property
    def chain(self) -> bool:
        """Whether each item inside reads only the one before it, from the region's input to its output."""
        return is_chain(self.items, self.inputs[0], self.output)


def is_chain(items: Iterable[Item], entering: int, leaving: int) -> bool:
    """Whether each item reads only the one before it, from the value `entering` to the value `leaving`."""
    value = entering
    for item in items:
        if item.inputs != (value,):
            return False
        value = item.output
    return value == leaving


def tree(graph: Graph, inline: bool = True) -> tuple[Item, ...]:
    """The graph as nested items, in order. Names are relative to the module around; those of inline regions are whole.

    Without `inline`, the items of inline regions are among those around them: the modules of the network.
    """
    nested = [(region, depth) for region, depth in _depths(graph.regions, inline) if inline or not region.inline]
    at = 0

    def inside(start: int, stop: int, prefix: str, depth: int) -> tuple[Item, ...]:
        nonlocal at
        found: list[Item] = []
        position = start
        while True:
            region, its_depth = nested[at] if at < len(nested) else (None, 0)
            if region is not None and region.start == position and its_depth == depth:
                at += 1
                name = region.name if region.inline else region.name[len(prefix) :]
                items = inside(region.start, region.stop, prefix if region.inline else region.name + ".", depth + 1)
                found.append(Item(name, region.start, region.stop, (region.input,), region.output, region, items))
                position = region.stop
            elif position < stop:
                node = graph.nodes[position]
                found.append(Item(node.name[len(prefix) :], position, position + 1, node.inputs, position, None))
                position += 1
            else:
                return tuple(found)

    return inside(0, len(graph.nodes), "", 0)


def _depths(regions: Iterable[Region], inline: bool) -> Iterator[tuple[Region, int]]:
    """Each region with the number of regions around it; without `inline`, those that are inline do not count."""
    around: list[Region] = []
    for region in regions:
        del around[region.depth :]
        yield region, sum(inline or not each.inline for each in around)
        around.append(region)
