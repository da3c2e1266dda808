"""A network as a diagram: the boxes and arrows of a graph, written as DOT text for Graphviz.

`style` has the options and colors, `grouping` finds what is drawn once or set apart, `captions` writes what boxes show, `dot`
writes DOT, and `drawing` puts boxes and arrows together. `outputs.render_dot` makes files of the text.
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
