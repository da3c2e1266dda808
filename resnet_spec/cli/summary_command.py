"""`resnet-spec summary`."""

from __future__ import annotations

import click

from resnet_spec import pipeline
from resnet_spec.cli.common import find_target, message_format_option, set_option, show_findings, spec_root_option
from resnet_spec.diagnostics import SpecError, printable
from resnet_spec.outputs import report
from resnet_spec.rendering import MessageFormat


@click.command(
    "summary",
    epilog="""\b
Examples:
  resnet-spec summary resnet34
  resnet-spec summary specs/resnet34.yaml --detail op --arithmetic
  resnet-spec summary resnet50 --input 3x320x320 --format json
  resnet-spec summary block:basic --input 64x224x224 --set width=128 --batch 2
""",
)
@click.argument("spec")
@click.option("--input", "size", metavar="CxHxW", help="Another input size than the spec's, in pixels.")
@click.option("--batch", type=click.IntRange(1), metavar="N", help="Show sizes with a batch of N images.")
@click.option("--detail", type=click.Choice(["stage", "block", "op"]), help="What a row is.  [default: block]")
@click.option("--format", "style", type=click.Choice(["table", "json", "markdown"]), default="table", show_default=True)
@click.option("--arithmetic", is_flag=True, help="Show the worked formula of each layer's size.")
@set_option
@spec_root_option
@message_format_option
@click.pass_context
def command(
    ctx: click.Context,
    spec: str,
    size: str | None,
    batch: int | None,
    detail: report.Detail | None,
    style: str,
    arithmetic: bool,
    sets: tuple[str, ...],
    spec_root: str | None,
    message_format: MessageFormat,
) -> None:
    """Show a network as a table: layers, sizes, kernels, parameters. Needs no torch."""
    try:
        analysis = pipeline.analyze(find_target(spec, size, spec_root), sets, size)
    except SpecError as error:
        ctx.exit(show_findings(error.diagnostics, message_format))
    show_findings(analysis.warnings, message_format)
    chosen: report.Detail = detail or ("op" if arithmetic or spec.startswith(pipeline.BLOCK_PREFIX) else "block")
    rows = report.make_rows(analysis.graph, analysis.input, analysis.shapes, analysis.costs, chosen)
    name, total = analysis.spec.name, analysis.total
    match style:
        case "json":
            click.echo(report.json_document(name, analysis.input, analysis.output, rows, total, batch), nl=False)
        case "markdown":
            click.echo(report.markdown_table(rows, batch), nl=False)
        case _:
            size_in, size_out = report.size_text(analysis.input, batch), report.size_text(analysis.output, batch)
            click.echo(f"{printable(name)}: {size_in} -> {size_out}\n")
            click.echo(report.text_table(rows, batch))
            click.echo(report.totals_text(total), nl=False)
            if analysis.spec.expect is not None and not analysis.expect_checked:
                click.echo("`expect` speaks of the spec as written, and was not checked")
            if arithmetic:
                click.echo()
                click.echo(report.arithmetic_text(rows), nl=False)
