"""Workflow commands of GitHub Actions, which shows each finding next to its line.

https://docs.github.com/en/actions/reference/workflow-commands-for-github-actions
"""

from __future__ import annotations

from collections.abc import Sequence

from resnet_spec.diagnostics import Diagnostic
from resnet_spec.diagnostics.text import workflow_text


def report(diagnostics: Sequence[Diagnostic], color: bool) -> str:
    """A line `::error file=...,line=...,title=CODE::message` for each finding."""
    return "".join(f"{_command(diagnostic)}\n" for diagnostic in diagnostics)


def _command(diagnostic: Diagnostic) -> str:
    span = diagnostic.file_span
    fields = {"title": diagnostic.code}
    if span is not None:
        fields = {"file": span.source.name, "line": str(span.line), "col": str(span.column), **fields}
        if span.end_line == span.line:
            fields["endColumn"] = str(span.end_column)
    listed = ",".join(f"{key}={workflow_text(value, ':,')}" for key, value in fields.items())
    help = f" ({diagnostic.help})" if diagnostic.help else ""
    return f"::{diagnostic.severity} {listed}::{workflow_text(diagnostic.message + help)}"
