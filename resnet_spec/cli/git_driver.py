"""`resnet-spec diff --git-driver`: what `git diff` shows for specs, where a repository names it as their diff driver.

Git starts it in the top folder of the working tree with the path of the file and, for its old and its new version, a file with
the text, its hash and its mode.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from difflib import unified_diff
from pathlib import Path

import click

from resnet_spec import compiler
from resnet_spec.cli.common import show_error
from resnet_spec.comparison.difference import compare
from resnet_spec.compiler import Analysis, Target
from resnet_spec.diagnostics import ResnetSpecError, Source, printable
from resnet_spec.language.files import read_file, spec_root
from resnet_spec.language.library import is_file

ARGUMENTS = 7  # and more for a file that was renamed


def show_for_git(arguments: Sequence[str]) -> None:
    """Print what differs between two versions of a file. Where one of them is not a network, print how their lines differ."""
    path = arguments[0]
    if len(arguments) < ARGUMENTS:
        click.echo(f"* {printable(path)} has conflicts of a merge")
        return
    click.echo(f"diff --resnet-spec {printable(path)}")
    try:
        old, new = (_read(file, path) for file in (arguments[1], arguments[4]))
    except ResnetSpecError as error:
        show_error(error)
        return
    if old is None or new is None:
        click.echo("the file was added" if old is None else "the file was removed")
    else:
        found = [_analyze(source, path) for source in (old, new)]
        before, after = found
        if before is not None and after is not None:
            click.echo(compare(before, after, ("before", "after")).text(), nl=False)
            return
    for line in _compare_lines(old, new):
        click.echo(printable(line))


def _read(file: str, path: str) -> Source | None:
    """One version of a file, under the name of the file; None where there is none, or not a file."""
    return None if file == os.devnull or not is_file(Path(file)) else read_file(Path(file), path)


def _analyze(source: Source, path: str) -> Analysis | None:
    """Compile a version. What it extends is read from the working tree."""
    try:
        return compiler.analyze(Target(source, Path(path).parent, spec_root(Path(path))), enforce_expect=False)
    except ResnetSpecError as error:
        if "spec:" in source.text:
            show_error(error)
        return None


def _compare_lines(old: Source | None, new: Source | None) -> Iterator[str]:
    before, after = (() if source is None else source.text.splitlines() for source in (old, new))
    return unified_diff(before, after, "before", "after", lineterm="")
