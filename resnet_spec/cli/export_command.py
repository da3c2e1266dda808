"""`resnet-spec export`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from resnet_spec import compiler
from resnet_spec._system.packages import NETWORKS, require_packages
from resnet_spec.cli.common import (
    find_target,
    findings_options,
    outputs_option,
    set_option,
    show_error,
    spec_root_option,
)
from resnet_spec.cli.weights_options import prepare_option
from resnet_spec.cli.weights_plan import map_option
from resnet_spec.diagnostics import ResnetSpecError, printable
from resnet_spec.diagnostics.rendering import MessageFormat
from resnet_spec.diagnostics.text import join_words
from resnet_spec.outputs.exporting.formats import FORMATS, Dtype, Dynamic, Layout, find_format, suffixes

if TYPE_CHECKING:
    from resnet_spec.inference.exporting import Exported


def _show_list(ctx: click.Context, option: click.Parameter, value: bool) -> None:
    """Print the formats, with what is missing here, and exit."""
    if not value or ctx.resilient_parsing:
        return
    width = max(len(each.suffix) for each in FORMATS) + 1
    for each in FORMATS:
        state = "ready"
        if missing := each.missing:
            state = f"needs {join_words(list(missing), 'and')}: {each.install}"
        click.echo(f".{each.suffix:{width}} {each.about}; {state}")
    ctx.exit()


@click.command(
    "export",
    epilog="""\b
Examples:
  resnet-spec export resnet18 -o resnet18.py
  resnet-spec export resnet18 --weights resnet18.pth -o resnet18.onnx
  resnet-spec export runs/a --with-preprocessing nhwc -o net.onnx
  resnet-spec export cifar_resnet20 --dynamic size -o net.pt2
  resnet-spec export runs/a --fold-bn --dtype fp16 -o net.safetensors
  resnet-spec export --list
""",
)
@click.argument("spec", metavar="SPEC|RUN")
@click.option("-o", "--output", required=True, metavar="FILE", help=f"The file to write: {suffixes()}.")
@click.option(
    "--weights",
    metavar="WEIGHTS",
    help="Export these weights, which must be exactly those of the network: as for `build`.",
)
@click.option("--weights-key", metavar="KEY", help="The part of a checkpoint that holds the weights, or their first names.")
@map_option
@click.option(
    "--seed", type=click.IntRange(-(2**63), 2**63 - 1), help="Seed of the weights, if no others are named.  [default: 0]"
)
@click.option("--input", "size", metavar="CxHxW", help="An input size other than the spec's, in pixels.")
@click.option(
    "--dynamic",
    type=click.Choice(["batch", "size"]),
    default="batch",
    show_default=True,
    help="What of the input may have any length: the batch, or height and width as well.",
)
@click.option("--opset", type=int, metavar="N", help="Version of the operators of ONNX.  [default: that of the exporter]")
@click.option("--fold-bn", is_flag=True, help="Fold batch norms into the layers before them; writes the folded spec too.")
@click.option(
    "--dtype", type=click.Choice(["fp32", "fp16", "bf16"]), default="fp32", show_default=True, help="Precision of the network."
)
@click.option("--channels-last", is_flag=True, help="Arrange tensors with the channels last (.pt2).")
@click.option(
    "--with-preprocessing",
    "preprocessing",
    type=click.Choice(["nhwc", "nchw"]),
    help="Take images as bytes, in this order of axes, and normalize them in the file.",
)
@click.option(
    "--snippet/--no-snippet",
    default=None,
    help="Write NAME_example.py too, a short program that runs the file.  [default: with --with-preprocessing]",
)
@prepare_option
@click.option("--force", is_flag=True, help="Build the network even if its weights are larger than the free memory.")
@click.option(
    "--list",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=_show_list,
    help="List the formats, and what is missing on this machine to write them.",
)
@outputs_option
@set_option
@spec_root_option
@findings_options
@click.pass_context
def command(
    ctx: click.Context,
    spec: str,
    output: str,
    weights: str | None,
    weights_key: str | None,
    weights_map: str | None,
    seed: int | None,
    size: str | None,
    dynamic: Dynamic,
    opset: int | None,
    fold_bn: bool,
    dtype: Dtype,
    channels_last: bool,
    preprocessing: Layout | None,
    snippet: bool | None,
    prepare: tuple[str, ...],
    force: bool,
    outputs: compiler.Outputs | None,
    sets: tuple[str, ...],
    spec_root: str | None,
    message_format: MessageFormat,
) -> None:
    """Write a network as a file that runs without this package.

    SPEC is a spec, RUN the folder of a run (its best weights, else the last) or a file of weights that `train` wrote. The file
    is run and compared with the module before it appears under its name; if it computes something else, there is none.
    """
    try:
        find_format(Path(output))
        require_packages("exporting a network", *NETWORKS)
        from resnet_spec.inference import export_subject, exporting
        from resnet_spec.inference.preparing import require_settings

        options = exporting.ExportOptions(
            weights=weights,
            weights_key=weights_key,
            weights_map=None if weights_map is None else Path(weights_map),
            seed=seed,
            fold_bn=fold_bn,
            dtype=dtype,
            channels_last=channels_last,
            dynamic=dynamic,
            opset=opset,
            preprocessing=preprocessing,
            snippet=snippet,
            prepare=require_settings(prepare),
            force=force,
        )
        if export_subject.is_trained(spec):
            export_subject.refuse_for_run(sets, spec_root)
            done = exporting.export_run(Path(spec), Path(output), options, input=size, outputs=outputs)
        else:
            exporting.check_options(Path(output), options)
            target = find_target(spec, size, spec_root)
            done = exporting.export_spec(target, Path(output), options, set=sets, input=size, outputs=outputs)
    except ResnetSpecError as error:
        ctx.exit(show_error(error, message_format))
    _report(done)


def _report(done: Exported) -> None:
    click.echo(f"wrote {printable(str(done.path))}: {done.size:,} bytes")
    if done.checks:
        batches: dict[str, list[str]] = {}
        for check in done.checks:
            batches.setdefault(f"{check.size[0]}x{check.size[1]}", []).append(str(check.batch))
        cases = "; ".join(f"{join_words(counts, 'and')} of {size}" for size, counts in batches.items())
        accepted = f"{done.tolerance:.0e}" if done.tolerance else "0"
        click.echo(
            f"checked: it returns what the module returns, for batches of {cases}: "
            f"largest relative difference {done.difference:.1e} (accepted {accepted})"
        )
    for note in done.notes:
        click.echo(f"note: {printable(note)}")
