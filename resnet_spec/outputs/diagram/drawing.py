"""Draws the boxes and arrows of a network, with its frames, its insets, and what is broken."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from math import prod
from typing import TYPE_CHECKING

from resnet_spec.analysis.cost import Cost
from resnet_spec.analysis.sized import SizedGraph
from resnet_spec.diagnostics import printable
from resnet_spec.graph.model import INPUT, BrokenNode, Item, Output, tree
from resnet_spec.ops import Pair, show

from .captions import TIMES, fact_lines, item_caption, operation_caption, short_count, stride_caption, wrap
from .dot import DotWriter, Picture, label
from .grouping import (
    equal_neighbors,
    is_block,
    is_one_block,
    kinds_of_blocks,
    sections,
    shortcut_arrows,
    shortcut_of,
    skip_arrows,
    stride_of,
    strides_of_kind,
)
from .style import BROKEN, HEAT_LABELS, THEMES, BoxKind, Style, box_attributes, shortcut_attributes

if TYPE_CHECKING:
    from graphviz import Digraph

_NAME_ONLY = ("activation", "normalization")  # families of which a box shows no facts


def draw_graph(sized: SizedGraph, style: Style, broken: Sequence[BrokenNode] = ()) -> Picture:
    """Draw a network. The operations in `broken` are red, with the shapes of their inputs."""
    drawing = _Drawing(sized, style, broken)
    drawing.draw()
    if style.heat is not None:  # the highest cost of a box is known when all have been drawn
        drawing = _Drawing(sized, style, broken, drawing.hottest)
        drawing.draw()
    return drawing.writer.picture()


@dataclass(slots=True)
class _Level:
    """Where boxes are added: the diagram or a frame, and the box that each value comes from.

    `strides` are those of the operations that represent several with different strides.
    """

    dot: Digraph
    boxes: dict[int, str] = field(default_factory=dict)
    strides: dict[int, set[Pair]] = field(default_factory=dict)


class _Drawing:
    """A diagram in progress. `highest` is the cost of the darkest box; `hottest` collects the highest that was drawn."""

    def __init__(self, sized: SizedGraph, style: Style, broken: Sequence[BrokenNode], highest: int = 0) -> None:
        self.sized, self.style, self.broken = sized, style, broken
        self.graph = sized.graph
        self.colors = THEMES[style.theme]
        title = self.title() if style.title else []
        self.writer = DotWriter(title, style.direction, self.colors, insets=not broken)
        self.shortcuts = skip_arrows(self.graph) | shortcut_arrows(self.graph)
        self.highest, self.hottest = highest, 0

    def draw(self) -> None:
        items = tree(self.graph)
        level = _Level(self.writer.top)
        insets = kinds_of_blocks(self.graph, items) if self.style.detail == "stage" and not is_one_block(items) else []
        upwards = self.style.direction == "right"  # the first one is the lowest: see `DotWriter`
        for blocks in reversed(insets) if upwards else ():
            self.inset(level.dot, blocks)
        size = show(self.sized.input)
        level.boxes[INPUT] = self.box(level.dot, ["input", size], "input", "the input image")
        if is_one_block(items):
            for item in items[0].items:
                self.inset_item(item, level, "")
        else:
            self.sections(items, level)
        for output in self.graph.outputs:
            self.output(output, level)
        for blocks in () if upwards else insets:
            self.inset(level.dot, blocks)
        for conflict in self.broken:
            self.conflict(conflict, level)

    def title(self) -> list[str]:
        cost = self.sized.total()
        counts = f"{short_count(cost.params)} parameters, {short_count(cost.macs)} multiply-adds"
        sizes = f"{show(self.sized.input)} to {show(self.sized.output)}"
        lines = [printable(self.graph.name), "has a conflict: see the red box" if self.broken else f"{sizes}, {counts}"]
        if "memory" in self.style.all_shown:
            lines.append("bytes: the outputs of all operations in a box, for one image in float32")
        if self.style.heat is not None:
            lines.append(f"the darker, the more {HEAT_LABELS[self.style.heat]} in a box")
        return lines

    def sections(self, items: Sequence[Item], level: _Level) -> None:
        """Draw stem, stages and head in frames."""
        for title, section in sections(self.graph, items):
            with self.writer.frame(level.dot, title, style="rounded", fontsize="12") as frame:
                self.items(section, _Level(frame, level.boxes))

    # --- boxes and arrows -----------------------------------------------------------------------------------------------

    def box(self, dot: Digraph, lines: list[str], kind: BoxKind, tip: str, heat: int | None = None) -> str:
        """Add a box; `heat` is the cost that its color shows, None for a box without one."""
        share = None
        if heat is not None and self.style.heat is not None:
            self.hottest = max(self.hottest, heat)
            share = heat / self.highest if self.highest else 0.0
        return self.writer.box(dot, lines, tip, box_attributes(kind, self.style.theme, share))

    def heat_of(self, cost: Cost, numbers: int) -> int:
        """The cost that a color shows, of operations with a cost whose outputs are `numbers` numbers."""
        match self.style.heat:
            case "macs":
                return cost.macs
            case "memory":
                return numbers
            case _:
                return cost.params

    def tip(self, name: str, what: str, item: Item, output: int) -> str:
        entering, leaving = show(self.sized.shape_of(item.inputs[0])), show(self.sized.shape_of(output))
        return f"{name}: {what}, {entering} to {leaving}, {self.sized.total(item.start, item.stop).params:,} parameters"

    def output(self, output: Output, level: _Level) -> None:
        """Draw a named output."""
        lines = [printable(output.name), *(["in training only"] if output.training_only else [])]
        size = show(self.sized.shape_of(output.value))
        name = self.box(level.dot, lines, "output", f"output {printable(output.name)}: {size}")
        self.writer.arrow(level.boxes[output.value], name)

    # --- items ----------------------------------------------------------------------------------------------------------

    def items(self, items: Sequence[Item], level: _Level) -> None:
        """Draw items in order; of equal neighboring blocks, the first with their number."""
        runs: Iterable[Sequence[Item]] = ([item] for item in items) if self.style.expand else equal_neighbors(self.graph, items)
        for run in runs:
            self.item(run[0], len(run), level)
            for repeated in run[1:]:
                level.boxes[repeated.output] = level.boxes[run[0].output]

    def item(self, item: Item, times: int, level: _Level) -> None:
        if item.region is None:
            self.operation(item, level)
        elif item.start == item.stop:
            level.boxes.setdefault(item.output, level.boxes[item.inputs[0]])
        elif self.is_open(item) or (times > 1 and self.shows_shortcut(item)):
            self.group(item, level, times)
        else:
            self.closed(item, f"{item_caption(item, times)}: ", level, times)

    def is_open(self, item: Item) -> bool:
        """Whether the contents of a stage, block or sequence are drawn."""
        assert item.region is not None
        return self.style.detail == "op" or (self.style.detail == "block" and item.region.kind == "stage")

    def shows_shortcut(self, item: Item) -> bool:
        """Whether the shortcut of a block is drawn next to its box."""
        return self.style.detail == "block" and is_block(item) and shortcut_of(self.graph, item) is not None

    def operation(self, item: Item, level: _Level, prefix: str = "") -> None:
        node = self.graph.nodes[item.start]
        op, shape, cost = node.op, self.sized.shapes[item.start], self.sized.costs[item.start]
        caption = operation_caption(op, level.strides.get(item.start, ()))
        short = prefix + item.name
        if op.family == "join":
            lines = [op.symbol or op.name]
        elif op.family in _NAME_ONLY:
            lines = [op.name if short == op.name else f"{short}: {caption}"]
            lines += fact_lines(self.style.heat_shown, shape, cost, prod(shape))
        else:
            lines = [f"{short}: {caption}" if short != op.name else caption]
            lines += fact_lines(self.style.all_shown, shape, cost, prod(shape))
        tip = self.tip(node.name, op.name, item, item.start)
        name = self.box(level.dot, lines, op.family, tip, self.heat_of(cost, prod(shape)))
        for place, value in enumerate(node.inputs):
            kind = self.shortcuts.get((value, item.start))
            looks = {} if kind is None else shortcut_attributes(kind)
            if op.takes_like and place:
                looks = {"style": "dotted", "tooltip": "its size"}
            self.writer.arrow(level.boxes[value], name, **looks)
        level.boxes[item.start] = name

    def closed(self, item: Item, prefix: str, level: _Level, times: int = 1) -> None:
        """Draw a stage, block or sequence as one box; a block gets its shortcut next to the box."""
        region = item.region
        assert region is not None
        nodes = range(item.start, item.stop)
        if region.kind == "sequential":
            what = ", ".join(operation_caption(self.graph.nodes[at].op) for at in nodes[:4])
        else:
            count = sum(map(is_block, item.items)) if region.kind == "stage" else times
            what = f"{count} {TIMES} {printable(region.label)}" if count > 1 else printable(region.label)
            what += stride_caption([stride_of(self.graph, item)])
        output = item.output if item.output >= item.start else item.stop - 1  # a broken region has no output
        numbers = sum(prod(self.sized.shapes[at]) for at in nodes)
        cost = self.sized.total(item.start, item.stop)
        lines = [f"{prefix}{what}", *fact_lines(self.style.all_shown, self.sized.shape_of(output), cost, numbers, times)]
        tip = printable(self.tip(region.name, region.label, item, output))
        box = self.box(level.dot, lines, "stage", tip, times * self.heat_of(cost, numbers))
        self.writer.arrow(level.boxes[item.inputs[0]], box)
        if self.style.detail == "block" and is_block(item) and (shortcut := shortcut_of(self.graph, item)) is not None:
            position, kind = shortcut
            op = self.graph.nodes[position].op
            tip = f"{region.name}: the shortcut ({kind}) joins the branch"
            circle = self.box(level.dot, [op.symbol or op.name], "join", tip)
            self.writer.arrow(box, circle)
            self.writer.arrow(level.boxes[item.inputs[0]], circle, **shortcut_attributes(kind))
            box = circle
        level.boxes.update(dict.fromkeys(nodes, box))

    def group(self, item: Item, level: _Level, times: int) -> None:
        """Draw the contents of a stage, block or sequence in a frame; of several equal blocks, the first."""
        region = item.region
        assert region is not None
        repeats = f", {TIMES} {times}" if times > 1 else ""
        title = item_caption(item, times) + repeats  # short, since arrows cross the middle of the frame's top
        with self.writer.frame(level.dot, title, style="rounded") as frame:
            penwidth = "2" if times > 1 else "1"
            frame.attr(fontsize="11", tooltip=label([f"{region.name}: {region.label}"]), penwidth=penwidth)
            inner = _Level(frame, level.boxes)
            entering = level.boxes[region.input]
            if times > 1:  # the shortcut begins inside the frame, else it would span all repetitions
                level.boxes[region.input] = self.writer.fork(frame, entering)
            if self.is_open(item):
                self.items(item.items, inner)
            else:
                self.closed(item, "", inner)
            level.boxes[region.input] = entering

    # --- insets ---------------------------------------------------------------------------------------------------------

    def inset(self, dot: Digraph, blocks: Sequence[Item]) -> None:
        """Draw the first of several blocks of one kind, with their names and all strides that occur in them."""
        block, region = blocks[0], blocks[0].region
        assert region is not None
        names = [each.region.name for each in blocks if each.region is not None]
        where = names[0] if len(names) == 1 else f"{len(names)} blocks, such as {names[0]}"
        with self.writer.frame(dot, f"{region.label}: {where}", style="dashed,rounded") as frame:
            frame.attr(fontsize="11", tooltip=label([", ".join(names[:12])]))
            level = _Level(frame, strides=strides_of_kind(self.graph, blocks))
            size = show(self.sized.shape_of(block.inputs[0]))
            level.boxes[block.inputs[0]] = self.box(frame, [size], "input", "the input of the block")
            for item in block.items:
                self.inset_item(item, level, "")

    def inset_item(self, item: Item, level: _Level, prefix: str) -> None:
        if item.region is None:
            self.operation(item, level, prefix)
        elif item.start == item.stop:
            level.boxes.setdefault(item.output, level.boxes[item.inputs[0]])
        else:
            for each in item.items:
                self.inset_item(each, level, f"{prefix}{item.name}.")

    # --- conflicts ------------------------------------------------------------------------------------------------------

    def conflict(self, broken: BrokenNode, level: _Level) -> None:
        """Draw an operation that could not be built, with the shapes of its inputs on the arrows."""
        lines = [f"{broken.name}: {broken.op}", *wrap(broken.message)]
        name = self.box(level.dot, lines, "broken", broken.message)
        for value in broken.inputs:
            if value in level.boxes:
                size = show(self.sized.shape_of(value))
                self.writer.arrow(level.boxes[value], name, color=BROKEN, penwidth="2", label=size)
