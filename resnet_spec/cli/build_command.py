"""`resnet-spec build`."""

from __future__ import annotations

from pathlib import Path

import click

from resnet_spec import compiler
from resnet_spec._system.packages import NETWORKS, require_packages
from resnet_spec.cli.common import (
    find_target,
    findings_options,
    outputs_option,
    set_option,
    show_error,
    show_findings,
    spec_root_option,
)
from resnet_spec.cli.weights_plan import check_plan_options, map_option, plan_options, show_build_plan
from resnet_spec.diagnostics import ResnetSpecError, printable
from resnet_spec.diagnostics.rendering import MessageFormat
from resnet_spec.graph.printer import print_graph
from resnet_spec.outputs import summary as report


@click.command(
    "build",
    epilog="""\b
Examples:
  resnet-spec build specs/resnet34.yaml --check-shape 3x224x224
  resnet-spec build resnet50 -o resnet50.safetensors
  resnet-spec build resnet50 --weights resnet50.pth -o resnet50.safetensors
  resnet-spec build resnet50 --weights other_names.pth --plan-only -o map.yaml
  resnet-spec build resnet50 --weights torchvision:ResNet50_Weights.IMAGENET1K_V2 -o resnet50.safetensors
  resnet-spec build specs/cifar_resnet20.yaml --set params.n=9 --check-shape 3x32x32 --batch 8
  resnet-spec build block:bottleneck --set width=64 --check-shape 64x56x56
""",
)
@click.argument("spec")
@click.option(
    "--check-shape",
    "size",
    metavar="CxHxW",
    help="Run the module on an image of this size, and compare the shape of every layer.",
)
@click.option("--batch", type=click.IntRange(1), metavar="N", help="Batch size for --check-shape.  [default: 1]")
@click.option("--detail", type=click.Choice(["stage", "block", "op"]), default="block", show_default=True)
@click.option(
    "--weights",
    metavar="WEIGHTS",
    help="Load these weights, which must be exactly those of the network: a file, a run, a folder with model.safetensors; or "
    "torchvision:NAME, hf:ORG/NAME[@REVISION], or published (those that the spec names), which are downloaded.",
)
@click.option("--weights-key", metavar="KEY", help="The part of a checkpoint that holds the weights, or their first names.")
@map_option
@plan_options
@click.option(
    "-o",
    "--output",
    type=click.Path(dir_okay=False),
    metavar="FILE.safetensors",
    help="Write the weights: those of --weights, else newly initialized ones. With --plan-only, a map of keys: FILE.yaml.",
)
@click.option(
    "--seed", type=click.IntRange(-(2**63), 2**63 - 1), default=0, show_default=True, help="Seed of the initialization."
)
@click.option("--force", is_flag=True, help="Write the weights even if they are larger than the free memory.")
@click.option("--dump-ir", is_flag=True, help="Print the graph and exit.")
@outputs_option
@set_option
@spec_root_option
@findings_options
@click.pass_context
def command(
    ctx: click.Context,
    spec: str,
    size: str | None,
    batch: int | None,
    detail: report.SummaryDetail,
    weights: str | None,
    weights_key: str | None,
    weights_map: str | None,
    plan_only: bool,
    style: str | None,
    output: str | None,
    seed: int,
    force: bool,
    dump_ir: bool,
    outputs: compiler.Outputs | None,
    sets: tuple[str, ...],
    spec_root: str | None,
    message_format: MessageFormat,
) -> None:
    """Build the PyTorch module of a spec; check its shapes, load weights, or write them.

    --check-shape runs the real module on torch's meta device and compares each layer's output shape with the static analysis.
    """
    if weights_key is not None and weights is None:
        raise click.UsageError("--weights-key chooses a part of a checkpoint: use it with --weights FILE")
    if weights is not None and outputs is not None:
        raise click.UsageError("weights are those of the whole network: `export --outputs` writes a part with its weights")
    check_plan_options(weights, weights_map, plan_only, style, output)
    if output is not None and not plan_only and not output.endswith(".safetensors"):
        raise click.UsageError("the file name of -o must end in .safetensors")
    try:
        if weights is not None:
            require_packages("reading weights", *NETWORKS)
        elif output is not None:
            require_packages("writing weights", *NETWORKS)
        elif not dump_ir:
            require_packages("building a module", "torch", "numpy")
        analysis = compiler.analyze(find_target(spec, size, spec_root), sets, size, enforce_expect=False, outputs=outputs)
    except ResnetSpecError as error:
        ctx.exit(show_error(error, message_format))
    show_findings(analysis.warnings, message_format)
    if dump_ir:
        click.echo(print_graph(analysis.graph), nl=False)
        return
    from resnet_spec import api

    key_map = None if weights_map is None else Path(weights_map)
    if weights is not None and plan_only:
        ctx.exit(show_build_plan(analysis, weights, weights_key, key_map, style == "json", output, message_format))
    if weights is None and outputs is None and not sets and compiler.is_run(spec):
        weights = spec
    if weights is not None:
        try:
            api.check_weights(analysis, weights)
        except ResnetSpecError as error:
            ctx.exit(show_error(error, message_format))

    rows = report.make_rows(analysis.sized, detail)
    size_in, size_out = report.size_text(analysis.input, batch), report.size_text(analysis.output, batch)
    click.echo(f"{printable(analysis.spec.name)}: {size_in} -> {size_out}\n")
    click.echo(report.text_table(rows, batch))
    click.echo(report.totals_text(analysis.total) + report.outputs_text(analysis.sized), nl=False)
    findings = api.check_shapes(analysis, batch or 1)
    findings += compiler.check_expect(analysis)  # after the layers, which may show the cause
    if findings:
        ctx.exit(show_findings(findings, message_format))
    count = len(analysis.graph.nodes)
    size = report.size_text(analysis.input, batch or 1)
    click.echo(f"checked: torch computes the same shape at each of the {count} layers for {size}")
    if weights is not None:
        try:
            network, stored, notes = api.load_network(analysis, weights, weights_key, force=force, key_map=key_map)
        except ResnetSpecError as error:
            ctx.exit(show_error(error, message_format))
        click.echo(f"loaded: every tensor of the network is in {printable(weights)}")
        origin = stored.origin
        if origin is not None and origin.source:
            click.echo(f"source: {printable(origin.source)}")
        for note in (*notes, *(() if origin is None else origin.notes)):
            click.echo(f"note: {printable(note)}")
        if output is not None:
            click.echo(f"wrote {api.write_network(network, analysis, Path(output), stored):,} bytes to {printable(output)}")
    elif output is not None:
        written = api.write_initial_weights(analysis, Path(output), seed, force)
        click.echo(f"wrote {written:,} bytes to {printable(output)}")
