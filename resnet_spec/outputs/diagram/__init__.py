"""A network as a diagram: the boxes and arrows of a graph, written as DOT text for Graphviz.

`style` has the options and colors, `grouping` finds repeated and special parts, `captions` writes the text in boxes, `dot`
writes DOT, and `drawing` combines boxes and arrows. `outputs.render_dot` renders the text to files.
"""

from __future__ import annotations

from .dot import Picture
from .drawing import draw_graph
from .style import SHOWS, DiagramDetail, DiagramTheme, Direction, Heat, Show, Style

__all__ = [
    "SHOWS",
    "DiagramDetail",
    "DiagramTheme",
    "Direction",
    "Heat",
    "Picture",
    "Show",
    "Style",
    "draw_graph",
]
