"""`resnet-spec summary`."""

from __future__ import annotations

from dataclasses import asdict

import click

from resnet_spec import compiler
from resnet_spec.analysis.memory import DTYPE_BYTES, measure
from resnet_spec.analysis.receptive_field import receptive_fields
from resnet_spec.analysis.single_block import take_block
from resnet_spec.analysis.sizes import accepted_sizes
from resnet_spec.cli.common import (
    block_option,
    find_target,
    findings_options,
    outputs_option,
    set_option,
    show_error,
    show_findings,
    spec_root_option,
)
from resnet_spec.diagnostics import ResnetSpecError, printable
from resnet_spec.diagnostics.rendering import MessageFormat
from resnet_spec.graph.fingerprint import fingerprint
from resnet_spec.ops import show
from resnet_spec.outputs import summary as report


@click.command(
    "summary",
    epilog="""\b
Examples:
  resnet-spec summary resnet34
  resnet-spec summary specs/resnet34.yaml --detail op --arithmetic
  resnet-spec summary resnet50 --input 3x320x320 --format json
  resnet-spec summary cifar_resnet1202 --memory --batch 128 --dtype bfloat16
  resnet-spec summary my.yaml --resolved
  resnet-spec summary resnet50 --block bottleneck
  resnet-spec summary block:basic --input 64x224x224 --set width=128 --batch 2
""",
)
@click.argument("spec")
@block_option
@click.option("--input", "size", metavar="CxHxW", help="An input size other than the spec's, in pixels.")
@click.option("--batch", type=click.IntRange(1), metavar="N", help="Show shapes with a batch of N images.")
@click.option("--detail", type=click.Choice(["stage", "block", "op"]), help="What a row represents.  [default: block]")
@click.option("--format", "style", type=click.Choice(["table", "json", "markdown"]), default="table", show_default=True)
@click.option("--field", is_flag=True, help="Show receptive fields: size, jump, and extent beyond the image, in input pixels.")
@click.option("--memory", is_flag=True, help="Show the memory that training and inference need.")
@click.option(
    "--dtype",
    type=click.Choice(list(DTYPE_BYTES)),
    default="float32",
    show_default=True,
    help="The type of weights and values for --memory.",
)
@click.option("--resolved", is_flag=True, help="Print the spec as one file, with the file and line of each value as comments.")
@click.option("--arithmetic", is_flag=True, help="Show the worked formula of each layer's size.")
@outputs_option
@set_option
@spec_root_option
@findings_options
@click.pass_context
def command(
    ctx: click.Context,
    spec: str,
    block: str | None,
    size: str | None,
    batch: int | None,
    detail: report.SummaryDetail | None,
    style: str,
    field: bool,
    memory: bool,
    dtype: str,
    resolved: bool,
    arithmetic: bool,
    outputs: compiler.Outputs | None,
    sets: tuple[str, ...],
    spec_root: str | None,
    message_format: MessageFormat,
) -> None:
    """Show a network as a table: layers, shapes, kernels, parameters. Does not need torch."""
    try:
        target = find_target(spec, size, spec_root)
        if resolved:
            click.echo(compiler.annotate_text(target, sets), nl=False)
        analysis = compiler.analyze(target, sets, size, outputs=outputs)
        sized = analysis.sized if block is None else take_block(analysis.sized, block).sized
    except ResnetSpecError as error:
        ctx.exit(show_error(error, message_format))
    show_findings(analysis.warnings, message_format)
    if resolved:
        return
    is_block = block is not None or spec.startswith(compiler.BLOCK_PREFIX)
    chosen: report.SummaryDetail = detail or ("op" if arithmetic or is_block else "block")
    graph, shapes = sized.graph, sized.shapes
    is_image = len(sized.input) == 3  # a block after a flatten takes a vector
    if field and not is_image:
        raise click.UsageError(f"the block takes a vector of {show(sized.input)} numbers: there are no receptive fields")
    fields = receptive_fields(graph, sized.input, shapes) if field else None
    rows = report.make_rows(sized, chosen, fields)
    name, total = graph.name, sized.total()
    accepted = accepted_sizes(graph).describe() if is_image else f"a vector of {show(sized.input)} numbers"
    needed = measure(graph, sized.input, shapes, total, batch or 1, DTYPE_BYTES[dtype])
    match style:
        case "json":
            lead = [] if batch is None else [batch]
            facts = {
                "name": name,
                "fingerprint": fingerprint(graph),
                "input": [*lead, *sized.input],
                "output": [*lead, *sized.output],
                **report.outputs_data(sized),
                "accepts": accepted,
                **asdict(total),
                # `optimiser` is the old spelling of a key that programs may read.
                "memory": {"batch": batch or 1, "dtype": dtype, **asdict(needed), "optimiser": needed.optimizer},
            }
            click.echo(report.json_document(facts, rows, batch), nl=False)
        case "markdown":
            click.echo(report.markdown_table(rows, batch), nl=False)
        case _:
            size_in, size_out = report.size_text(sized.input, batch), report.size_text(sized.output, batch)
            click.echo(f"{printable(name)}: {size_in} -> {size_out}\n")
            click.echo(report.text_table(rows, batch))
            click.echo(report.totals_text(total) + report.outputs_text(sized), nl=False)
            click.echo(f"accepts {accepted}")
            click.echo(f"fingerprint {fingerprint(graph)}")
            if memory:
                click.echo(report.memory_text(needed, batch or 1, dtype), nl=False)
            if block is None and analysis.spec.expect is not None and not analysis.expect_checked:
                click.echo("`expect` is not checked for another input size or with --set")
            if arithmetic:
                click.echo()
                click.echo(report.arithmetic_text(rows), nl=False)
