"""One JSON document with every finding in full. JSON itself escapes untrusted text."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

from resnet_spec.diagnostics import Diagnostic, Fix, Span

VERSION = 1


def report(diagnostics: Sequence[Diagnostic], color: bool) -> str:
    """`{"version": 1, "diagnostics": [...]}`, in ASCII."""
    return document(diagnostics, {})


def document(diagnostics: Sequence[Diagnostic], more: Mapping[str, object]) -> str:
    """The document of `report` with further keys."""
    listed = [_data(diagnostic) for diagnostic in diagnostics]
    return json.dumps({"version": VERSION, "diagnostics": listed, **more}, indent=2) + "\n"


def _data(diagnostic: Diagnostic) -> dict[str, object]:
    return {
        "code": diagnostic.code,
        "severity": diagnostic.severity,
        "message": diagnostic.message,
        "location": _location(diagnostic.span),
        "label": diagnostic.label,
        "related": [{"location": _location(label.span), "text": label.text} for label in diagnostic.related],
        "help": diagnostic.help,
        "notes": list(diagnostic.notes),
        "fixes": [_fix(fix) for fix in diagnostic.fixes],
    }


def _fix(fix: Fix) -> dict[str, object]:
    edits = [{"location": _location(edit.span), "text": edit.text} for edit in fix.edits]
    return {"title": fix.title, "applicability": fix.applicability, "edits": edits}


def _location(span: Span | None) -> dict[str, object] | None:
    if span is None:
        return None
    place: dict[str, object] = {
        "file": span.source.name,
        "line": span.line,
        "column": span.column,
        "end_line": span.end_line,
        "end_column": span.end_column,
    }
    return place | ({"anchor": _location(span.anchor)} if span.anchor else {})
