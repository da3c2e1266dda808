"""`resnet-spec explain`."""

from __future__ import annotations

import click

from resnet_spec.diagnostics import printable, suggestion
from resnet_spec.language.library import explanations


@click.command(
    "explain",
    epilog="""\b
Examples:
  resnet-spec explain shape-mismatch
  resnet-spec explain
""",
)
@click.argument("code", required=False)
@click.option("--format", "style", type=click.Choice(["text", "markdown"]), default="text", show_default=True)
def command(code: str | None, style: str) -> None:
    """Explain the code of a finding, or list all codes."""
    known = explanations()
    if style == "markdown":
        chosen = known if code is None else {code: known.get(code, "")}
        click.echo("# Findings\n")
        for name, text in chosen.items():
            click.echo(f"## {name}\n\n{text}\n")
        return
    if code is None:
        for name, text in known.items():
            click.echo(f"{name}: {text}")
        return
    if code not in known:
        raise click.UsageError(
            f"there is no code `{printable(code)}`; {suggestion(code, list(known), most=0) or 'see explain'}"
        )
    click.echo(f"{code}\n\n{click.wrap_text(known[code], 96)}")
