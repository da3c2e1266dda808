"""A network as a diagram: boxes and arrows of a graph, written as DOT.

Goes in: a graph with its shapes and costs, what could not be built of it, and how to draw. Comes out: `Picture`, the DOT text
and the number of boxes in it. At every level equal neighbours are drawn once, with how many they are. `render_dot` makes files.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from math import prod
from typing import Literal, get_args

import graphviz

from resnet_spec.analysis.cost import Cost, total
from resnet_spec.analysis.memory import bytes_text
from resnet_spec.diagnostics import printable
from resnet_spec.graph.model import INPUT, BrokenNode, Graph, Item, tree
from resnet_spec.ops import Operation, Pair, Shape, show
from resnet_spec.ops.elementwise import Dropout, Dropout2d, DropPath

DiagramDetail = Literal["stage", "block", "op"]
DiagramTheme = Literal["light", "dark"]
Direction = Literal["down", "right"]
Heat = Literal["params", "macs", "memory"]
Show = Literal["shapes", "params", "macs", "memory"]
SHOWS: tuple[Show, ...] = get_args(Show)

# Okabe and Ito's palette, which colour-blind readers can tell apart; every family also has a shape of its own.
_FAMILIES: dict[str, tuple[str, str]] = {  # family: (fill, shape)
    "conv2d": ("#9ecae9", "box"),
    "linear": ("#f5c26b", "box"),
    "norm": ("#d9d9d9", "box"),
    "activation": ("#f7ee8a", "ellipse"),
    "pool": ("#8fd3bd", "box3d"),
    "join": ("#ffffff", "circle"),
    "other": ("#e8d5e4", "note"),
    "stage": ("#cfe3f3", "box"),
    "input": ("#ffffff", "oval"),
    "broken": ("#ffd6d6", "box"),
}
_ROUND = {"norm", "stage"}
_SHORTCUT = "#d55e00"
_BROKEN = "#c00000"
_INK: dict[DiagramTheme, tuple[str, str, str]] = {  # (background, text and lines, frames)
    "light": ("#ffffff", "#222222", "#8c8c8c"),
    "dark": ("#1e1e1e", "#e6e6e6", "#8c8c8c"),
}
_HEAT = ("#fff7ec", "#fee8c8", "#fdd49e", "#fdbb84", "#fc8d59", "#ef6548", "#d7301f", "#990000")


@dataclass(frozen=True, slots=True)
class Style:
    """How to draw. `expand` unfolds what is equal; `heat` colours by a cost."""

    detail: DiagramDetail = "stage"
    expand: bool = False
    direction: Direction = "down"
    theme: DiagramTheme = "light"
    show: frozenset[Show] = frozenset({"shapes", "params"})
    heat: Heat | None = None


@dataclass(frozen=True, slots=True)
class Picture:
    """DOT text, and how many boxes it has."""

    dot: str
    boxes: int


def draw_graph(
    graph: Graph,
    input: Shape,
    shapes: Sequence[Shape],
    costs: Sequence[Cost],
    style: Style,
    broken: Sequence[BrokenNode] = (),
) -> Picture:
    """The diagram of a network at `input` (C, H, W). What is `broken` is drawn red, with what it was given."""
    drawing = _DotWriter(graph, input, shapes, costs, style, broken)
    return Picture(drawing.source(), drawing.boxes)


@dataclass(slots=True)
class _Level:
    """Where boxes are being put: a (sub)graph, and which box gives each value.

    `strides` are those of the operations that stand for several with different ones.
    """

    dot: graphviz.Digraph
    gives: dict[int, str] = field(default_factory=dict)
    strides: dict[int, set[Pair]] = field(default_factory=dict)


class _DotWriter:
    def __init__(
        self,
        graph: Graph,
        input: Shape,
        shapes: Sequence[Shape],
        costs: Sequence[Cost],
        style: Style,
        broken: Sequence[BrokenNode],
    ) -> None:
        self.graph, self.input, self.shapes, self.costs = graph, input, shapes, costs
        self.style, self.broken = style, broken
        self.boxes = self.groups = 0
        self.edges: list[tuple[str, str, dict[str, str]]] = []
        self.paper, self.ink, self.frame = _INK[style.theme]
        self.shortcuts = _shortcut_edges(graph)
        self.most = max((self.cost_of(cost, shape) for cost, shape in zip(costs, shapes, strict=True)), default=0)

    # --- the whole ------------------------------------------------------------------------------------------------------

    def source(self) -> str:
        items = tree(self.graph)
        dot = graphviz.Digraph(comment="made by resnet-spec draw")
        font = {"fontname": "Helvetica,Arial,sans-serif", "fontcolor": self.ink}
        rank = "TB" if self.style.direction == "down" else "LR"
        looks = {
            "bgcolor": self.paper,
            "rankdir": rank,
            "labelloc": "t",
            "nodesep": "0.25",
            "ranksep": "0.28",
            "compound": "true",
            "pad": "0.1",
        }
        if not self.broken:
            # The insets are laid out apart, else their boxes keep to the rows of the network: in one line, in order, their
            # tops aligned. A broken network cannot have that: its arrows would lose their labels.
            looks |= {"pack": "12", "packmode": "array_ut999"}
        dot.attr("graph", label=_label([*self.title(), " "]), fontsize="16", **font, **looks)
        dot.attr("node", fontsize="11", color=self.frame, margin="0.12,0.05", height="0.3", **font)
        dot.attr("edge", color=self.ink, arrowsize="0.6", fontsize="10", **font)
        level = _Level(dot)
        level.gives[INPUT] = self.box(dot, ["input", show(self.input)], "input", "the image that enters")
        if _is_one_block(items):
            for item in items[0].items:
                self.inset_item(item, level, "")
        else:
            self.whole(items, level)
        for conflict in self.broken:
            self.conflict(conflict, level)
        for tail, head, looks in self.edges:  # outside the frames: an arrow would draw both its ends into its own
            dot.edge(tail, head, **looks)
        source: str = dot.source
        return source

    def title(self) -> list[str]:
        cost = total(self.costs)
        counts = f"{_short(cost.params)} parameters, {_short(cost.macs)} multiply-adds"
        sizes = f"{show(self.input)} to {show(self.shape(self.graph.output))}"
        lines = [printable(self.graph.name), "does not work: see the red box" if self.broken else f"{sizes}, {counts}"]
        if "memory" in self.style.show:
            lines.append("bytes: the outputs of all operations in a box, for one image in float32")
        if self.style.heat is not None:
            lines.append(f"the darker, the more {_HEAT_WORDS[self.style.heat]}")
        return lines

    def whole(self, items: Sequence[Item], level: _Level) -> None:
        """Stem, stages and head in frames; where a box is a stage, also the kinds of block."""
        for title, section in _sections(items):
            with level.dot.subgraph(name=f"cluster{self.next_group()}") as frame:
                frame.attr(label=title, style="rounded", color=self.frame, labeljust="l", fontsize="12")
                inner = _Level(frame, level.gives)
                for item in self.unrepeated(section, inner):
                    self.item(item, inner)
        if self.style.detail == "stage":
            for blocks in self.kinds(items):
                self.inset(level.dot, blocks)

    def shape(self, value: int) -> Shape:
        return self.input if value == INPUT else self.shapes[value]

    # --- boxes and arrows -----------------------------------------------------------------------------------------------

    def box(self, dot: graphviz.Digraph, lines: list[str], family: str, tip: str, cost: float | None = None) -> str:
        name = f"n{self.boxes}"
        self.boxes += 1
        fill, shape = _FAMILIES[family]
        looks = "filled,rounded" if family in _ROUND else "filled"
        text = "#222222"
        if self.style.heat is not None and cost is not None:
            fill, text = self.warmth(cost)
        if family in ("input", "join") and self.style.theme == "dark":
            fill, text = self.paper, self.ink
        colours = {"fillcolor": fill, "fontcolor": text}
        if family == "join":
            colours |= {"color": _SHORTCUT, "penwidth": "2", "margin": "0.02"}
        if family == "broken":
            colours |= {"color": _BROKEN, "penwidth": "2.5"}
        if family == "stage":
            colours |= {"penwidth": "1.5"}
        if family == "linear":
            colours |= {"peripheries": "2"}
        dot.node(name, label=_label(lines), shape=shape, style=looks, tooltip=_label([tip]), **colours)
        return name

    def edge(self, tail: str, head: str, **looks: str) -> None:
        self.edges.append((tail, head, looks))

    def arrow(self, level: _Level, value: int, reader: int, head: str) -> None:
        """An arrow to `head`; shortcuts are thick and orange, and dashed where they project."""
        kind = self.shortcuts.get((value, reader))
        looks: dict[str, str] = {}
        if kind is not None:
            looks = {"color": _SHORTCUT, "penwidth": "2", "tooltip": f"shortcut ({kind})", "style": _SHORTCUT_LINES[kind]}
        self.edge(level.gives[value], head, **looks)

    def warmth(self, cost: float) -> tuple[str, str]:
        step = 0 if self.most == 0 else min(len(_HEAT) - 1, int(len(_HEAT) * (min(1.0, cost / self.most)) ** 0.5))
        return _HEAT[step], "#ffffff" if step >= 5 else "#222222"

    def cost_of(self, cost: Cost, shape: Shape) -> float:
        match self.style.heat:
            case "macs":
                return cost.macs
            case "memory":
                return prod(shape)
            case _:
                return cost.params

    def facts(self, cost: Cost, output: Shape, numbers: int, times: int = 1) -> list[str]:
        """The lines that `show` asks for."""
        shown: list[str] = []
        counts: list[str] = []
        if "shapes" in self.style.show:
            shown.append(show(output))
        if "params" in self.style.show and cost.params:
            counts.append(f"{_short(cost.params * times)} parameters")
        if "macs" in self.style.show and cost.macs:
            counts.append(f"{_short(cost.macs * times)} multiply-adds")
        if "memory" in self.style.show:
            counts.append(bytes_text(4 * numbers * times))
        return [*shown, *counts]

    # --- items ----------------------------------------------------------------------------------------------------------

    def unrepeated(self, items: Sequence[Item], level: _Level) -> Iterator[Item | tuple[Item, int]]:
        """Items in order; a run of equal blocks as the first of them and how many they are."""
        position = 0
        while position < len(items):
            item = items[position]
            times = 1
            if not self.style.expand and item.region is not None and item.region.kind == "block":
                first = self.signature(item)
                while position + times < len(items) and self.signature(items[position + times]) == first:
                    times += 1
            yield (item, times) if times > 1 else item
            for repeated in items[position + 1 : position + times]:
                level.gives[repeated.output] = level.gives[item.output]
            position += times

    def signature(self, item: Item) -> object:
        """What is equal for equal blocks: all but how often they drop, which no box says."""
        if item.region is None or item.region.kind != "block":
            return item
        nodes = self.graph.nodes[item.start : item.stop]
        prefix = len(item.region.name)
        return tuple(
            (
                node.name[prefix:],
                replace(node.op, p=0.0) if isinstance(node.op, Dropout | Dropout2d | DropPath) else node.op,
                node.shape,
                tuple(value - item.start if value >= item.start else "in" for value in node.inputs),
            )
            for node in nodes
        )

    def item(self, entry: Item | tuple[Item, int], level: _Level) -> None:
        item, times = entry if isinstance(entry, tuple) else (entry, 1)
        if item.region is None:
            self.operation(item, level)
        elif item.start == item.stop:
            level.gives.setdefault(item.output, level.gives[item.inputs[0]])
        elif self.opened(item) or (times > 1 and self.joined(item) is not None):
            self.group(item, level, times)
        else:
            self.closed(item, f"{_names(item, times)}: ", level, times)

    def opened(self, item: Item) -> bool:
        assert item.region is not None
        if self.style.detail == "op":
            return True
        return self.style.detail == "block" and item.region.kind == "stage"

    def operation(self, item: Item, level: _Level, prefix: str = "") -> None:
        node = self.graph.nodes[item.start]
        cost, shape = self.costs[item.start], self.shapes[item.start]
        family = _family(node.op)
        words = _words(node.op, level.strides.get(item.start, ()))
        short = prefix + node.name.rpartition(".")[2]
        if family == "join":
            lines = [{"add": "+", "multiply": "×", "concat": "||"}.get(node.op.name, node.op.name)]  # noqa: RUF001
        elif family in ("activation", "norm"):
            lines = [node.op.name if short == node.op.name else f"{short}: {words}"]
        else:
            lines = [f"{short}: {words}" if short != node.op.name else words]
            lines += self.facts(cost, shape, prod(shape))
        tip = f"{node.name}: {node.op.name}, {show(self.shape(node.inputs[0]))} to {show(shape)}, {cost.params:,} parameters"
        name = self.box(level.dot, lines, family, tip, self.cost_of(cost, shape))
        for value in node.inputs:
            self.arrow(level, value, item.start, name)
        level.gives[item.start] = name

    def closed(self, item: Item, name: str, level: _Level, times: int = 1) -> None:
        """A stage, block or sequence as one box; at the detail of blocks with its shortcut beside it."""
        region = item.region
        assert region is not None
        cost = total(self.costs[item.start : item.stop])
        output = self.shape(item.output if item.output >= item.start else item.stop - 1)  # a broken region gives nothing
        inside = [each for each in item.items if each.region is not None and each.region.kind == "block"]
        if region.kind == "sequential":
            what = ", ".join(_words(node.op) for node in self.graph.nodes[item.start : item.stop][:4])
        else:
            count = len(inside) if region.kind == "stage" else times
            what = f"{count} × {printable(region.label)}" if count > 1 else printable(region.label)  # noqa: RUF001
            what += _slashes([self.stride(item)])
        numbers = sum(prod(shape) for shape in self.shapes[item.start : item.stop])
        heat = max(
            (self.cost_of(self.costs[at], self.shapes[at]) for at in range(item.start, item.stop)),
            default=0.0,
        )
        lines = [f"{name}{what}", *self.facts(cost, output, numbers, times)]
        tip = f"{region.name}: {region.label}, {show(self.shape(item.inputs[0]))} to {show(output)}, {cost.params:,} parameters"
        box = self.box(level.dot, lines, "stage", printable(tip), heat)
        self.edge(level.gives[item.inputs[0]], box)
        joined = self.joined(item)
        if joined is not None:
            sign, kind = joined
            circle = self.box(level.dot, [sign], "join", f"{region.name}: the shortcut ({kind}) meets the branch")
            self.edge(box, circle)
            looks = {"color": _SHORTCUT, "penwidth": "2", "style": _SHORTCUT_LINES[kind], "tooltip": f"shortcut ({kind})"}
            self.edge(level.gives[item.inputs[0]], circle, **looks)
            box = circle
        for value in range(item.start, item.stop):
            level.gives[value] = box

    def stride(self, item: Item) -> Pair:
        """The stride of a stage or block: of all on the way from its output to its input, through branches where ways meet."""
        high, wide, value = 1, 1, item.output
        while value >= item.start:
            node = self.graph.nodes[value]
            window = node.op.window()
            if window is not None:
                high, wide = high * window.stride[0], wide * window.stride[1]
            value = node.inputs[-1]
        return high, wide

    def joined(self, item: Item) -> tuple[str, str] | None:
        """The sign and the kind of the shortcut that is drawn beside a block: at the detail of blocks, if it has one."""
        if self.style.detail != "block" or item.region is None or item.region.kind != "block":
            return None
        for at in range(item.start, item.stop):
            node = self.graph.nodes[at]
            if node.op.joins and node.name == f"{item.region.name}.join":
                kind = "identity" if node.inputs[0] == item.inputs[0] else "changed on its way"
                return {"add": "+", "multiply": "×"}.get(node.op.name, "||"), kind  # noqa: RUF001
        return None

    def group(self, item: Item, level: _Level, times: int) -> None:
        """A frame around what is in a stage, block or sequence, or around one of several equal blocks."""
        region = item.region
        assert region is not None
        repeats = f", × {times}" if times > 1 else ""  # noqa: RUF001
        title = _names(item, times) + repeats  # short, as arrows come in through the middle of the frame
        with level.dot.subgraph(name=f"cluster{self.next_group()}") as frame:
            frame.attr(label=_label([title]), color=self.frame, style="rounded", labeljust="l")
            frame.attr(fontsize="11", tooltip=_label([f"{region.name}: {region.label}"]), penwidth="2" if times > 1 else "1")
            inner = _Level(frame, level.gives)
            entering = level.gives[region.input]
            if times > 1:
                level.gives[region.input] = self.fork(frame, entering)
            if self.opened(item):
                for entry in self.unrepeated(item.items, inner):
                    self.item(entry, inner)
            else:
                self.closed(item, "", inner)
            level.gives[region.input] = entering

    def fork(self, frame: graphviz.Digraph, tail: str) -> str:
        """A point inside a frame that is repeated: there its shortcut begins, which else would go around all repetitions."""
        name = f"fork{self.groups}"
        frame.node(name, shape="point", width="0.06", height="0.06", color=self.ink)
        self.edge(tail, name, arrowhead="none")
        return name

    def next_group(self) -> int:
        self.groups += 1
        return self.groups

    # --- insets ---------------------------------------------------------------------------------------------------------

    def kinds(self, items: Sequence[Item]) -> list[list[Item]]:
        """The blocks of each distinct wiring of operations."""
        found: dict[object, list[Item]] = {}
        for item in items:
            blocks = item.items if item.region is not None and item.region.kind == "stage" else (item,)
            for block in blocks:
                if block.region is None or block.region.kind != "block" or block.start == block.stop:
                    continue
                prefix = len(block.region.name)
                key = (
                    block.region.label,
                    tuple(
                        (
                            node.name[prefix:],
                            node.op.name,
                            tuple(v - block.start if v >= block.start else "in" for v in node.inputs),
                        )
                        for node in self.graph.nodes[block.start : block.stop]
                    ),
                )
                found.setdefault(key, []).append(block)
        return list(found.values())

    def inset(self, dot: graphviz.Digraph, blocks: Sequence[Item]) -> None:
        """The first of equally wired blocks, with what it is called and the strides that any of them has."""
        block, region = blocks[0], blocks[0].region
        assert region is not None
        names = [each.region.name for each in blocks if each.region is not None]
        where = names[0] if len(names) == 1 else f"{len(names)} blocks, such as {names[0]}"
        with dot.subgraph(name=f"cluster{self.next_group()}") as frame:
            frame.attr(label=_label([f"{region.label}: {where}"]), color=self.frame, style="dashed,rounded", labeljust="l")
            frame.attr(fontsize="11", tooltip=_label([", ".join(names[:12])]))
            level = _Level(frame, strides=self.strides(blocks))
            entering = self.shape(block.inputs[0])
            level.gives[block.inputs[0]] = self.box(frame, [show(entering)], "input", "what enters the block")
            for item in block.items:
                self.inset_item(item, level, "")

    def strides(self, blocks: Sequence[Item]) -> dict[int, set[Pair]]:
        """For each operation of the first of equally wired blocks, the strides that it has in any of them."""
        found: dict[int, set[Pair]] = {}
        for block in blocks:
            for drawn, node in enumerate(self.graph.nodes[block.start : block.stop], blocks[0].start):
                window = node.op.window()
                if window is not None:
                    found.setdefault(drawn, set()).add(window.stride)
        return found

    def inset_item(self, item: Item, level: _Level, prefix: str) -> None:
        if item.region is None:
            self.operation(item, level, prefix)
        elif item.start == item.stop:
            level.gives.setdefault(item.output, level.gives[item.inputs[0]])
        else:
            for each in item.items:
                self.inset_item(each, level, f"{prefix}{item.name}.")

    # --- what did not work ----------------------------------------------------------------------------------------------

    def conflict(self, broken: BrokenNode, level: _Level) -> None:
        lines = [f"{broken.name}: {broken.op}", *_folded(broken.message)]
        name = self.box(level.dot, lines, "broken", broken.message)
        for value in broken.inputs:
            if value in level.gives:
                looks = {"color": _BROKEN, "penwidth": "2", "label": show(self.shape(value))}
                self.edge(level.gives[value], name, **looks)


_HEAT_WORDS: dict[Heat, str] = {"params": "parameters", "macs": "multiply-adds", "memory": "memory of its output"}
_SHORTCUT_LINES = {"identity": "bold", "changed on its way": "dashed"}


def _names(item: Item, times: int) -> str:
    """`layer1`; of several equal blocks `0-17`."""
    if times == 1:
        return item.name
    return item.name + (f"-{int(item.name) + times - 1}" if item.name.isdigit() else f" and {times - 1} more")


def _is_one_block(items: Sequence[Item]) -> bool:
    """Whether a network is a single block, which needs no frames around it."""
    return len(items) == 1 and items[0].region is not None and items[0].region.kind == "block"


def _sections(items: Sequence[Item]) -> Iterator[tuple[str, Sequence[Item]]]:
    """The top of a network as stem, stages and head: the stages reach from the first stage or block to the last."""
    inner = [at for at, item in enumerate(items) if item.region is not None and item.region.kind != "sequential"]
    first, last = (inner[0], inner[-1] + 1) if inner else (len(items), len(items))
    for title, section in (("stem", items[:first]), ("stages", items[first:last]), ("head", items[last:])):
        if section:
            yield title, section


def _shortcut_edges(graph: Graph) -> dict[tuple[int, int], str]:
    """The arrows that are shortcuts, from where they leave the branch: (value, reader) to what it is."""
    found: dict[tuple[int, int], str] = {}
    blocks = {region.name: region for region in graph.regions if region.kind == "block"}
    for position, node in enumerate(graph.nodes):
        block = blocks.get(node.name.removesuffix(".join")) if node.name.endswith(".join") else None
        if block is None or not node.op.joins:
            continue
        value, reader = node.inputs[0], position
        kind = "identity" if value == block.input else "changed on its way"
        found[value, reader] = kind
        branch = _behind(graph, node.inputs[1:], block.start)
        while value >= block.start and value not in branch:
            value, reader = graph.nodes[value].inputs[0], value
            found[value, reader] = kind
    return found


def _behind(graph: Graph, values: Iterable[int], start: int) -> set[int]:
    """`values` and all that they are made of, from the position `start` on."""
    found: set[int] = set()
    waiting = list(values)
    while waiting:
        value = waiting.pop()
        if value >= start and value not in found:
            found.add(value)
            waiting.extend(graph.nodes[value].inputs)
    return found


def _family(op: Operation) -> str:
    if op.joins:
        return "join"
    if op.name in _FAMILIES:
        return op.name
    if op.name.endswith("_norm"):
        return "norm"
    if "pool" in op.name:
        return "pool"
    if op.name in ("flatten", "pad", "identity") or op.name.startswith("drop"):
        return "other"
    return "activation"


def _words(op: Operation, strides: Iterable[Pair] = ()) -> str:
    """An operation in a few words: `conv 3x3, 64, /2`. It stands for operations with `strides`, where there are any."""
    window = op.window()
    if window is None:
        return op.name
    kernel, stride = show(window.kernel), _slashes(strides or [window.stride])
    if op.name != "conv2d":
        return f"{op.name.removesuffix('2d').replace('_', ' ')} {kernel}{stride}"
    groups = getattr(op, "groups", 1)
    grouped = f", {groups} groups" if groups > 1 else ""
    return f"conv {kernel}, {getattr(op, 'out_channels', '')}{grouped}{stride}"


def _slashes(strides: Iterable[Pair]) -> str:
    """`, /2`, or `, /1 or /2` where there are several; nothing for a stride of 1."""
    found = sorted(set(strides))
    if found == [(1, 1)]:
        return ""
    return ", " + " or ".join(f"/{high}" if high == wide else f"/{show((high, wide))}" for high, wide in found)


def _short(count: int) -> str:
    """`25.6M`."""
    value = float(count)
    for unit in ("", "k", "M", "G", "T"):
        if value < 1000:
            return f"{count}" if not unit else f"{value:.3g}{unit}"
        value /= 1000
    return f"{value:.3g}P"


def _folded(text: str, width: int = 48) -> list[str]:
    lines = [""]
    for word in text.split():
        if len(lines[-1]) + len(word) > width:
            lines.append("")
        lines[-1] = f"{lines[-1]} {word}".strip()
    return lines


def _label(lines: Sequence[str]) -> str:
    """Lines as a DOT label: no text of a spec is an escape sequence or markup."""
    safe = (printable(line).replace("\\", "\\\\").replace("\n", " ") for line in lines)
    label: str = graphviz.nohtml("\\n".join(safe))
    return label
