"""`resnet-spec check`."""

from __future__ import annotations

from dataclasses import replace

import click

from resnet_spec import compiler
from resnet_spec.cli.common import find_target, findings_options, set_option, show_findings, spec_root_option
from resnet_spec.diagnostics import Diagnostic, ResnetSpecError, printable, suggestion
from resnet_spec.diagnostics.rendering import MessageFormat
from resnet_spec.diagnostics.text import count_text
from resnet_spec.language.catalog import catalog
from resnet_spec.ops import show

ALL = "ALL"


@click.command(
    "check",
    epilog="""\b
Examples:
  resnet-spec check specs/resnet34.yaml
  resnet-spec check specs/*.yaml --message-format concise
  resnet-spec check resnet50 --set stages.layer3.depth=23
  cat my.yaml | resnet-spec check -
""",
)
@click.argument("specs", nargs=-1, required=True, metavar="SPEC...")
@set_option
@spec_root_option
@findings_options
@click.option("-W", "warning", type=click.Choice(["error"]), help="Treat warnings as errors.")
@click.option(
    "--select",
    metavar="CODES",
    help="Show only warnings with these codes (comma-separated), also those that are off by default; `ALL` shows all.",
)
@click.option("--ignore", metavar="CODES", help="Hide warnings with these codes (comma-separated).")
@click.option("-q", "--quiet", is_flag=True, help="Print only findings.")
@click.pass_context
def command(
    ctx: click.Context,
    specs: tuple[str, ...],
    sets: tuple[str, ...],
    spec_root: str | None,
    message_format: MessageFormat,
    warning: str | None,
    select: str | None,
    ignore: str | None,
    quiet: bool,
) -> None:
    """Check specs without torch: form, names, shapes, and the `expect` of each.

    Findings are printed to stdout. Exit code: 0 without errors, 1 with errors, 2 if a file cannot be read.
    """
    chosen, left_out = _codes(select), _codes(ignore)
    findings: list[Diagnostic] = []
    good: list[str] = []
    code = 0
    for spec in specs:
        try:
            analysis = compiler.analyze(find_target(spec, None, spec_root), sets)
            found, line = [*analysis.warnings, *analysis.lint(chosen or ())], _line(spec, analysis)
        except ResnetSpecError as error:
            found, line = list(error.diagnostics), ""
            code = max(code, error.exit_code)
        found = [finding for finding in found if finding.severity == "error" or _wanted(finding.code, chosen, left_out)]
        if warning == "error":
            found = [replace(finding, severity="error") for finding in found]
        if any(finding.severity == "error" for finding in found):
            code = max(code, 1)
        else:
            good.append(line)
        findings.extend(found)
    findings = list({(finding.code, str(finding.span), finding.message): finding for finding in findings}.values())
    if findings or message_format in ("json", "sarif"):
        show_findings(findings, message_format, product=True)
    if message_format == "text" and not quiet:
        for line in good:
            click.echo(line)
        errors = sum(finding.severity == "error" for finding in findings)
        if len(specs) > 1 or findings:
            counts = f"{count_text(errors, 'error')}, {count_text(len(findings) - errors, 'warning')}"
            click.echo(f"{count_text(len(specs), 'spec')} checked, {len(good):,} ok: {counts}")
    ctx.exit(code)


def _line(spec: str, analysis: compiler.Analysis) -> str:
    """The line for a spec without errors."""
    note = "" if analysis.expect_checked or analysis.spec.expect is None else ", `expect` is not checked with --set"
    sizes = f"{show(analysis.input)} -> {show(analysis.output)}"
    counts = f"{analysis.total.params:,} parameters, {analysis.total.macs:,} multiply-adds"
    return f"{printable(spec)}: ok, {sizes}, {counts}, accepts {analysis.accepted.describe()}{note}"


def _codes(written: str | None) -> frozenset[str] | None:
    """The codes of an option, where `ALL` means all; None where the option is not given. Refuses codes that do not exist."""
    if written is None:
        return None
    codes = {word.strip() for word in written.split(",")} - {""}
    for code in sorted(codes - catalog().keys() - {ALL}):
        help = suggestion(code, list(catalog()), most=0) or "see `resnet-spec explain`"
        raise click.UsageError(f"there is no code `{printable(code)}`; {help}")
    return frozenset(catalog() if ALL in codes else codes)


def _wanted(code: str, chosen: frozenset[str] | None, left_out: frozenset[str] | None) -> bool:
    """Whether warnings of a code are to be shown."""
    return (chosen is None or code in chosen) and (left_out is None or code not in left_out)
