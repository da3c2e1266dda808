"""SARIF 2.1.0 (OASIS), the format of code scanning."""

from __future__ import annotations

import json
from collections.abc import Sequence

from resnet_spec.diagnostics import Diagnostic, Fix, Label, Span, printable
from resnet_spec.diagnostics.text import uri


def report(diagnostics: Sequence[Diagnostic], color: bool) -> str:
    """One run with a rule for each code and a result for each finding."""
    rules = [{"id": code} for code in dict.fromkeys(diagnostic.code for diagnostic in diagnostics)]
    driver = {"name": "resnet-spec", "rules": rules}
    results = [_result(diagnostic) for diagnostic in diagnostics]
    run = {"tool": {"driver": driver}, "columnKind": "unicodeCodePoints", "results": results}
    document = {"$schema": "https://json.schemastore.org/sarif-2.1.0.json", "version": "2.1.0", "runs": [run]}
    return json.dumps(document, indent=2) + "\n"


def _result(diagnostic: Diagnostic) -> dict[str, object]:
    lines = [diagnostic.message, *([f"help: {diagnostic.help}"] if diagnostic.help else [])]
    text = "\n".join(map(printable, [*lines, *(f"note: {note}" for note in diagnostic.notes)]))
    result: dict[str, object] = {"ruleId": diagnostic.code, "level": diagnostic.severity, "message": {"text": text}}
    if diagnostic.span is not None:
        result["locations"] = [_location(Label(diagnostic.span, diagnostic.label))]
    if diagnostic.related:
        result["relatedLocations"] = [_location(label) for label in diagnostic.related]
    if diagnostic.fixes:
        result["fixes"] = [_fix(fix) for fix in diagnostic.fixes]
    return result


def _fix(fix: Fix) -> dict[str, object]:
    """A fix, with its edits by file."""
    changes: dict[str, list[dict[str, object]]] = {}
    for edit in fix.edits:
        replacement = {"deletedRegion": _region(edit.span), "insertedContent": {"text": edit.text}}
        changes.setdefault(edit.span.source.name, []).append(replacement)
    files = [{"artifactLocation": {"uri": uri(name)}, "replacements": made} for name, made in changes.items()]
    return {"description": {"text": printable(fix.title)}, "artifactChanges": files}


def _region(span: Span) -> dict[str, object]:
    return {"startLine": span.line, "startColumn": span.column, "endLine": span.end_line, "endColumn": span.end_column}


def _location(label: Label) -> dict[str, object]:
    span = label.span
    artifact = {"uri": uri(span.source.name)}
    place: dict[str, object] = {"physicalLocation": {"artifactLocation": artifact, "region": _region(span)}}
    return place | ({"message": {"text": printable(label.text)}} if label.text else {})
