"""Finds what a diagram draws once, separately or marked: equal blocks, parts of a network, kinds of blocks, shortcuts."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from resnet_spec.graph.model import Graph, Item
from resnet_spec.ops import Pair

from .style import ShortcutKind


def is_one_block(items: Sequence[Item]) -> bool:
    """Whether a network is a single block, which needs no frame."""
    return len(items) == 1 and is_block(items[0])


def is_block(item: Item) -> bool:
    return item.region is not None and item.region.kind == "block"


def sections(graph: Graph, items: Sequence[Item]) -> Iterator[tuple[str, Sequence[Item]]]:
    """The top level of a network as stem, stages and head."""
    parts: dict[str, list[Item]] = {"stem": [], "stages": [], "head": []}
    for item in items:
        parts["head" if item.start >= graph.head else "stages" if item.start >= graph.stem else "stem"].append(item)
    for title, section in parts.items():
        if section:
            yield title, section


def equal_neighbors(graph: Graph, items: Sequence[Item]) -> Iterator[Sequence[Item]]:
    """Items in order, each with the equal blocks that follow it."""
    position = 0
    while position < len(items):
        stop = position + 1
        if is_block(items[position]):
            first = _content(graph, items[position])
            while stop < len(items) and is_block(items[stop]) and _content(graph, items[stop]) == first:
                stop += 1
        yield items[position:stop]
        position = stop


def _content(graph: Graph, block: Item) -> object:
    """What is equal for equal blocks: everything but their names, and the fields that diagrams ignore."""
    assert block.region is not None
    prefix = len(block.region.name)
    return tuple(
        (node.name[prefix:], node.op.as_drawn(), node.shape, _inputs(node.inputs, block.start))
        for node in graph.nodes[block.start : block.stop]
    )


def _inputs(values: Iterable[int], start: int) -> tuple[int | None, ...]:
    """Values relative to the `start` of a block; None for its input."""
    return tuple(value - start if value >= start else None for value in values)


def kinds_of_blocks(graph: Graph, items: Sequence[Item]) -> list[list[Item]]:
    """The blocks at the top and in stages, those with the same operations and connections together."""
    found: dict[object, list[Item]] = {}
    for item in items:
        stage = item.region is not None and item.region.kind == "stage"
        for block in item.items if stage else (item,):
            if block.region is None or not is_block(block) or block.start == block.stop:
                continue
            prefix = len(block.region.name)
            nodes = graph.nodes[block.start : block.stop]
            connections = tuple((node.name[prefix:], type(node.op), _inputs(node.inputs, block.start)) for node in nodes)
            found.setdefault((block.region.label, connections), []).append(block)
    return list(found.values())


def strides_of_kind(graph: Graph, blocks: Sequence[Item]) -> dict[int, set[Pair]]:
    """For each operation of the first of several blocks of one kind, by its position: its strides in all of them."""
    found: dict[int, set[Pair]] = {}
    for block in blocks:
        for position, node in enumerate(graph.nodes[block.start : block.stop], blocks[0].start):
            window = node.op.window()
            if window is not None:
                found.setdefault(position, set()).add(window.stride)
    return found


def stride_of(graph: Graph, item: Item) -> Pair:
    """The stride of a stage or block: of all operations from its output back to its input, by the last input of a join."""
    high, wide, value = 1, 1, item.output
    while value >= item.start:
        node = graph.nodes[value]
        window = node.op.window()
        if window is not None:
            high, wide = high * window.stride[0], wide * window.stride[1]
        value = node.inputs[-1]
    return high, wide


def shortcut_of(graph: Graph, block: Item) -> tuple[int, ShortcutKind] | None:
    """The position of the join where the shortcut of a block ends, and the kind of the shortcut; None without one."""
    assert block.region is not None
    for position in range(block.start, block.stop):
        node = graph.nodes[position]
        if node.op.joins and node.name == f"{block.region.name}.join":
            return position, "identity" if node.inputs[0] == block.inputs[0] else "transformed"
    return None


def shortcut_arrows(graph: Graph) -> dict[tuple[int, int], ShortcutKind]:
    """The arrows (value, reader) that belong to a shortcut, from where it leaves the branch, and the kind of the shortcut."""
    found: dict[tuple[int, int], ShortcutKind] = {}
    blocks = {region.name: region for region in graph.regions if region.kind == "block"}
    for position, node in enumerate(graph.nodes):
        block = blocks.get(node.name.removesuffix(".join")) if node.name.endswith(".join") else None
        if block is None or not node.op.joins:
            continue
        value, reader = node.inputs[0], position
        kind: ShortcutKind = "identity" if value == block.input else "transformed"
        found[value, reader] = kind
        branch = _ancestors(graph, node.inputs[1:], block.start)
        while value >= block.start and value not in branch:
            value, reader = graph.nodes[value].inputs[0], value
            found[value, reader] = kind
    return found


def skip_arrows(graph: Graph) -> dict[tuple[int, int], ShortcutKind]:
    """The arrows (value, reader) into joins of the top level that come from further back than the last value they read."""
    modules = [region for region in graph.regions if region.kind != "stage"]
    found: dict[tuple[int, int], ShortcutKind] = {}
    for position, node in enumerate(graph.nodes):
        if node.op.joins and not any(region.start <= position < region.stop for region in modules):
            last = max(node.inputs)
            found.update(((value, position), "skip") for value in node.inputs if value != last)
    return found


def _ancestors(graph: Graph, values: Iterable[int], start: int) -> set[int]:
    """`values` and everything they are computed from, from the position `start` on."""
    found: set[int] = set()
    pending = list(values)
    while pending:
        value = pending.pop()
        if value >= start and value not in found:
            found.add(value)
            pending.extend(graph.nodes[value].inputs)
    return found
