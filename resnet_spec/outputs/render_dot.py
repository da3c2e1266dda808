"""Diagrams as files: the formats, and the rendering of DOT text.

A format is an entry of `FORMATS`. Pygraphviz, whose wheels contain Graphviz, renders in this process; without it, an installed
`dot` is run.
"""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from resnet_spec.diagnostics import ArgumentError, Diagnostic, SpecError, closest, printable
from resnet_spec.diagnostics.text import join_words


class NoRendererError(Exception):
    """Neither pygraphviz nor `dot` is installed."""


@dataclass(frozen=True, slots=True)
class PictureFormat:
    """A format of diagrams. `name` is also the suffix of its files.

    `render` converts DOT text to the content of a file; it raises NoRendererError if it needs a renderer and none is installed.
    A diagram of more than `most_boxes` boxes is an error; None: there is no limit.
    """

    name: str
    render: Callable[[str], bytes]
    most_boxes: int | None = None


def render_dot(dot: str, form: str) -> bytes:
    """Render DOT text in one of Graphviz's own formats; raises NoRendererError."""
    try:
        from pygraphviz import AGraph
    except ImportError:
        return _by_program(dot, form)
    picture: bytes = AGraph(string=dot).draw(format=form, prog="dot")
    return picture


def _by_program(dot: str, form: str) -> bytes:
    program = shutil.which("dot")
    if program is None:
        raise NoRendererError("neither the package pygraphviz nor the program dot is installed")
    ran = subprocess.run([program, f"-T{form}"], input=dot.encode("utf-8"), capture_output=True, check=True)
    return ran.stdout


FORMATS: dict[str, PictureFormat] = {
    form.name: form
    for form in (
        PictureFormat("svg", partial(render_dot, form="svg"), 5000),
        PictureFormat("png", partial(render_dot, form="png"), 500),
        PictureFormat("pdf", partial(render_dot, form="pdf"), 5000),
        PictureFormat("dot", str.encode),
    )
}


def suffixes() -> str:
    """The suffixes of all formats: `.svg, .png, .pdf or .dot`."""
    return join_words([f".{name}" for name in FORMATS], "or")


def find_format(name: str) -> PictureFormat:
    """Find a format by its name; raises ArgumentError."""
    if name in FORMATS:
        return FORMATS[name]
    near = closest(name, FORMATS)
    message = f"there is no picture format `{printable(name)}`" if name else "the picture has no format"
    help = (f"did you mean `{near}`? " if near else "") + f"The file name ends in {suffixes()}"
    raise ArgumentError([Diagnostic("unknown-format", message, None, help=help[0].lower() + help[1:])])


def render_picture(dot: str, boxes: int, name: str) -> bytes:
    """Render DOT text with `boxes` boxes as the content of a file in the format `name`.

    Raises:
        ArgumentError: there is no such format.
        SpecError: there are more boxes than the format can show.
        NoRendererError: no renderer is installed.
    """
    form = find_format(name)
    if form.most_boxes is not None and boxes > form.most_boxes:
        larger = [other.name for other in FORMATS.values() if other.most_boxes is None or boxes <= other.most_boxes]
        help = "draw it at `--detail stage`, without --expand" + (f"; or as .{larger[0]}" if larger else "")
        raise SpecError([Diagnostic("too-many-boxes", f"{boxes:,} boxes are more than a {name} can show", None, help=help)])
    return form.render(dot)
