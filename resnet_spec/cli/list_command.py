"""`resnet-spec list`."""

from __future__ import annotations

import json

import click

from resnet_spec import pipeline
from resnet_spec.diagnostics import printable
from resnet_spec.frontend.library import library_block, library_block_names, shipped_names
from resnet_spec.frontend.source import Scalar
from resnet_spec.ir.ops import show


@click.command(
    "list",
    epilog="""\b
Examples:
  resnet-spec list
  resnet-spec list --blocks
  resnet-spec list --format json
""",
)
@click.option("--blocks", is_flag=True, help="List the library's blocks instead of the shipped specs.")
@click.option("--format", "style", type=click.Choice(["table", "json"]), default="table", show_default=True)
def command(blocks: bool, style: str) -> None:
    """List the shipped specs, or the blocks of the library. Every name works where a SPEC does."""
    rows: list[dict[str, object]] = []
    if blocks:
        for name in library_block_names():
            body = library_block(name)
            about = body.get("about") if body is not None else None
            rows.append({"name": f"block:{name}", "about": about.text if isinstance(about, Scalar) else ""})
    else:
        for name in shipped_names():
            analysis = pipeline.analyze(pipeline.find(name))
            total = analysis.total
            accepts = analysis.accepted.describe().removesuffix(" pixels")
            facts = {"name": name, "params": total.params, "macs": total.macs, "input": show(analysis.input)}
            rows.append({**facts, "accepts": accepts, "about": analysis.spec.about})
    if style == "json":
        click.echo(json.dumps({"version": 1, "specs": rows}, indent=2))
        return
    cells = [[f"{value:,}" if isinstance(value, int) else printable(str(value)) for value in row.values()] for row in rows]
    heads = ["name", "about"] if blocks else ["name", "parameters", "multiply-adds", "input", "accepts", "about"]
    widths = [max(len(line[column]) for line in [heads, *cells]) for column in range(len(heads))]
    for line in [heads, *cells]:
        columns = [
            cell.rjust(width) if head in ("parameters", "multiply-adds") else cell.ljust(width)
            for head, cell, width in zip(heads, line, widths, strict=True)
        ]
        click.echo("  ".join(columns).rstrip())
