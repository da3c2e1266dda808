"""The graph: operations with all arguments known, in an order in which they can run, and the tree of names over them.

A value is identified by the position of the node that computes it; INPUT is the network's own input. Passes read graphs and
return new objects; a graph is never modified.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Literal

from resnet_spec.diagnostics import Label, Span
from resnet_spec.ops import Operation, Shape

INPUT = -1
RegionKind = Literal["stage", "block", "sequential"]


@dataclass(frozen=True, slots=True)
class Node:
    """One operation. `name` is dotted and prefixes its `state_dict` keys; `shape` is its output at the graph's input."""

    name: str
    op: Operation
    inputs: tuple[int, ...]
    shape: Shape
    span: Span = field(compare=False)
    init: str = ""  # how its weight is initialized, where the graph's `init` does not apply


@dataclass(frozen=True, slots=True)
class Region:
    """A range of nodes under one name: a stage, a block, or a sequence. Regions nest, the outer one first.

    `label` is the name of the block or operation; comparisons ignore it, since it has no effect on what is computed.
    """

    name: str
    kind: RegionKind
    label: str = field(compare=False)
    start: int
    stop: int
    input: int
    output: int
    span: Span = field(compare=False)


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
    """A network built for images of `input` (C, H, W)."""

    name: str = field(compare=False)
    input: Shape
    nodes: tuple[Node, ...]
    regions: tuple[Region, ...]
    output: int
    init: str

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

    def place(self, position: int) -> tuple[Span, tuple[Label, ...]]:
        """The line of the user's file that led to a node, and the line of the library or of a shipped spec, if it is in one.

        For a node of a shipped spec that no line of the user's file led to, the line of the shipped spec.
        """
        span = self.nodes[position].span
        around = [region.span for region in self.around(position)]
        for others in (("library", "shipped"), ("library",)):
            if span.source.origin not in others:
                return span, ()
            if own := [each for each in around if each.source.origin not in others]:
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
        value = self.inputs[0]
        for item in self.items:
            if item.inputs != (value,):
                return False
            value = item.output
        return value == self.output


def tree(graph: Graph) -> tuple[Item, ...]:
    """The graph as nested items, in order."""
    regions = graph.regions
    at = 0

    def inside(start: int, stop: int, prefix: str) -> tuple[Item, ...]:
        nonlocal at
        found: list[Item] = []
        position = start
        while True:
            region = regions[at] if at < len(regions) else None
            if region is not None and region.start == position and region.name.startswith(prefix):
                at += 1
                items = inside(region.start, region.stop, region.name + ".")
                name = region.name[len(prefix) :]
                found.append(Item(name, region.start, region.stop, (region.input,), region.output, region, items))
                position = region.stop
            elif position < stop:
                node = graph.nodes[position]
                found.append(Item(node.name[len(prefix) :], position, position + 1, node.inputs, position, None))
                position += 1
            else:
                return tuple(found)

    return inside(0, len(graph.nodes), "")
