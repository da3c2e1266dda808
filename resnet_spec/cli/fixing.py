"""Applies fixes to a file that `check` was given, or shows them as a diff."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import click

from resnet_spec._system.files import write_atomically
from resnet_spec.cli.check_report import report_results
from resnet_spec.cli.checking import CheckedFile, CheckOptions, check_target
from resnet_spec.cli.common import find_target, show_findings
from resnet_spec.cli.inputs import Inputs
from resnet_spec.diagnostics import Applicability, ArgumentError, Diagnostic, Fix, ResnetSpecError, Source, printable
from resnet_spec.diagnostics.rendering import MessageFormat
from resnet_spec.diagnostics.repairing import repair
from resnet_spec.diagnostics.text import count_text
from resnet_spec.language.library import shipped_root

_BYTE_ORDER_MARK = b"\xef\xbb\xbf"


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
        path = _require_editable(name) if write or name != "-" else None
        data = b"" if path is None else path.read_bytes()
        target = find_target(name, None, options.spec_root)
    except ResnetSpecError as error:
        return CheckedFile(name, None, error.diagnostics, error.exit_code)

    def check(source: Source) -> Sequence[Diagnostic]:
        return choose(check_target(name, replace(target, source=source), options)).findings

    done = repair(target.source, check, allowed)
    result = check_target(name, replace(target, source=done.source), options)
    changed = done.source.text != target.source.text
    if write and path is not None and changed and (problem := _write(path, data, done.source.text)) is not None:
        return CheckedFile(name, result.kind, (problem,), 2)
    return FixedFile(target.source, done.source, done.applied, choose(result))


def _require_editable(name: str) -> Path:
    """The path of a file that fixes may change; raises ArgumentError for anything else."""
    path = Path(name)
    why, help = "", "name the file that is to be fixed"
    if name == "-":
        why = "standard input cannot be changed"
        help = "`--diff` shows the fixes of a text on standard input"
    elif not path.is_file():
        why = f"{printable(name)} is not a file of yours"
        help = "write a file that extends a shipped spec, and fix that: `extends: NAME`" if not path.exists() else help
    elif any(path.resolve().is_relative_to(shipped_root(kind).resolve()) for kind in ("spec", "recipe")):
        why, help = f"{printable(name)} is shipped with resnet-spec, and is not changed", "write a file that extends it"
    elif (path.parent / "run.json").exists():
        why = f"{printable(name)} belongs to a run, whose files are not changed"
        help = "fix the spec that the run was made from, and train again"
    if why:
        raise ArgumentError([Diagnostic("not-editable", why, None, help=help)])
    return path.resolve()


def _write(path: Path, read: bytes, text: str) -> Diagnostic | None:
    """Write a text in the place of what was read, unless the file changed since; returns why it was not written."""
    mark = _BYTE_ORDER_MARK if read.startswith(_BYTE_ORDER_MARK) else b""
    try:
        if path.read_bytes() != read:
            message = f"{printable(str(path))} changed while it was checked, and was left as it is"
            return Diagnostic("not-editable", message, None, help="run the command again")
        write_atomically(path, mark + text.encode("utf-8"), durable=True, keep_mode=True)
    except OSError as error:
        message = f"cannot write {printable(str(path))}: {error.strerror or error}"
        return Diagnostic("unwritable-file", message, None, help="allow writing to the file and its folder")
    return None


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
