"""`resnet-spec new`."""

from __future__ import annotations

import re
import shlex
import unicodedata
from pathlib import Path

import click

from resnet_spec._system.files import make_folder_of, write_atomically
from resnet_spec.diagnostics import printable
from resnet_spec.language.writer import write_value

STARTER = """\
# yaml-language-server: $schema=spec.schema.json
# The line above enables completion and checks in editors; write the schema next to this file with
#   resnet-spec schema > spec.schema.json
spec: 1
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


@click.command(
    "new",
    epilog="""\b
Examples:
  resnet-spec new my_network.yaml
  resnet-spec check my_network.yaml
""",
)
@click.argument("path", type=click.Path(dir_okay=False, path_type=Path))
def command(path: Path) -> None:
    """Write a commented starter spec to PATH, and make missing folders. An existing file is not overwritten."""
    if path.suffix not in (".yaml", ".yml"):
        raise click.UsageError("the file name of a spec must end in .yaml")
    if len(str(path).splitlines()) > 1:
        raise click.UsageError("the file name of a spec cannot contain a line break")
    if path.exists():
        raise click.UsageError(f"{printable(str(path))} already exists")
    make_folder_of(path)
    write_atomically(path, STARTER.format(name=write_value(_name_of(path))).encode("utf-8"))
    argument = f"./{path}" if str(path).startswith("-") else str(path)
    click.echo(f"wrote {printable(str(path))}; now try: resnet-spec summary {printable(shlex.quote(argument))}")


def _name_of(path: Path) -> str:
    """The name of the network in a file: the file name, in letters, digits and underscores."""
    return re.sub(r"\W+", "_", unicodedata.normalize("NFC", path.stem)).strip("_") or "my_network"
