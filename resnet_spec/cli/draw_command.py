"""`resnet-spec draw`."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from resnet_spec import api, compiler
from resnet_spec._system.files import write_atomically
from resnet_spec.cli.common import find_target, findings_options, set_option, show_error, show_findings, spec_root_option
from resnet_spec.diagnostics import ResnetSpecError, printable
from resnet_spec.diagnostics.rendering import MessageFormat
from resnet_spec.outputs.diagram import SHOWS, DiagramDetail, DiagramTheme, Direction, Heat, Style
from resnet_spec.outputs.render_dot import FORMATS, NoRendererError, suffixes


@click.command(
    "draw",
    epilog="""\b
Examples:
  resnet-spec draw specs/resnet34.yaml -o resnet34.svg
  resnet-spec draw resnet50 --detail block -o resnet50.png
  resnet-spec draw resnet18 --heat params --theme dark -o heat.svg
  resnet-spec draw block:bottleneck --input 64x56x56 --set width=64 -o bottleneck.pdf
  resnet-spec draw resnet18 -o - --type dot
""",
)
@click.argument("spec")
@click.option("-o", "--output", required=True, metavar="FILE", help=f"The file to write: {suffixes()}; `-` is stdout.")
@click.option("--type", "form", type=click.Choice(list(FORMATS)), help="The format, if the file name has no such suffix.")
@click.option(
    "--detail", type=click.Choice(["stage", "block", "op"]), default="stage", show_default=True, help="What a box represents."
)
@click.option("--expand", is_flag=True, help="Draw equal blocks one by one.")
@click.option("--input", "size", metavar="CxHxW", help="An input size other than the spec's, in pixels.")
@click.option("--direction", type=click.Choice(["down", "right"]), default="down", show_default=True)
@click.option("--theme", type=click.Choice(["light", "dark"]), default="light", show_default=True)
@click.option(
    "--show", default="shapes,params", show_default=True, help=f"What boxes show: {', '.join(SHOWS)}; `--show=` for none."
)
@click.option("--heat", type=click.Choice(["params", "macs", "memory"]), help="Color boxes by a cost.")
@set_option
@spec_root_option
@findings_options
@click.pass_context
def command(
    ctx: click.Context,
    spec: str,
    output: str,
    form: str | None,
    detail: DiagramDetail,
    expand: bool,
    size: str | None,
    direction: Direction,
    theme: DiagramTheme,
    show: str,
    heat: Heat | None,
    sets: tuple[str, ...],
    spec_root: str | None,
    message_format: MessageFormat,
) -> None:
    """Draw a network as a diagram. Requires neither torch nor an installed Graphviz.

    If the spec has a conflict, the part that works is drawn, with the conflict in red, and the exit code is 1.
    """
    chosen = form or Path(output).suffix.removeprefix(".").lower()
    if chosen not in FORMATS:
        raise click.UsageError(f"the format is unknown: use a file name that ends in {suffixes()}, or --type")
    wanted = {word.strip() for word in show.split(",") if word.strip()}
    if unknown := wanted - set(SHOWS):
        raise click.UsageError(f"--show takes {', '.join(SHOWS)}, not {printable(', '.join(sorted(unknown)))}")
    style = Style(detail, expand, direction, theme, frozenset(word for word in SHOWS if word in wanted), heat)
    try:
        found = compiler.sketch(find_target(spec, size, spec_root), sets, size)
        data, boxes = api.draw_bytes(found, style, chosen)
    except NoRendererError as error:
        code = show_error(error, message_format)
        if output != "-":
            dot_file = Path(output).with_suffix(".dot")
            write_atomically(dot_file, api.draw_bytes(found, style, "dot")[0])
            click.echo(f"wrote {printable(str(dot_file))} instead, which Graphviz can draw", err=True)
        ctx.exit(code)
    except ResnetSpecError as error:
        ctx.exit(show_error(error, message_format))
    if output == "-":
        sys.stdout.buffer.write(data)
    else:
        write_atomically(Path(output), data)
        click.echo(f"wrote {printable(output)}: {boxes} boxes", err=True)
    ctx.exit(show_findings(found.findings, message_format))
