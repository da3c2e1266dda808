"""DOT to SVG, PNG or PDF: in this process by pygraphviz, whose wheels ship Graphviz, else by a `dot` of the system."""

from __future__ import annotations

import shutil
import subprocess
from typing import Literal

Format = Literal["svg", "png", "pdf"]
FORMATS: tuple[Format, ...] = ("svg", "png", "pdf")


class NoRendererError(Exception):
    """Neither pygraphviz nor `dot` is there."""


def render_dot(dot: str, form: Format) -> bytes:
    """The picture of a DOT text; raises NoRendererError."""
    try:
        from pygraphviz import AGraph
    except ImportError:
        return _by_system(dot, form)
    picture: bytes = AGraph(string=dot).draw(format=form, prog="dot")
    return picture


def _by_system(dot: str, form: Format) -> bytes:
    program = shutil.which("dot")
    if program is None:
        raise NoRendererError("neither the package pygraphviz nor the program dot is installed")
    ran = subprocess.run([program, f"-T{form}"], input=dot.encode("utf-8"), capture_output=True, check=True)
    return ran.stdout
