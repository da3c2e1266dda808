"""`resnet-spec check`."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from functools import partial

import click

from resnet_spec.cli.check_files import check_files
from resnet_spec.cli.check_report import report_results
from resnet_spec.cli.checking import CheckedFile, CheckOptions, check_file
from resnet_spec.cli.common import find_target, findings_options, set_option, show_error, spec_root_option
from resnet_spec.cli.inputs import Inputs, find_inputs
from resnet_spec.diagnostics import Applicability, ResnetSpecError, printable, suggestion
from resnet_spec.diagnostics.rendering import MessageFormat
from resnet_spec.language.catalog import catalog

ALL = "ALL"


@click.command(
    "check",
    epilog="""\b
Examples:
  resnet-spec check specs/resnet34.yaml
  resnet-spec check specs/*.yaml --message-format concise
  resnet-spec check specs recipes "experiments/**/*.yaml"
  resnet-spec check resnet50 --set stages.layer3.depth=23
  resnet-spec check mine.yaml --diff --unsafe-fixes
  resnet-spec check mine.yaml --fix
  resnet-spec check my_patch.yaml --on resnet50
  cat my.yaml | resnet-spec check -
""",
)
@click.argument("specs", nargs=-1, required=True, metavar="SPEC...")
@set_option
@spec_root_option
@click.option("--on", "base", metavar="BASE", help="Check each spec as a patch of BASE, as if it extended it.")
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
@click.option("--update-expect", is_flag=True, help="Rewrite the exact values of `expect` in the files, then check them.")
@click.option("--watch", is_flag=True, help="Check again whenever a file changes, until Ctrl-C.")
@click.option("-q", "--quiet", is_flag=True, help="Print only findings.")
@click.pass_context
def command(
    ctx: click.Context,
    specs: tuple[str, ...],
    sets: tuple[str, ...],
    spec_root: str | None,
    base: str | None,
    message_format: MessageFormat,
    warning: str | None,
    select: str | None,
    ignore: str | None,
    fix: bool,
    unsafe_fixes: bool,
    diff: bool,
    update_expect: bool,
    watch: bool,
    quiet: bool,
) -> None:
    """Check specs and recipes without torch: form, names, shapes, and the `expect` of each.

    SPEC may also be a folder, which is searched for specs and recipes, or a pattern in quotes. A file that is only a patch is
    checked on its own, or with --on as a part of a network.

    Findings are printed to stdout. Exit code: 0 without errors, 1 with errors, 2 if a file cannot be read. With --diff: 1 if
    something would change.
    """
    chosen, left_out = _codes(select), _codes(ignore)
    _refuse_contradictions(specs, sets, base, fix or diff, unsafe_fixes, update_expect, watch)
    choose = partial(_choose, chosen=chosen, left_out=left_out, strict=warning == "error")

    def check_all() -> tuple[Inputs, int]:
        inputs = find_inputs(specs)
        try:
            target = None if base is None else find_target(base, None, spec_root)
        except ResnetSpecError as error:
            return inputs, show_error(error, message_format)
        options = CheckOptions(sets, spec_root, target, chosen or frozenset())
        if fix or diff:
            from resnet_spec.cli.fixing import fix_file, report_diffs, report_fixed

            allowed: tuple[Applicability, ...] = ("safe", "likely") if unsafe_fixes else ("safe",)
            fixed = [fix_file(name, options, allowed, choose, write=not diff) for name in inputs.names]
            return inputs, report_diffs(fixed) if diff else report_fixed(fixed, inputs, message_format, quiet)
        if update_expect:
            from resnet_spec.cli.updating import update_file

            checked: Iterable[CheckedFile] = (update_file(name, options) for name in inputs.names)
        elif watch:
            checked = (check_file(name, options) for name in inputs.names)
        else:
            checked = check_files(inputs.names, options)
        results = list(map(choose, checked))
        return inputs, report_results(results, inputs, message_format, quiet)

    if watch:
        from resnet_spec.cli.watching import keep_checking

        keep_checking(lambda: check_all()[0], base, spec_root)
    ctx.exit(check_all()[1])


def _refuse_contradictions(
    specs: tuple[str, ...],
    sets: tuple[str, ...],
    base: str | None,
    fixes: bool,
    unsafe_fixes: bool,
    update_expect: bool,
    watch: bool,
) -> None:
    """Refuse options that exclude each other."""
    if base == "-":
        raise click.UsageError("--on takes a file or the name of a shipped spec, not standard input")
    if unsafe_fixes and not fixes:
        raise click.UsageError("--unsafe-fixes needs --fix or --diff")
    if fixes and sets:
        raise click.UsageError("fixes are made in files, and cannot be combined with --set")
    if fixes and update_expect:
        raise click.UsageError("use either --fix or --update-expect: `--fix --unsafe-fixes` updates `expect`, too")
    if update_expect and (sets or base is not None):
        raise click.UsageError("`expect` is about the file itself, so --update-expect excludes --set and --on")
    if watch and (fixes or update_expect or "-" in specs):
        other = "--fix and --diff" if fixes else "--update-expect" if update_expect else "standard input"
        raise click.UsageError(f"--watch excludes {other}")


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
