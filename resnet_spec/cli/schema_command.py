"""`resnet-spec schema`."""

from __future__ import annotations

import json

import click

from resnet_spec import api
from resnet_spec.language.schemas import recipe_file_schema


@click.command(
    "schema",
    epilog="""\b
Examples:
  resnet-spec schema > spec.schema.json
  resnet-spec schema --recipe > recipe.schema.json
""",
)
@click.option("--recipe", is_flag=True, help="Print the schema of recipes instead.")
def command(recipe: bool) -> None:
    """Print the JSON Schema of specs, for editors. The part about operations is generated from their definitions."""
    document = recipe_file_schema() if recipe else api.spec_schema()
    click.echo(json.dumps(document, indent=2, ensure_ascii=False))
