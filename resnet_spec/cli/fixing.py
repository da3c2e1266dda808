"""Applies fixes to a file that `check` was given, or shows them as a diff."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace

import click

from resnet_spec.cli.check_report import report_results
from resnet_spec.cli.checking import CheckedFile, CheckOptions, check_target
from resnet_spec.cli.common import find_target, show_findings
from resnet_spec.cli.inputs import Inputs
from resnet_spec.cli.rewriting import replace_text, require_editable
from resnet_spec.diagnostics import Applicability, Diagnostic, Fix, ResnetSpecError, Source, printable
from resnet_spec.diagnostics.rendering import MessageFormat
from resnet_spec.diagnostics.repairing import repair
from resnet_spec.diagnostics.text import count_text


@dataclass(frozen=True, slots=True)
class FixedFile:
    """A file with fixes applied to its text: `applied` of them. `result` is what `check` finds afterwards."""

    before: Source
    after: Source
    applied: tuple[Fix, ...]
    result: CheckedFile

    def diff(self) -> str:
        """The changes, in the unified format."""
        old, new = (source.text.splitlines(keepends=True) for source in (self.before, self.after))
        lines = difflib.unified_diff(old, new, self.before.name, self.before.name)
        return "".join(_shown(line) for line in lines)


def fix_file(
    name: str,
    options: CheckOptions,
    allowed: Collection[Applicability],
    choose: Callable[[CheckedFile], CheckedFile],
    write: bool,
) -> FixedFile | CheckedFile:
    """Apply the fixes of the findings about a file, and `write` the file if they change it.

    Args:
        choose: leaves out the findings that the user does not want.

    Returns:
        A CheckedFile where the file cannot be changed, or read.
    """
    try:
        path = None if name == "-" and not write else require_editable(name, "fixed")
        data = b"" if path is None else path.read_bytes()
        target = find_target(name, None, options.spec_root)
    except ResnetSpecError as error:
        return CheckedFile(name, None, error.diagnostics, error.exit_code)

    def check(source: Source) -> Sequence[Diagnostic]:
        return choose(check_target(name, replace(target, source=source), options)).findings

    done = repair(target.source, check, allowed)
    result = check_target(name, replace(target, source=done.source), options)
    if write and path is not None and done.source.text != target.source.text:
        try:
            replace_text(path, data, done.source.text)
        except ResnetSpecError as error:
            return CheckedFile(name, result.kind, error.diagnostics, error.exit_code)
    return FixedFile(target.source, done.source, done.applied, choose(result))


def _shown(line: str) -> str:
    """A line of a diff, with a line break, and without control characters but those of its own line break."""
    body = line.rstrip("\r\n")
    ending = line[len(body) :]
    return printable(body) + (ending or "\n\\ No newline at end of file\n")


def report_fixed(fixed: Sequence[FixedFile | CheckedFile], inputs: Inputs, message_format: MessageFormat, quiet: bool) -> int:
    """Print how many fixes were applied to each file, and what remains; returns the exit code."""
    for each in fixed:
        if isinstance(each, FixedFile) and each.applied and message_format == "text" and not quiet:
            click.echo(f"{printable(each.result.name)}: {count_text(len(each.applied), 'fix')} applied")
    results = [each.result if isinstance(each, FixedFile) else each for each in fixed]
    return report_results(results, inputs, message_format, quiet)


def report_diffs(fixed: Sequence[FixedFile | CheckedFile]) -> int:
    """Print what fixes would change, as one diff; returns the exit code, 1 if there is something."""
    code = 0
    for each in fixed:
        if isinstance(each, FixedFile):
            click.echo(each.diff(), nl=False)
            code = max(code, int(each.after.text != each.before.text))
        else:
            show_findings(each.findings)
            code = max(code, each.exit_code)
    return code
