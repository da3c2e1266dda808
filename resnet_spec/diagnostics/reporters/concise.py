"""One line for each finding."""

from __future__ import annotations

from collections.abc import Sequence

from resnet_spec.diagnostics import Diagnostic, printable


def report(diagnostics: Sequence[Diagnostic], color: bool) -> str:
    """`file:line:column: error[code]: message` for each finding."""
    return "".join(f"{_line(diagnostic)}\n" for diagnostic in diagnostics)


def _line(diagnostic: Diagnostic) -> str:
    place = f"{printable(str(diagnostic.span))}: " if diagnostic.span else ""
    return f"{place}{diagnostic.severity}[{diagnostic.code}]: {printable(diagnostic.message)}"
