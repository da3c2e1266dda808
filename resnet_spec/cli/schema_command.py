"""`resnet-spec schema`."""

from __future__ import annotations

import json

import click

from resnet_spec import api


@click.command(
    "schema",
    epilog="""\b
Examples:
  resnet-spec schema > spec.schema.json
""",
)
def command() -> None:
    """Print the JSON Schema of specs, for editors. Its part about operations is generated from their definitions."""
    click.echo(json.dumps(api.spec_schema(), indent=2, ensure_ascii=False))
