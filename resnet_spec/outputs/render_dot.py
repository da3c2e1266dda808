"""Diagrams as files: the formats, and the rendering of DOT text.

A format is an entry of `FORMATS`. Pygraphviz, whose wheels contain Graphviz, renders it; without it, an installed `dot` does.

Small diagrams are rendered in this process. The layout of a large one may take minutes, and Graphviz handles no signals
meanwhile, so it runs in a child process with a time limit.
"""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from resnet_spec._system.bounded_process import OutOfTimeError, ProgramFailedError, run_bounded
from resnet_spec._system.native_stderr import drop_stderr_lines
from resnet_spec._system.packages import is_installed
from resnet_spec.diagnostics import ArgumentError, Diagnostic, SpecError, closest, printable
from resnet_spec.diagnostics.text import join_words
from resnet_spec.outputs.diagram.dot import Picture

CPU_SECONDS = 60  # for the rendering of one diagram
_WALL_SECONDS = 240  # the limit on a busy machine, and where the system has no limit on processor time
_MEMORY = 2 * 1024**3  # bytes
# The fontconfig in pygraphviz's wheels warns about each element that it does not know in the newer files of a system. It reads
# them as well as it can, so the pictures are right.
_FONT_WARNING = b"Fontconfig warning: "
_PROGRAM = Path(__file__).with_name("graphviz_program.py")
# Diagrams up to these sizes are rendered within about a second. The time of a layout grows with `Picture.crossings`.
_SMALL_BOXES = 1_500
_SMALL_CROSSINGS = 20_000


class NoRendererError(ArgumentError):
    """Neither pygraphviz nor `dot` is installed."""

    def __init__(self, form: str) -> None:
        message = f"a {form} is rendered by the package pygraphviz or the program dot, but neither is installed"
        super().__init__([Diagnostic("missing-package", message, None, help="`pip install pygraphviz` is enough")])


@dataclass(frozen=True, slots=True)
class PictureFormat:
    """A format of diagrams. `name` is also the suffix of its files.

    `render` converts a diagram to the content of a file, and raises what `render_dot` raises. A diagram of more than
    `most_boxes` boxes or `most_arrows` arrows is an error; None: there is no limit.
    """

    name: str
    render: Callable[[Picture, Callable[[], bool]], bytes]
    most_boxes: int | None = None
    most_arrows: int | None = None

    def excess(self, picture: Picture) -> str:
        """What exceeds a limit of the format, such as `6,000 boxes`; empty if nothing does."""
        if self.most_boxes is not None and picture.boxes > self.most_boxes:
            return f"{picture.boxes:,} boxes"
        if self.most_arrows is not None and picture.arrows > self.most_arrows:
            return f"{picture.arrows:,} arrows"
        return ""


def is_small(picture: Picture) -> bool:
    """Whether a diagram is rendered within about a second."""
    return picture.boxes <= _SMALL_BOXES and picture.crossings <= _SMALL_CROSSINGS


def render_dot(picture: Picture, is_cancelled: Callable[[], bool], form: str) -> bytes:
    """Render a diagram in one of Graphviz's own formats.

    Raises:
        NoRendererError: no renderer is installed.
        OutOfTimeError: rendering takes more than `CPU_SECONDS`, or `is_cancelled` returns True.
        ProgramFailedError: Graphviz fails, for example because it runs out of memory.
    """
    data = picture.dot.encode("utf-8")
    has_package = is_installed("pygraphviz")
    program = None if has_package else shutil.which("dot")
    if not has_package and program is None:
        raise NoRendererError(form)
    if not is_small(picture) and sys.executable:
        limits = map(str, (os.getpid(), CPU_SECONDS, _WALL_SECONDS, _MEMORY))
        command = [sys.executable, "-P", str(_PROGRAM), *limits, form, *([program] if program else [])]
        return run_bounded(command, data, _WALL_SECONDS, is_cancelled)
    if program is not None:
        return run_bounded([program, f"-T{form}"], data, _WALL_SECONDS, is_cancelled)
    from pygraphviz import AGraph

    try:
        with drop_stderr_lines(_FONT_WARNING):
            content: bytes = AGraph(string=picture.dot).draw(format=form, prog="dot")
    except ValueError as error:
        raise ProgramFailedError(str(error)) from None
    return content


FORMATS: dict[str, PictureFormat] = {
    form.name: form
    for form in (
        PictureFormat("svg", partial(render_dot, form="svg"), 5_000, 10_000),
        PictureFormat("png", partial(render_dot, form="png"), 500, 2_000),
        PictureFormat("pdf", partial(render_dot, form="pdf"), 5_000, 10_000),
        PictureFormat("dot", lambda picture, _: picture.dot.encode("utf-8")),
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


def render_picture(
    picture: Picture,
    name: str,
    smaller: Callable[[], str] = lambda: "",
    is_cancelled: Callable[[], bool] = lambda: False,
) -> bytes:
    """Render a diagram as the content of a file in the format `name`.

    Args:
        smaller: returns options that would make the diagram small, such as "`--detail stage`"; empty if there are none.
        is_cancelled: called several times a second while a large diagram is rendered; rendering stops if it returns True.

    Raises:
        ArgumentError: there is no such format.
        SpecError: the diagram has more boxes or arrows than the format can show, or it takes too long to render.
        NoRendererError: no renderer is installed.
    """
    form = find_format(name)
    if excess := form.excess(picture):
        others = [other.name for other in FORMATS.values() if not other.excess(picture)]
        message = f"{excess} are more than a {name} can show"
        raise SpecError([Diagnostic("too-many-boxes", message, None, help=_way_out(smaller(), others))])
    try:
        return form.render(picture, is_cancelled)
    except OutOfTimeError:
        why = "was cancelled" if is_cancelled() else f"takes more than {CPU_SECONDS} seconds"
    except ProgramFailedError as error:
        why = f"failed: {printable(str(error))}"
    message = f"rendering {picture.boxes:,} boxes and {picture.arrows:,} arrows as {name} {why}"
    raise SpecError([Diagnostic("picture-not-rendered", message, None, help=_way_out(smaller(), ["dot"]))])


def _way_out(smaller: str, formats: list[str]) -> str:
    """A help text: draw with the options `smaller`, or in another format."""
    ways = [f"at {smaller}"] if smaller else []
    return "draw it " + "; or ".join([*ways, *(f"as .{name}" for name in formats[:1])])
