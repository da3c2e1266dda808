"""Writes DOT text: boxes, frames and arrows with their attributes. Text of a spec is escaped."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import accumulate
from typing import TYPE_CHECKING

from resnet_spec._system.packages import require_packages
from resnet_spec.diagnostics.text import dot_text

from .style import Attributes, Direction, ThemeColors

if TYPE_CHECKING:
    from graphviz import Digraph


@dataclass(frozen=True, slots=True)
class Picture:
    """DOT text, and what it takes to render it.

    `crossings` bounds how many pairs of arrows may cross, and grows as the time of a layout does: the sum of the squares of
    how many arrows there are between each two neighboring ranks.
    """

    dot: str
    boxes: int
    arrows: int
    crossings: int


def label(lines: Sequence[str]) -> str:
    """Lines of untrusted text as the value of an attribute."""
    import graphviz

    text: str = graphviz.nohtml("\\n".join(map(dot_text, lines)))
    return text


class DotWriter:
    """Writes the text of one diagram. `top` is its outermost level, `boxes` counts the boxes in it."""

    def __init__(self, title: Sequence[str], direction: Direction, colors: ThemeColors, insets: bool) -> None:
        """
        Args:
            title: the lines above the diagram, if any.
            insets: whether there are frames without arrows to the network, which are placed next to it, from left to right in
                the order in which they are added. With the direction `right`, Graphviz draws the same and then turns it to the
                left: the first one is the lowest.
        """
        require_packages("drawing a network", "graphviz")
        import graphviz

        self.boxes = self.frames = 0
        self.colors = colors
        self.arrows: list[tuple[str, str, Attributes]] = []
        font = {"fontname": "Helvetica,Arial,sans-serif", "fontcolor": colors.ink}
        looks = {
            "bgcolor": colors.paper,
            "rankdir": "TB" if direction == "down" else "LR",
            "labelloc": "t",
            "nodesep": "0.25",
            "ranksep": "0.28",
            "compound": "true",
            "pad": "0.1",
        }
        if insets:
            # The insets are placed separately, in order, with their tops aligned. Otherwise their boxes would be aligned
            # with the rows of the network. For a broken network this is off, because its arrows would lose their labels.
            looks |= {"pack": "12", "packmode": "array_ut999"}
        self.top = graphviz.Digraph(comment="made by resnet-spec draw")
        if title:
            looks["label"] = label([*title, " "])
        self.top.attr("graph", fontsize="16", **font, **looks)
        self.top.attr("node", fontsize="11", color=colors.frame, margin="0.12,0.05", height="0.3", **font)
        self.top.attr("edge", color=colors.ink, arrowsize="0.6", fontsize="10", **font)

    def box(self, parent: Digraph, lines: Sequence[str], tip: str, looks: Attributes) -> str:
        """Add a box to the diagram or to a frame; returns its name."""
        name = f"n{self.boxes}"
        self.boxes += 1
        parent.node(name, label=label(lines), tooltip=label([tip]), **looks)
        return name

    def fork(self, parent: Digraph, tail: str) -> str:
        """Add a point, and a line to it from the box `tail`; returns its name."""
        name = f"fork{self.frames}"
        parent.node(name, shape="point", width="0.06", height="0.06", color=self.colors.ink)
        self.arrow(tail, name, arrowhead="none")
        return name

    @contextmanager
    def frame(self, parent: Digraph, title: str, **looks: str) -> Iterator[Digraph]:
        """A frame around the boxes that are added to it."""
        self.frames += 1
        with parent.subgraph(name=f"cluster{self.frames}") as frame:
            frame.attr(label=label([title]), color=self.colors.frame, labeljust="l", **looks)
            yield frame

    def arrow(self, tail: str, head: str, **looks: str) -> None:
        """Add an arrow from one box to another."""
        self.arrows.append((tail, head, looks))

    def picture(self) -> Picture:
        """The diagram; call it once."""
        for tail, head, looks in self.arrows:  # outside all frames: an arrow inside a frame would move both its boxes into it
            self.top.edge(tail, head, **looks)
        return Picture(self.top.source, self.boxes, len(self.arrows), self._count_crossings())

    def _count_crossings(self) -> int:
        """See `Picture`. A box is added after those that its arrows come from, so its rank is known before it is a tail."""
        ranks: dict[str, int] = {}
        changes = [0] * (len(self.arrows) + 2)  # in how many arrows there are, from one rank to the next
        for tail, head, _ in self.arrows:
            ranks[head] = max(ranks.get(head, 0), ranks.get(tail, 0) + 1)
        for tail, head, _ in self.arrows:
            changes[ranks.get(tail, 0)] += 1
            changes[ranks[head]] -= 1
        return sum(count * count for count in accumulate(changes))
