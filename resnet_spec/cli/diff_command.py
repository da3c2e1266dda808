"""`resnet-spec diff`."""

from __future__ import annotations

import json
from pathlib import Path

import click

from resnet_spec import compiler
from resnet_spec._system.files import make_folder_of, write_atomically
from resnet_spec.cli.common import find_target, findings_options, show_error, show_findings, spec_root_option
from resnet_spec.cli.weights_difference import WeightedNetwork, holds_weights, open_given, open_networks, write_weights
from resnet_spec.comparison.difference import Difference, compare
from resnet_spec.comparison.runs import compare_runs
from resnet_spec.compiler import Analysis, Target
from resnet_spec.diagnostics import ResnetSpecError, printable
from resnet_spec.diagnostics.rendering import MessageFormat
from resnet_spec.outputs.difference_diagram import draw_difference
from resnet_spec.outputs.render_dot import FORMATS, render_picture, suffixes


@click.command(
    "diff",
    epilog="""\b
Examples:
  resnet-spec diff resnet50 resnet101
  resnet-spec diff resnet50 resnet50 --set-b act=silu
  resnet-spec diff HEAD~1:specs/my.yaml specs/my.yaml
  resnet-spec diff main:specs/my.yaml specs/my.yaml --format markdown
  resnet-spec diff runs/a runs/b --format json
  resnet-spec diff resnet50 my.yaml -o difference.svg
  resnet-spec diff resnet50 resnet101 --weights resnet50.pth
  resnet-spec diff runs/a runs/b --numbers
""",
)
@click.argument("networks", nargs=-1, required=True, metavar="A B")
@click.option("--set", "sets", multiple=True, metavar="KEY=VALUE", help="Patch both specs.  [repeatable]")
@click.option("--set-a", "sets_a", multiple=True, metavar="KEY=VALUE", help="Patch A: --set-a act=silu.  [repeatable]")
@click.option("--set-b", "sets_b", multiple=True, metavar="KEY=VALUE", help="Patch B.  [repeatable]")
@click.option("--input", "size", metavar="CxHxW", help="An input size for both, other than those of the specs, in pixels.")
@click.option("--format", "style", type=click.Choice(["text", "markdown", "json"]), default="text", show_default=True)
@click.option(
    "--weights",
    metavar="WEIGHTS",
    help="Also show what becomes of each tensor of these weights in B. Needs torch.",
)
@click.option("--weights-key", metavar="KEY", help="The part of a checkpoint that holds the weights, or their first names.")
@click.option("--numbers", is_flag=True, help="Also compare the weights of two runs by stage, number by number. Needs torch.")
@click.option("-o", "--output", metavar="FILE", help=f"Also draw the difference as one picture: {suffixes()}.")
@click.option("--git-driver", is_flag=True, help="Take the seven arguments that git gives to a diff driver, and exit with 0.")
@spec_root_option
@findings_options
@click.pass_context
def command(
    ctx: click.Context,
    networks: tuple[str, ...],
    sets: tuple[str, ...],
    sets_a: tuple[str, ...],
    sets_b: tuple[str, ...],
    size: str | None,
    style: str,
    weights: str | None,
    weights_key: str | None,
    numbers: bool,
    output: str | None,
    git_driver: bool,
    spec_root: str | None,
    message_format: MessageFormat,
) -> None:
    """Show what differs between two networks: the settings of their specs, and what follows from each. Does not need torch.

    A and B are specs, run folders, or files at git revisions: REV:PATH, where PATH starts from the top of the repository, or,
    as ./PATH, from this folder. A file of that name wins. They may also be files of weights (needs torch): of two, the numbers
    are compared by stage; of one, it is shown what becomes of each tensor in the other network.

    Exit code: 0 if the networks are equal, 1 if they differ, 2 if one of them has errors. If these are only about the `expect`
    of a spec, the difference is shown, too.
    """
    if git_driver:
        from resnet_spec.cli.git_driver import show_for_git  # only git needs it

        show_for_git(networks)
        ctx.exit(0)
    if len(networks) != 2:
        raise click.UsageError(f"two networks are compared, A and B, not {len(networks)}")
    a, b = networks
    if a == b == "-":
        raise click.UsageError("only one of A and B can be standard input")
    form = "" if output is None else Path(output).suffix.removeprefix(".").lower()
    if output is not None and form not in FORMATS:
        raise click.UsageError(f"the format is unknown: use a file name that ends in {suffixes()}")
    if weights_key is not None and weights is None:
        raise click.UsageError("--weights-key chooses a part of a checkpoint: use it with --weights WEIGHTS")
    opened: tuple[WeightedNetwork, ...] = ()
    if numbers or any(map(holds_weights, networks)):
        try:
            opened = open_networks(networks, lambda spec: _find(spec, size, spec_root))
        except ResnetSpecError as error:
            show_error(error, message_format)
            ctx.exit(2)
        if numbers and not all(network.weights for network in opened):
            raise click.UsageError("--numbers compares weights: A and B are runs, or files of weights")
    found: list[Analysis] = []
    for at, (spec, patches) in enumerate(((a, (*sets, *sets_a)), (b, (*sets, *sets_b)))):
        try:
            target = opened[at].target if opened else _find(spec, size, spec_root)
            found.append(compiler.analyze(target, patches, size, enforce_expect=False))
        except ResnetSpecError as error:
            show_error(error, message_format)
    if len(found) < 2:
        ctx.exit(2)
    difference = compare(found[0], found[1], (_label(a, sets_a), _label(b, sets_b)), compare_runs(a, b))
    are_equal = difference.equal
    if opened or weights is not None:
        try:
            given = open_given(weights, weights_key, found[0])
            text, equal_weights = write_weights(difference, opened, given, style)
        except ResnetSpecError as error:
            show_error(error, message_format)
            ctx.exit(2)
        click.echo(text, nl=False)
        are_equal = are_equal and equal_weights
    else:
        click.echo(_write(difference, style), nl=False)
    if output is not None:
        try:
            _draw(difference, Path(output), form)
        except ResnetSpecError as error:
            show_error(error, message_format)
            ctx.exit(2)
    broken = [finding for analysis in found for finding in compiler.check_expect(analysis)]
    if broken:
        show_findings(broken, message_format)
        ctx.exit(2)
    ctx.exit(0 if are_equal else 1)


def _find(spec: str, size: str | None, spec_root: str | None) -> Target:
    """Find a SPEC argument, a run folder, or a file at a revision."""
    known = spec == "-" or "\n" in spec or "\0" in spec
    return find_target(spec, size, spec_root) if known else compiler.find_version(spec, size, spec_root)


def _label(spec: str, sets: tuple[str, ...]) -> str:
    """What a network is called: the name of its file or spec, and what is set for it alone."""
    name = "standard input" if spec == "-" else spec
    return name + (f" with {', '.join(sets)}" if sets else "")


def _draw(difference: Difference, path: Path, form: str) -> None:
    """Draw a difference to a file."""
    picture = draw_difference(difference)
    data = render_picture(picture, form, str)
    make_folder_of(path)
    write_atomically(path, data)
    click.echo(f"wrote {printable(str(path))}: {picture.boxes} boxes", err=True)


def _write(difference: Difference, style: str) -> str:
    match style:
        case "json":
            return json.dumps(difference.data(), indent=2) + "\n"
        case "markdown":
            return difference.markdown()
        case _:
            return difference.text()
