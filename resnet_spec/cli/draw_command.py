"""`resnet-spec draw`."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import click

from resnet_spec import api, compiler
from resnet_spec._system.files import make_folder_of, write_atomically
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
from resnet_spec.language.library import is_file, shipped_path
from resnet_spec.outputs.diagram import SHOWS, DiagramDetail, DiagramTheme, Direction, Heat, Style
from resnet_spec.outputs.render_dot import FORMATS, NoRendererError, suffixes

MOST_LETTERS = 60  # of a network's name in the name of a file


@click.command(
    "draw",
    epilog="""\b
Examples:
  resnet-spec draw specs/resnet34.yaml                    # writes resnet34.svg
  resnet-spec draw resnet50 --detail block -o resnet50.png
  resnet-spec draw resnet18 --heat params --theme dark -o heat.svg
  resnet-spec draw resnet50 --block bottleneck --no-title -o figures/bottleneck.pdf
  resnet-spec draw block:bottleneck --input 64x56x56 --set width=64
  resnet-spec draw resnet18 -o - --type dot
""",
)
@click.argument("spec")
@click.option(
    "-o",
    "--output",
    metavar="FILE",
    help=f"The file to write: {suffixes()}; `-` is stdout.  [default: the name of the spec, .svg]",
)
@click.option("--type", "form", type=click.Choice(list(FORMATS)), help="The format, if the file name has no such suffix.")
@block_option
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
@click.option("--heat", type=click.Choice(["params", "macs", "memory"]), help="Color boxes by a cost, and show it in them.")
@click.option("--no-title", is_flag=True, help="Leave out the title, with the legends of --heat and memory.")
@outputs_option
@set_option
@spec_root_option
@findings_options
@click.pass_context
def command(
    ctx: click.Context,
    spec: str,
    output: str | None,
    form: str | None,
    block: str | None,
    detail: DiagramDetail,
    expand: bool,
    size: str | None,
    direction: Direction,
    theme: DiagramTheme,
    show: str,
    heat: Heat | None,
    no_title: bool,
    outputs: compiler.Outputs | None,
    sets: tuple[str, ...],
    spec_root: str | None,
    message_format: MessageFormat,
) -> None:
    """Draw a network as a diagram. Requires neither torch nor an installed Graphviz.

    If the spec has a conflict, the part that works is drawn, with the conflict in red, and the exit code is 1.
    """
    chosen = form or ("svg" if output is None else Path(output).suffix.removeprefix(".").lower())
    if chosen not in FORMATS:
        raise click.UsageError(f"the format is unknown: use a file name that ends in {suffixes()}, or --type")
    wanted = {word.strip() for word in show.split(",") if word.strip()}
    if unknown := wanted - set(SHOWS):
        raise click.UsageError(f"--show takes {', '.join(SHOWS)}, not {printable(', '.join(sorted(unknown)))}")
    style = Style(detail, expand, direction, theme, frozenset(word for word in SHOWS if word in wanted), heat, not no_title)
    try:
        found = compiler.sketch(find_target(spec, size, spec_root), sets, size, outputs)
        if output is None:
            output = f"{_stem(spec, found.name)}{f'-{block}' if block else ''}.{chosen}"
        data, boxes = api.draw_bytes(found, style, chosen, block)
    except NoRendererError as error:
        code = show_error(error, message_format)
        if output != "-":
            assert output is not None
            dot_file = Path(output).with_suffix(".dot")
            make_folder_of(dot_file)
            write_atomically(dot_file, api.draw_bytes(found, style, "dot", block)[0])
            click.echo(f"wrote {printable(str(dot_file))} instead, which Graphviz can draw", err=True)
        ctx.exit(code)
    except ResnetSpecError as error:
        ctx.exit(show_error(error, message_format))
    if output == "-":
        sys.stdout.buffer.write(data)
    else:
        make_folder_of(Path(output))
        write_atomically(Path(output), data)
        click.echo(f"wrote {printable(output)}: {boxes} boxes", err=True)
    ctx.exit(show_findings(found.findings, message_format))


def _stem(spec: str, name: str) -> str:
    """The name of the picture of a spec, without its suffix: that of the file or of the shipped spec or block, else the
    network's name in letters, digits, hyphens and underscores."""
    if is_file(Path(spec)) or shipped_path(spec) is not None:
        return Path(spec).stem
    if spec.startswith(compiler.BLOCK_PREFIX):
        return spec.removeprefix(compiler.BLOCK_PREFIX)
    return re.sub(r"[^\w-]+", "_", name)[:MOST_LETTERS].strip("_-") or "network"
