"""`resnet-spec explain`."""

from __future__ import annotations

import click

from resnet_spec.diagnostics import printable, suggestion
from resnet_spec.diagnostics.text import join_words
from resnet_spec.language.catalog import Explanation, catalog


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
    known = catalog()
    chosen = known if code is None else {code: known[code]} if code in known else {}
    if style == "markdown":
        click.echo("# Findings\n")
        for name, explanation in chosen.items():
            click.echo(f"## {name}\n\n{explanation.text}\n")
            if not explanation.text.startswith("A warning"):
                click.echo(f"In Python: {_raised_as(explanation)}.\n")
    elif code is not None and code not in known:
        help = suggestion(code, list(known), most=0) or "see `resnet-spec explain`"
        raise click.UsageError(f"there is no code `{printable(code)}`; {help}")
    elif code is None:
        for name, explanation in chosen.items():
            click.echo(f"{name}: {explanation.text}")
    else:
        click.echo(f"{code}\n\n{click.wrap_text(known[code].text, 96)}")


def _raised_as(explanation: Explanation) -> str:
    """The classes of the errors that carry a code, with the exit code of the command line for each."""
    by_exit_code: dict[int, list[str]] = {}
    for error in explanation.errors:
        by_exit_code.setdefault(error.exit_code, []).append(f"`{error.__name__}`")
    return ", or ".join(f"{join_words(names, 'or')} (exit code {code})" for code, names in sorted(by_exit_code.items()))
