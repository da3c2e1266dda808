"""`resnet-spec list`."""

from __future__ import annotations

import json
import re

import click

from resnet_spec import compiler
from resnet_spec.diagnostics import printable
from resnet_spec.diagnostics.text import display_width, pad
from resnet_spec.language.library import library_block_names, shipped_names
from resnet_spec.language.nodes import to_data
from resnet_spec.language.spec import ArgumentValue, ScalarNode, library
from resnet_spec.ops import OPERATIONS, Field, fields_of, show


@click.command(
    "list",
    epilog="""\b
Examples:
  resnet-spec list
  resnet-spec list --blocks
  resnet-spec list --operations
  resnet-spec list --recipes
  resnet-spec list --format json
""",
)
@click.option("--blocks", "what", flag_value="blocks", help="List the library's blocks instead of the shipped specs.")
@click.option("--operations", "what", flag_value="operations", help="List the operations and their fields.")
@click.option("--recipes", "what", flag_value="recipes", help="List the recipes for training.")
@click.option("--format", "style", type=click.Choice(["table", "json"]), default="table", show_default=True)
def command(what: str | None, style: str) -> None:
    """List the shipped specs, the blocks of the library, the operations, or the recipes.

    The names of specs and blocks can be used as SPEC.
    """
    match what:
        case "blocks":
            rows = _blocks()
        case "operations":
            rows = _operations()
        case "recipes":
            rows = _recipes()
        case _:
            rows = _specs()
    if style == "json":
        click.echo(json.dumps({"version": 1, what or "specs": rows}, indent=2))
        return
    heads = list(rows[0])
    cells = [[f"{value:,}" if isinstance(value, int) else printable(str(value)) for value in row.values()] for row in rows]
    widths = [max(display_width(line[column]) for line in [heads, *cells]) for column in range(len(heads))]
    for line in [heads, *cells]:
        columns = [
            pad(cell, width, right=isinstance(value, int))
            for cell, width, value in zip(line, widths, rows[0].values(), strict=True)
        ]
        click.echo("  ".join(columns).rstrip())


def _specs() -> list[dict[str, object]]:
    rows: list[dict[str, object]] = []
    for name in shipped_names():
        analysis = compiler.analyze(compiler.find(name))
        accepts = analysis.accepted.describe().removesuffix(" pixels")
        counts = {"parameters": analysis.total.params, "multiply-adds": analysis.total.macs}
        sizes = {"input": show(analysis.input), "accepts": accepts}
        rows.append({"family": _family(name), "name": name, **counts, **sizes, "about": analysis.spec.about})
    return sorted(rows, key=lambda row: (str(row["family"]).count("/"), str(row["family"]), row["parameters"]))


def _family(name: str) -> str:
    """The common name of networks that differ only in depth: `resnet` for `resnet18` to `resnet152`.

    Networks of other people, in folders of their own, keep their names (`torchvision/inception_v3`).
    """
    if "/" in name and not name.startswith("variants/"):
        return name
    return re.sub(r"(?<=[a-z])\d+", "", name)


def _blocks() -> list[dict[str, object]]:
    rows: list[dict[str, object]] = []
    for name in library_block_names():
        block = library(name)
        assert block is not None
        arguments = [*block.args, *(f"{key}={_written(each.value)}" for key, each in block.defaults.items())]
        rows.append({"block": f"block:{name}", "arguments": ", ".join(arguments), "about": block.about})
    return rows


def _recipes() -> list[dict[str, object]]:
    from resnet_spec.training.recipe import read_recipe

    rows: list[dict[str, object]] = []
    for name in shipped_names("recipe"):
        recipe = read_recipe(name)
        length = f"{recipe.epochs} epochs" if recipe.epochs is not None else f"{recipe.iterations:,} iterations"
        facts = {"length": length, "batch": recipe.batch_size, "optimizer": recipe.optimizer, "lr": f"{recipe.lr:g}"}
        texts = {key: str(to_data(node)) for key in ("about", "accuracy") if (node := recipe.root.get(key)) is not None}
        rows.append({"recipe": name, **facts, "about": texts.get("about", ""), "expect": texts.get("accuracy", "")})
    return rows


def _written(value: ArgumentValue) -> str:
    return value.text if isinstance(value, ScalarNode) else "[...]"


def _operations() -> list[dict[str, object]]:
    return [
        {"operation": name, "fields": ", ".join(map(_field, fields_of(operation).values())), "about": (operation.__doc__ or "")}
        for name, operation in OPERATIONS.items()
    ]


def _field(field: Field) -> str:
    if field.required:
        return field.name
    default = field.default[0] if isinstance(field.default, tuple) and len(set(field.default)) == 1 else field.default
    return f"{field.name}={field.default_doc or str(default).lower()}"
