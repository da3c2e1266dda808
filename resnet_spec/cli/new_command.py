"""`resnet-spec new`."""

from __future__ import annotations

import os
import re
import shlex
import unicodedata
from pathlib import Path

import click

from resnet_spec._system.files import make_folder_of, write_atomically
from resnet_spec.diagnostics import ResnetSpecError, Source, printable
from resnet_spec.language.writer import write_value

HEAD = """\
# yaml-language-server: $schema=spec.schema.json
# The line above enables completion and checks in editors; write the schema next to this file with
#   resnet-spec schema > spec.schema.json
spec: 1
"""

STARTER = """\
name: {name}
about: what it is, and its source
input: 3x224x224            # channels x height x width in pixels: the size the network is built for
classes: 10

stem:                       # operations in order; their names become the state_dict keys
  conv1:   {{op: conv2d, out_channels: 64, kernel_size: 7, stride: 2, padding: 3, bias: false}}
  bn1:     norm             # a role: see `norm` below
  relu:    act
  maxpool: {{op: max_pool2d, kernel_size: 3, stride: 2, padding: 1}}

block: basic                # the block of all stages; `resnet-spec list --blocks` lists those of the library
stages:                     # the first block of a stage takes the stride
  layer1: {{width: 64,  depth: 2}}
  layer2: {{width: 128, depth: 2, stride: 2}}
  layer3: {{width: 256, depth: 2, stride: 2}}
  layer4: {{width: 512, depth: 2, stride: 2}}

head:
  avgpool: {{op: adaptive_avg_pool2d, output_size: 1}}
  flatten: flatten
  fc:      {{op: linear, out_features: classes}}

norm: batch_norm            # try {{op: group_norm, num_groups: 32}}
act: relu                   # try silu
init: kaiming_fan_out       # `pytorch` keeps the layers' own defaults
"""

CHANGED = """\
extends: {base}
name: {name}
about: what it is, and its source

# This is what it has from there. To change something, remove the `# ` before its line and before the lines
# that it is inside; what remains a comment stays as it is. `null` deletes an entry.
#
"""


@click.command(
    "new",
    epilog="""\b
Examples:
  resnet-spec new my_network.yaml
  resnet-spec new --from resnet50 my_network.yaml
  resnet-spec check my_network.yaml
""",
)
@click.argument("path", type=click.Path(dir_okay=False, path_type=Path))
@click.option("--from", "base", metavar="SPEC", help="Start from this spec: a file, or the name of a shipped spec.")
@click.pass_context
def command(ctx: click.Context, path: Path, base: str | None) -> None:
    """Write a commented starter spec to PATH, and make missing folders. An existing file is not overwritten.

    With --from, it extends another spec, and lists as comments what may be changed.
    """
    if path.suffix not in (".yaml", ".yml"):
        raise click.UsageError("the file name of a spec must end in .yaml")
    if len(str(path).splitlines()) > 1:
        raise click.UsageError("the file name of a spec cannot contain a line break")
    if base == "-":
        raise click.UsageError("--from takes a file or the name of a shipped spec, not standard input")
    if path.exists():
        raise click.UsageError(f"{printable(str(path))} already exists")
    name = write_value(_name_of(path))
    try:
        text = HEAD + (STARTER.format(name=name) if base is None else _change_of(base, path, name))
    except ResnetSpecError as error:
        from resnet_spec.cli.common import show_error

        ctx.exit(show_error(error))
    make_folder_of(path)
    write_atomically(path, text.encode("utf-8"))
    argument = f"./{path}" if str(path).startswith("-") else str(path)
    click.echo(f"wrote {printable(str(path))}; now try: resnet-spec summary {printable(shlex.quote(argument))}")


def _change_of(base: str, path: Path, name: str) -> str:
    """The text of a spec that extends another one; raises ResnetSpecError if it cannot, or if that one has mistakes."""
    from resnet_spec import compiler  # only this form of the command needs it
    from resnet_spec.cli.common import find_target
    from resnet_spec.language.files import spec_root
    from resnet_spec.language.library import is_file

    target = find_target(base)
    written = Path(os.path.relpath(base, path.parent)).as_posix() if is_file(Path(base)) else base
    text = CHANGED.format(base=write_value(written), name=name)
    compiler.analyze(compiler.Target(Source(str(path), HEAD + text), path.parent, spec_root(path)))
    outline = compiler.outline_text(target)
    return text + "".join(f"# {line}\n" for line in outline.splitlines())


def _name_of(path: Path) -> str:
    """The name of the network in a file: the file name, in letters, digits and underscores."""
    return re.sub(r"\W+", "_", unicodedata.normalize("NFC", path.stem)).strip("_") or "my_network"
