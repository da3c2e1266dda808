"""What the commands share: options, reading a SPEC argument, showing findings."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, TextIO, TypeVar

import click

from resnet_spec import compiler as pipeline
from resnet_spec.compiler import Target
from resnet_spec.diagnostics import Diagnostic, SpecError
from resnet_spec.diagnostics.rendering import MESSAGE_FORMATS, MessageFormat, render
from resnet_spec.language.merge import decode
from resnet_spec.language.reader import MAX_BYTES

Decorated = TypeVar("Decorated", bound=Callable[..., Any])
IO_CODES = ("missing-file", "unreadable-file", "missing-data", "not-a-run", "run-exists", "cannot-write")
COLOURS = ("auto", "always", "never")
COLOUR = "resnet_spec.colour"
USAGE_CODES = (
    *("missing-folder", "missing-recipe", "missing-input", "missing-device"),
    *("invalid-input", "unknown-block", "unknown-data", "data-option"),
)


def set_option(command: Decorated) -> Decorated:
    return click.option(
        "--set",
        "sets",
        multiple=True,
        metavar="KEY=VALUE",
        help="Change the spec: --set stages.layer3.depth=23; an empty value deletes.  [repeatable]",
    )(command)


def spec_root_option(command: Decorated) -> Decorated:
    return click.option(
        "--spec-root",
        type=click.Path(exists=True, file_okay=False),
        metavar="DIR",
        help="The folder that `extends` may not leave.  [default: the working directory, or the spec's own folder]",
    )(command)


def findings_options(command: Decorated) -> Decorated:
    """How findings are shown: `--message-format`, which the command gets as `message_format`, and `--color`, which it need not
    know of: `show_findings` finds it."""
    colour = click.option(
        "--color",
        type=click.Choice(COLOURS),
        default="auto",
        show_default=True,
        expose_value=False,
        callback=_keep_colour,
        help="Whether findings are coloured; auto: on a terminal, and as NO_COLOR and FORCE_COLOR say.",
    )
    form = click.option(
        "--message-format",
        type=click.Choice(MESSAGE_FORMATS),
        default="text",
        show_default=True,
        help="How findings are shown.",
    )
    return form(colour(command))


def _keep_colour(ctx: click.Context, _: click.Parameter, value: str) -> None:
    ctx.meta[COLOUR] = value


def find_target(spec: str, input: str | None = None, root: str | None = None) -> Target:
    """The target of a SPEC argument; `-` reads standard input."""
    if spec != "-":
        return pipeline.find(_inert(spec), input, root)
    data = sys.stdin.buffer.read(MAX_BYTES + 1)
    here = Path.cwd()
    return Target(decode(data, "<stdin>"), here, Path(root) if root else here)


def _inert(spec: str) -> str:
    """An argument as it stands: a line break in it does not make it YAML text."""
    if "\n" in spec or "\x00" in spec:
        raise SpecError([Diagnostic("missing-file", f"there is no file {spec!r}", None)])
    return spec


def exit_code(findings: Iterable[Diagnostic]) -> int:
    """2 where a file could not be read or an argument is off, 1 for other errors, else 0."""
    errors = [finding for finding in findings if finding.severity == "error"]
    off = (*IO_CODES, *USAGE_CODES)
    if any((finding.span is None and finding.code in off) or finding.code == "set-syntax" for finding in errors):
        return 2
    return 1 if errors else 0


def _coloured(stream: TextIO) -> bool:
    """Whether to colour: as `--color` says, else on a terminal, unless NO_COLOR is set; FORCE_COLOR colours everywhere."""
    ctx = click.get_current_context(silent=True)
    chosen = "auto" if ctx is None else ctx.meta.get(COLOUR, "auto")
    if chosen != "auto":
        return bool(chosen == "always")
    if os.environ.get("NO_COLOR"):
        return False
    return bool(os.environ.get("FORCE_COLOR")) or stream.isatty()


def show_findings(findings: Iterable[Diagnostic], how: MessageFormat = "text", product: bool = False) -> int:
    """Print findings to stderr (to stdout where they are the product), and return the exit code."""
    listed = list(findings)
    stream = sys.stdout if product else sys.stderr
    click.echo(render(listed, how, colour=how == "text" and _coloured(stream)), nl=False, err=not product, color=True)
    return exit_code(listed)
