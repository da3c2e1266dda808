"""SARIF 2.1.0 (OASIS), the format of code scanning."""

from __future__ import annotations

import json
from collections.abc import Sequence

from resnet_spec.diagnostics import Diagnostic, Fix, Label, Span, printable
from resnet_spec.diagnostics.text import uri

_SHIPPED = ("shipped", "library")  # files that are not in the repository that is scanned
_BASE = "RESNET_SPEC"


def report(diagnostics: Sequence[Diagnostic], color: bool) -> str:
    """One run with a rule for each code and a result for each finding."""
    rules = [{"id": code} for code in dict.fromkeys(diagnostic.code for diagnostic in diagnostics)]
    driver = {"name": "resnet-spec", "rules": rules}
    results = [_result(diagnostic) for diagnostic in diagnostics]
    run: dict[str, object] = {"tool": {"driver": driver}, "columnKind": "unicodeCodePoints", "results": results}
    if any(label.span.source.origin in _SHIPPED for diagnostic in diagnostics for label in _labels(diagnostic)):
        about = "what resnet-spec ships: its specs, recipes and blocks"
        run["originalUriBaseIds"] = {_BASE: {"description": {"text": about}}}
    document = {"$schema": "https://json.schemastore.org/sarif-2.1.0.json", "version": "2.1.0", "runs": [run]}
    return json.dumps(document, indent=2) + "\n"


def _result(diagnostic: Diagnostic) -> dict[str, object]:
    lines = [diagnostic.message, *([f"help: {diagnostic.help}"] if diagnostic.help else [])]
    text = "\n".join(map(printable, [*lines, *(f"note: {note}" for note in diagnostic.notes)]))
    result: dict[str, object] = {"ruleId": diagnostic.code, "level": diagnostic.severity, "message": {"text": text}}
    if labels := _labels(diagnostic):
        first = next((label for label in labels if label.span is diagnostic.file_span), labels[0])
        result["locations"] = [_location(first)]
        if others := [_location(label) for label in labels if label is not first]:
            result["relatedLocations"] = others
    if diagnostic.fixes:
        result["fixes"] = [_fix(fix) for fix in diagnostic.fixes]
    return result


def _labels(diagnostic: Diagnostic) -> list[Label]:
    """All places of a finding."""
    return ([Label(diagnostic.span, diagnostic.label)] if diagnostic.span is not None else []) + list(diagnostic.related)


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
    file = {"uri": uri(span.source.name)} | ({"uriBaseId": _BASE} if span.source.origin in _SHIPPED else {})
    place: dict[str, object] = {"physicalLocation": {"artifactLocation": file, "region": _region(span)}}
    return place | ({"message": {"text": printable(label.text)}} if label.text else {})
