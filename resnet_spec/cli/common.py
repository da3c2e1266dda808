"""Shared code of the commands: options, reading a SPEC argument, showing findings and errors."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, TextIO, TypeVar

import click

from resnet_spec import compiler
from resnet_spec.compiler import Target
from resnet_spec.diagnostics import ArgumentError, Diagnostic, ResnetSpecError
from resnet_spec.diagnostics.rendering import MESSAGE_FORMATS, MessageFormat, render
from resnet_spec.diagnostics.text import count_text, shorten
from resnet_spec.language.files import decode
from resnet_spec.language.library import is_file
from resnet_spec.language.reader import MAX_BYTES

Decorated = TypeVar("Decorated", bound=Callable[..., Any])
COLOR_CHOICES = ("auto", "always", "never")
MOST_FINDINGS = 50  # the number of findings that are shown as text without `--all-findings`
_COLOR = "resnet_spec.color"
_ALL = "resnet_spec.all_findings"


def set_option(command: Decorated) -> Decorated:
    return click.option(
        "--set",
        "sets",
        multiple=True,
        metavar="KEY=VALUE",
        help="Patch the spec: --set stages.layer3.depth=23; an empty value deletes the key.  [repeatable]",
    )(command)


def spec_root_option(command: Decorated) -> Decorated:
    return click.option(
        "--spec-root",
        type=click.Path(exists=True, file_okay=False),
        metavar="DIR",
        help="The folder that `extends` may not leave.  [default: that of the project, with .git or pyproject.toml]",
    )(command)


def block_option(command: Decorated) -> Decorated:
    return click.option(
        "--block",
        metavar="NAME",
        help="One block alone, with the input and the arguments of its first use; or a use of a block, such as layer2.0.",
    )(command)


def outputs_option(command: Decorated) -> Decorated:
    return click.option(
        "--outputs",
        callback=_split_outputs,
        metavar="NAME[,NAME...]",
        help="Return the values of these entries, as a feature extractor: --outputs layer2,layer4.",
    )(command)


def _split_outputs(ctx: click.Context, option: click.Parameter, value: str | None) -> str | tuple[str, ...] | None:
    """One name, for a network that returns a tensor, or several."""
    names = () if value is None else tuple(name.strip() for name in value.split(","))
    return names[0] if len(names) == 1 else names or None


def findings_options(command: Decorated) -> Decorated:
    """How findings are shown: `--message-format`, which the command gets as `message_format`, and `--color` and
    `--all-findings`, which `show_findings` reads from the context."""
    color = click.option(
        "--color",
        type=click.Choice(COLOR_CHOICES),
        default="auto",
        show_default=True,
        expose_value=False,
        callback=_keep_color,
        help="Color findings. auto: on a terminal; NO_COLOR=1 and FORCE_COLOR=1 override it.",
    )
    form = click.option(
        "--message-format",
        type=click.Choice(MESSAGE_FORMATS),
        default="text",
        show_default=True,
        help="The format of findings.",
    )
    every = click.option(
        "--all-findings",
        is_flag=True,
        expose_value=False,
        callback=_keep_all,
        help=f"Show all findings as text, not only the first {MOST_FINDINGS}.",
    )
    return form(every(color(command)))


def _keep_color(ctx: click.Context, _: click.Parameter, value: str) -> None:
    ctx.meta[_COLOR] = value


def _keep_all(ctx: click.Context, _: click.Parameter, value: bool) -> None:
    ctx.meta[_ALL] = value


def find_target(spec: str, input: str | None = None, root: str | None = None) -> Target:
    """Find the target of a SPEC argument; `-` reads standard input."""
    if spec != "-":
        return compiler.find(_require_name(spec), input, root)
    data = sys.stdin.buffer.read(MAX_BYTES + 1)
    return Target(decode(data, "<stdin>"), Path.cwd(), Path(root) if root else None)


def _require_name(spec: str) -> str | Path:
    """Check that an argument is a path or a name: on the command line, a line break does not make it YAML text."""
    if "\n" in spec and is_file(Path(spec)):
        return Path(spec)
    if "\n" in spec or "\x00" in spec:
        raise ArgumentError([Diagnostic("missing-file", f"there is no file {shorten(repr(spec), 80)}", None)])
    return spec


def _uses_color(stream: TextIO) -> bool:
    """Whether to use colors: as set by `--color`, else on a terminal; NO_COLOR and FORCE_COLOR override the latter."""
    ctx = click.get_current_context(silent=True)
    chosen = "auto" if ctx is None else ctx.meta.get(_COLOR, "auto")
    if chosen != "auto":
        return bool(chosen == "always")
    if os.environ.get("NO_COLOR"):
        return False
    return bool(os.environ.get("FORCE_COLOR")) or stream.isatty()


def show_findings(findings: Iterable[Diagnostic], how: MessageFormat = "text", product: bool = False) -> int:
    """Print findings to stderr, or to stdout if they are the `product` of the command.

    Returns the exit code for findings that are not those of an exception: 1 if there is an error among them, else 0.
    """
    listed = list(findings)
    stream = sys.stdout if product else sys.stderr
    shown, rest = _shown(listed) if how == "text" else (listed, "")
    text = render(shown, how, color=how == "text" and _uses_color(stream)) + rest
    click.echo(text, nl=False, err=not product, color=True)
    return 1 if any(finding.severity == "error" for finding in listed) else 0


def _shown(findings: Sequence[Diagnostic]) -> tuple[Sequence[Diagnostic], str]:
    """The findings to show as text, and a line about the others: of many, the first ones, errors before warnings."""
    ctx = click.get_current_context(silent=True)
    if len(findings) <= MOST_FINDINGS or (ctx is not None and ctx.meta.get(_ALL)):
        return findings, ""
    order = sorted(range(len(findings)), key=lambda number: findings[number].severity != "error")
    kept = set(order[:MOST_FINDINGS])
    rest = [finding for number, finding in enumerate(findings) if number not in kept]
    errors = sum(finding.severity == "error" for finding in rest)
    counted = ", ".join(
        count_text(count, what) for count, what in ((errors, "error"), (len(rest) - errors, "warning")) if count
    )
    option = "--all-findings" if ctx is not None and _ALL in ctx.meta else "resnet-spec check --all-findings"
    return [findings[number] for number in sorted(kept)], f"and {counted} more; `{option}` shows them\n\n"


def show_error(error: ResnetSpecError, how: MessageFormat = "text") -> int:
    """Print the findings of an error to stderr, and return the exit code of its class."""
    show_findings(error.diagnostics, how)
    return error.exit_code
