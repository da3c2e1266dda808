"""`resnet-spec explain`."""

from __future__ import annotations

import re
from collections.abc import Mapping

import click

from resnet_spec.diagnostics import closest
from resnet_spec.diagnostics.text import join_words, shorten
from resnet_spec.language.catalog import Explanation, catalog

MOST_SUGGESTED = 6
_SHOWN = re.compile(r"(?:error|warning)\[(.*)\]:?")  # a code as findings show it
_NUMBERED = re.compile(r"[A-Za-z]{1,8}-?[0-9]{2,5}")  # a code of another tool: E001, F401, C0114, TS2304
_LIST = "`resnet-spec explain` lists all codes"


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
    if code is not None and (shown := _SHOWN.fullmatch(code)) is not None:
        code = shown[1]
    chosen = known if code is None else {code: known[code]} if code in known else {}
    if code is not None and code not in known:
        raise click.UsageError(_describe_unknown(code, known))
    if style == "markdown":
        click.echo("# Findings\n")
        for name, explanation in chosen.items():
            click.echo(f"## {name}\n\n{explanation.text}\n")
            if not explanation.text.startswith("A warning"):
                click.echo(f"In Python: {_raised_as(explanation)}.\n")
    elif code is None:
        for name, explanation in chosen.items():
            click.echo(f"{name}: {explanation.text}")
    else:
        click.echo(f"{code}\n\n{click.wrap_text(known[code].text, 96)}")


def _describe_unknown(code: str, known: Mapping[str, Explanation]) -> str:
    """The message for a code that does not exist, with the codes that may be meant."""
    named = shorten(code, 60)
    if _NUMBERED.fullmatch(code):
        return (
            f"`{named}` is not a code of resnet-spec, whose codes are words, such as `shape-mismatch` or `unknown-name`; "
            f"a finding shows its own: `error[shape-mismatch]: ...`; {_LIST}"
        )
    word = code.strip().lower()
    by_part = [name for name in known if word in name.split("-")]
    if not by_part and (near := closest(code, known)) is not None:
        return f"there is no code `{named}`; did you mean `{near}`?"
    about = by_part or [name for name in known if len(word) > 2 and word in known[name].text.lower()]
    if not about:
        return f"there is no code `{named}`; {_LIST}"
    more = f" and {len(about) - MOST_SUGGESTED} more" if len(about) > MOST_SUGGESTED else ""
    listed = ", ".join(f"`{name}`" for name in about[:MOST_SUGGESTED])
    return f"there is no code `{named}`; these are about it: {listed}{more}; {_LIST}"


def _raised_as(explanation: Explanation) -> str:
    """The classes of the errors that carry a code, with the exit code of the command line for each."""
    by_exit_code: dict[int, list[str]] = {}
    for error in explanation.errors:
        by_exit_code.setdefault(error.exit_code, []).append(f"`{error.__name__}`")
    return ", or ".join(f"{join_words(names, 'or')} (exit code {code})" for code, names in sorted(by_exit_code.items()))
