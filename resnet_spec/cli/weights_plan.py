"""Options about plans of weights, which `build` and `train` share, and how a plan is shown."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from resnet_spec._system.files import make_folder_of, write_atomically
from resnet_spec.cli.common import show_error, show_findings
from resnet_spec.compiler import Analysis
from resnet_spec.diagnostics import ArgumentError, Diagnostic, ResnetSpecError, printable
from resnet_spec.diagnostics.rendering import MessageFormat

if TYPE_CHECKING:
    from resnet_spec.training.options import TrainOptions
    from resnet_spec.weights.planning import Plan

Command = TypeVar("Command", bound=Callable[..., Any])
MAP_SUFFIXES = (".yaml", ".yml")


def map_option(command: Command) -> Command:
    """Add `--map`, which says which tensor of a file is which."""
    return click.option(
        *("--map", "weights_map"),
        metavar="FILE.yaml",
        help="Which key of --weights is which: `network key: file key`, also for modules.",
    )(command)


def plan_options(command: Command) -> Command:
    """Add `--plan-only` and `--format`."""
    command = click.option("--format", "style", type=click.Choice(["text", "json"]), help="Of --plan-only.  [default: text]")(
        command
    )
    return click.option("--plan-only", is_flag=True, help="Print what becomes of each tensor of --weights, and exit.")(command)


def check_plan_options(
    weights: str | None, weights_map: str | None, plan_only: bool, style: str | None, output: str | None
) -> None:
    """Raise UsageError for options that do not go together."""
    if weights is None and weights_map is not None:
        raise click.UsageError("--map says which key of weights is which: use it with --weights WEIGHTS")
    if weights is None and plan_only:
        raise click.UsageError("--plan-only shows what becomes of weights: use it with --weights WEIGHTS")
    if style is not None and not plan_only:
        raise click.UsageError("--format is that of the plan of weights: use it with --plan-only")
    if plan_only and output is not None and not output.endswith(MAP_SUFFIXES):
        raise click.UsageError("-o writes a map of keys with --plan-only: its name must end in .yaml")


def show_build_plan(
    analysis: Analysis,
    weights: str,
    key: str | None,
    key_map: Path | None,
    as_json: bool,
    output: str | None,
    message_format: MessageFormat,
) -> int:
    """Print by which plan `build` loads weights, and return the exit code: that of the error if it refuses them."""
    from resnet_spec import api
    from resnet_spec.weights.refusal import require_exact

    name = analysis.spec.name
    try:
        plan = api.plan_weights(analysis, weights, key, key_map)
        _show(plan, name, weights, as_json, False)
        _write_map(plan, name, weights, output)
    except ResnetSpecError as error:
        return show_error(error, message_format)
    return _show_refusal(lambda: require_exact(plan, weights, name), message_format)


def show_training_plan(
    options: TrainOptions, classes_of_data: bool, as_json: bool, output: str | None, message_format: MessageFormat
) -> int:
    """Print by which plan training starts from weights, and return the exit code: that of the error if it refuses them."""
    from resnet_spec.training import runs
    from resnet_spec.weights.refusal import require_start

    weights = options.weights
    assert weights is not None
    try:
        name, plan = runs.plan_weights(options, classes_of_data)
        _show(plan, name, weights, as_json, options.transfer)
        _write_map(plan, name, weights, output)
    except ResnetSpecError as error:
        return show_error(error, message_format)
    return _show_refusal(lambda: require_start(plan, weights, name, options.transfer), message_format)


def _show(plan: Plan, name: str, weights: str | Path, as_json: bool, transfer: bool) -> None:
    from resnet_spec.weights.plan_report import plan_data, plan_text

    if as_json:
        heads = {"version": 1, "network": name, "weights": str(weights)}
        click.echo(json.dumps(heads | plan_data(plan, transfer), indent=2))
    else:
        click.echo(f"{printable(str(weights))} -> {printable(name)}\n")
        click.echo(plan_text(plan), nl=False)


def _write_map(plan: Plan, name: str, weights: str | Path, output: str | None) -> None:
    """Write a map of keys. Raises ArgumentError if it cannot be written."""
    if output is None:
        return
    from resnet_spec.weights.map_writer import map_text

    try:
        make_folder_of(Path(output))
        write_atomically(Path(output), map_text(plan, name, str(weights)).encode("utf-8", "backslashreplace"))
    except OSError as error:
        message = f"cannot write {printable(output)}: {error.strerror or error}"
        raise ArgumentError([Diagnostic("cannot-write", message, None)]) from None
    click.echo(f"wrote {printable(output)}", err=True)


def _show_refusal(check: Callable[[], None], message_format: MessageFormat) -> int:
    try:
        check()
    except ResnetSpecError as error:
        show_findings([replace(finding, notes=()) for finding in error.diagnostics], message_format)  # the table has them
        return error.exit_code
    return 0
