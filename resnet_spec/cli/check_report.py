"""Prints the results of `check`: findings in the chosen format, and as text a line for each file without errors."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

import click

from resnet_spec.cli.checking import CheckedFile
from resnet_spec.cli.common import show_findings
from resnet_spec.cli.inputs import Inputs
from resnet_spec.diagnostics import Diagnostic, printable
from resnet_spec.diagnostics.rendering import MessageFormat
from resnet_spec.diagnostics.text import count_text

_RESULTS = ("ok", "failed", "unreadable")  # by exit code


def report_results(results: Sequence[CheckedFile], inputs: Inputs, message_format: MessageFormat, quiet: bool) -> int:
    """Print the results; returns the exit code."""
    findings = _once([*inputs.findings, *(finding for result in results for finding in result.findings)])
    if message_format == "json":
        from resnet_spec.diagnostics.reporters import json

        click.echo(json.document(findings, _envelope(results, inputs, findings)), nl=False)
    elif findings or message_format == "sarif":
        show_findings(findings, message_format, product=True)
    if message_format == "text" and not quiet:
        _print_lines(results, inputs, findings)
    return max([2 if inputs.findings else 0, *(result.exit_code for result in results)])


def _key(finding: Diagnostic) -> tuple[str, str, str]:
    return finding.code, str(finding.span), finding.message


def _once(findings: Iterable[Diagnostic]) -> list[Diagnostic]:
    """The findings, each once: that of a file which two others extend is one."""
    return list({_key(finding): finding for finding in findings}.values())


def _print_lines(results: Sequence[CheckedFile], inputs: Inputs, findings: Sequence[Diagnostic]) -> None:
    good = [result for result in results if result.exit_code == 0]
    for result in good:
        click.echo(f"{printable(result.name)}: ok, {result.summary}")
    if len(results) == 1 and not findings and not inputs.skipped:
        return
    if fixable := _describe_fixes(findings):
        click.echo(fixable)
    thing = "file" if any(result.kind == "recipe" for result in results) else "spec"
    errors = sum(finding.severity == "error" for finding in findings)
    counts = f"{count_text(errors, 'error')}, {count_text(len(findings) - errors, 'warning')}"
    skipped = f"; {count_text(len(inputs.skipped), 'other YAML file')} skipped" if inputs.skipped else ""
    click.echo(f"{count_text(len(results), thing)} checked, {len(good):,} ok: {counts}{skipped}")


def _describe_fixes(findings: Sequence[Diagnostic]) -> str:
    """How many findings can be fixed by which options; empty for none."""
    counted = Counter(finding.fixes[0].applicability for finding in findings if finding.fixes)
    safe, likely = counted["safe"], counted["likely"]
    if not safe and not likely:
        return ""
    ways = [f"{safe:,} with `--fix`"] if safe else []
    ways += [f"{likely:,}{' more' if safe else ''} with `--fix --unsafe-fixes`"] if likely else []
    return f"fixable: {', '.join(ways)}"


def _envelope(results: Sequence[CheckedFile], inputs: Inputs, findings: Sequence[Diagnostic]) -> dict[str, object]:
    """The part of the JSON document about files. `diagnostics` of a file are positions in the list of all findings."""
    positions = {_key(finding): number for number, finding in enumerate(findings)}
    files: list[dict[str, object]] = []
    for result in results:
        severities = Counter(finding.severity for finding in _once(result.findings))
        listed = sorted({positions[_key(finding)] for finding in result.findings})
        files.append(
            {
                "file": result.name,
                "kind": result.kind,
                "result": _RESULTS[result.exit_code],
                "errors": severities["error"],
                "warnings": severities["warning"],
                "diagnostics": listed,
                **result.facts,
            }
        )
    severities = Counter(finding.severity for finding in findings)
    counts = {
        "files": len(results),
        "ok": sum(result.exit_code == 0 for result in results),
        "errors": severities["error"],
        "warnings": severities["warning"],
        "skipped": len(inputs.skipped),
    }
    return {"files": files, "counts": counts, "skipped": list(inputs.skipped)}
