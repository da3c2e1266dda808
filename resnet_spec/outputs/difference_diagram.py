"""Two networks as one picture: what was added is green, removed red, changed amber with both values, and the rest gray.

A box is a block, or an operation outside of blocks. Neighbors that are the same, or differ in the same way, are one box. Boxes
are in the order in which they run; the arrows show this order, and no shortcuts.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import groupby

from resnet_spec.analysis.sized import SizedGraph
from resnet_spec.comparison.difference import Difference
from resnet_spec.comparison.parts import Part
from resnet_spec.comparison.render import changes_text, difference_line
from resnet_spec.diagnostics.text import shorten
from resnet_spec.graph.model import Item, tree
from resnet_spec.ops import show
from resnet_spec.outputs.diagram import Direction, Picture
from resnet_spec.outputs.diagram.captions import TIMES, short_count
from resnet_spec.outputs.diagram.dot import DotWriter
from resnet_spec.outputs.diagram.style import THEMES

MOST_LINES = 8  # about what changed in a box
FILLS = {"added": "#bfe8c5", "removed": "#f6c1bd", "changed": "#fde3a7", "same": "#e4e4e4"}
EDGES = {"added": "#1a7f37", "removed": "#c00000", "changed": "#b26a00", "same": "#8c8c8c"}
_MARKS = {"added": "+ ", "removed": "- ", "changed": "", "same": ""}  # for readers who do not see the colors


def draw_difference(difference: Difference, direction: Direction = "down") -> Picture:
    """Draw what differs between two networks."""
    title = [difference_line(difference), "+ green: added, - red: removed, amber: changed, gray: the same"]
    writer = DotWriter(title, direction, THEMES["light"], insets=False)
    before = ""
    for _, group in groupby(_merge(difference), key=_Box.key):
        boxes = list(group)
        status = boxes[0].status
        looks = {"shape": "box", "style": "filled", "fillcolor": FILLS[status], "color": EDGES[status], "fontcolor": "#222222"}
        name = writer.box(writer.top, list(_lines(boxes)), f"{status}: {', '.join(box.name for box in boxes[:20])}", looks)
        if before:
            writer.arrow(before, name)
        before = name
    return writer.picture()


@dataclass(slots=True)
class _Box:
    """A block, or an operation outside of blocks, in one network or in both. `params` has those that have it."""

    name: str
    kind: str
    start: int
    status: str = "same"
    params: tuple[int, ...] = ()
    outputs: tuple[str, ...] = ()
    lines: Counter[str] = field(default_factory=Counter)

    def key(self) -> tuple[object, ...]:
        """What is equal for neighbors that are one box."""
        if self.status == "same":
            return (self.status,)
        return self.status, self.kind, tuple(sorted(self.lines.items())), self.outputs if self.status == "changed" else ()


def _lines(boxes: Sequence[_Box]) -> Iterator[str]:
    first, last = boxes[0], boxes[-1]
    mark = _MARKS[first.status]
    names = [shorten(box.name, 40) for box in (first, last)]
    yield mark + (names[0] if len(boxes) == 1 else f"{names[0]} ... {names[1]}")
    kinds = Counter(box.kind for box in boxes)
    said = any(line == first.kind or line.startswith(f"{first.kind} with ") for line in first.lines)
    if said and first.status == "changed":
        pass  # the lines below say what it is
    elif first.status == "same" and len(kinds) > 3:
        yield f"{len(boxes)} operations and blocks"
    else:
        yield ", ".join(
            f"{count} {TIMES} {shorten(kind, 40)}" if count > 1 else shorten(kind, 40) for kind, count in kinds.items()
        )
    if first.status == "changed":
        yield from (f"{line} {TIMES} {count}" if count > 1 else line for line, count in list(first.lines.items())[:MOST_LINES])
        if len(set(first.outputs)) > 1:
            yield "output " + " -> ".join(first.outputs)
    totals = [sum(counts) for counts in zip(*(box.params for box in boxes), strict=True)]
    if any(totals):
        shown = dict.fromkeys(f"{short_count(count)}" for count in totals)
        yield " -> ".join(shown) + " parameters"


def _merge(difference: Difference) -> list[_Box]:
    """The boxes of both networks in one order."""
    first, second = (list(_boxes(each.sized)) for each in (difference.before, difference.after))
    places = [
        _places(boxes, len(each.graph.nodes))
        for boxes, each in zip((first, second), (difference.before, difference.after), strict=True)
    ]
    partners: dict[int, int] = {}
    highest = -1
    for before, after in difference.alignment.nodes:
        one, other = places[0][before], places[1][after]
        if one not in partners and other > highest:
            partners[one] = highest = other
    _describe(difference, first, second, places)
    merged: list[_Box] = []
    at = 0
    for number, box in enumerate(first):
        other = partners.get(number, -1)
        if other < 0:
            box.status = "removed"
            merged.append(box)
            continue
        for added in second[at:other]:
            added.status = "added"
        merged += second[at:other]
        at = other + 1
        merged.append(_join(box, second[other]))
    for added in second[at:]:
        added.status = "added"
    return merged + second[at:]


def _join(one: _Box, other: _Box) -> _Box:
    lines = one.lines + other.lines
    outputs = (*one.outputs, *other.outputs)
    changed = lines or len(set(outputs)) > 1 or one.params != other.params  # not if only the name of a block is another
    kind = other.kind if one.kind == other.kind or not changed else f"{one.kind} -> {other.kind}"
    name = one.name if one.name == other.name or not changed else f"{one.name} -> {other.name}"
    return _Box(name, kind, one.start, "changed" if changed else "same", (*one.params, *other.params), outputs, lines)


def _boxes(sized: SizedGraph) -> Iterator[_Box]:
    pending: list[tuple[Item, str]] = [(item, "") for item in reversed(tree(sized.graph))]
    while pending:
        item, prefix = pending.pop()
        region = item.region
        name = item.name if region is not None and region.inline else prefix + item.name
        if region is None or region.kind == "block":
            kind = sized.graph.nodes[item.start].op.name if region is None else region.label
            params = sized.total(item.start, item.stop).params
            yield _Box(name, kind, item.start, params=(params,), outputs=(show(sized.shape_of(item.output)),))
        else:
            below = prefix if region.inline else name + "."
            pending += [(each, below) for each in reversed(item.items)]


def _places(boxes: Sequence[_Box], count: int) -> list[int]:
    """For each node, the number of its box."""
    found: list[int] = []
    for number, box in enumerate(boxes):
        stop = boxes[number + 1].start if number + 1 < len(boxes) else count
        found += [number] * (stop - box.start)
    return found


def _describe(difference: Difference, first: list[_Box], second: list[_Box], places: list[list[int]]) -> None:
    """Write into each box what differs in it."""
    positions = []
    for graph in (difference.before.graph, difference.after.graph):
        named = {region.name: region.start for region in graph.regions}
        positions.append(named | {node.name: at for at, node in enumerate(graph.nodes)})
    for part in difference.parts:
        side = 1 if part.kind == "added" else 0
        boxes = second if side else first
        if part.kind not in ("resized", "renamed"):
            for name in part.names:
                boxes[places[side][positions[side][name]]].lines[_part_line(part)] += 1


def _part_line(part: Part) -> str:
    match part.kind:
        case "added":
            return f"+ {shorten(part.what, 40)}"
        case "removed":
            return f"- {shorten(part.what, 40)}"
        case "rewired":
            return "other inputs"
        case _:
            return shorten(changes_text(part), 80)
