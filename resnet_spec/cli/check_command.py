"""`resnet-spec check`."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import click

from resnet_spec.cli.check_report import report_results
from resnet_spec.cli.checking import CheckedFile, CheckOptions, check_file
from resnet_spec.cli.common import findings_options, set_option, spec_root_option
from resnet_spec.cli.inputs import find_inputs
from resnet_spec.diagnostics import Applicability, printable, suggestion
from resnet_spec.diagnostics.rendering import MessageFormat
from resnet_spec.language.catalog import catalog

ALL = "ALL"


@click.command(
    "check",
    epilog="""\b
Examples:
  resnet-spec check specs/resnet34.yaml
  resnet-spec check specs/*.yaml --message-format concise
  resnet-spec check resnet50 --set stages.layer3.depth=23
  resnet-spec check mine.yaml --diff --unsafe-fixes
  resnet-spec check mine.yaml --fix
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
@click.option("--fix", is_flag=True, help="Apply the safe fixes to the files, and show what remains.")
@click.option(
    "--unsafe-fixes", is_flag=True, help="With --fix or --diff: also those that may be another network than you want."
)
@click.option("--diff", is_flag=True, help="Show what --fix would change, and change nothing.")
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
    fix: bool,
    unsafe_fixes: bool,
    diff: bool,
    quiet: bool,
) -> None:
    """Check specs without torch: form, names, shapes, and the `expect` of each.

    Findings are printed to stdout. Exit code: 0 without errors, 1 with errors, 2 if a file cannot be read. With --diff: 1 if
    something would change.
    """
    if unsafe_fixes and not (fix or diff):
        raise click.UsageError("--unsafe-fixes needs --fix or --diff")
    chosen, left_out = _codes(select), _codes(ignore)
    inputs = find_inputs(specs)
    options = CheckOptions(sets, spec_root, chosen or frozenset())
    choose = partial(_choose, chosen=chosen, left_out=left_out, strict=warning == "error")
    if not (fix or diff):
        results = [choose(check_file(name, options)) for name in inputs.names]
        ctx.exit(report_results(results, inputs, message_format, quiet))
    from resnet_spec.cli.fixing import fix_file, report_diffs, report_fixed

    if sets:
        raise click.UsageError("fixes are made in files, and cannot be combined with --set")
    allowed: tuple[Applicability, ...] = ("safe", "likely") if unsafe_fixes else ("safe",)
    fixed = [fix_file(name, options, allowed, choose, write=not diff) for name in inputs.names]
    if diff:
        ctx.exit(report_diffs(fixed))
    ctx.exit(report_fixed(fixed, inputs, message_format, quiet))


def _choose(result: CheckedFile, chosen: frozenset[str] | None, left_out: frozenset[str] | None, strict: bool) -> CheckedFile:
    """A result with the chosen warnings; as errors, if `strict`."""
    kept = [each for each in result.findings if each.severity == "error" or _is_wanted(each.code, chosen, left_out)]
    if strict:
        kept = [replace(finding, severity="error") for finding in kept]
    code = max(result.exit_code, int(any(finding.severity == "error" for finding in kept)))
    return replace(result, findings=tuple(kept), exit_code=code)


def _codes(written: str | None) -> frozenset[str] | None:
    """The codes of an option, where `ALL` means all; None where the option is not given. Refuses codes that do not exist."""
    if written is None:
        return None
    codes = {word.strip() for word in written.split(",")} - {""}
    for code in sorted(codes - catalog().keys() - {ALL}):
        help = suggestion(code, list(catalog()), most=0) or "see `resnet-spec explain`"
        raise click.UsageError(f"there is no code `{printable(code)}`; {help}")
    return frozenset(catalog() if ALL in codes else codes)


def _is_wanted(code: str, chosen: frozenset[str] | None, left_out: frozenset[str] | None) -> bool:
    """Whether warnings of a code are to be shown."""
    return (chosen is None or code in chosen) and (left_out is None or code not in left_out)
