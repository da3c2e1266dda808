"""SARIF 2.1.0 (OASIS), the format of code scanning."""

from __future__ import annotations

import json
from collections.abc import Sequence

from resnet_spec.diagnostics import Diagnostic, Label, printable
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
    return result


def _location(label: Label) -> dict[str, object]:
    span = label.span
    region = {"startLine": span.line, "startColumn": span.column, "endLine": span.end_line, "endColumn": span.end_column}
    place: dict[str, object] = {"physicalLocation": {"artifactLocation": {"uri": uri(span.source.name)}, "region": region}}
    return place | ({"message": {"text": printable(label.text)}} if label.text else {})
