"""Every code that the compiler can give is explained, and every explanation is of a code that it can give."""

from __future__ import annotations

import ast
from pathlib import Path

import resnet_spec
from resnet_spec.language.library import explanations

PACKAGE = Path(resnet_spec.__file__).parent
ROOT = PACKAGE.parent
MAKERS = {"_warning", "Diagnostic", "Problem", "ExpressionError", "refuse", "add", "error", "_stop", "_nothing"}


def codes_in(path: Path) -> set[str]:
    """The first or second argument of calls that make findings, where it is a kebab-case word."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call):
            name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
            words = [arg.value for arg in node.args[:3] if isinstance(arg, ast.Constant) and isinstance(arg.value, str)]
            found |= {word for word in words if name in MAKERS and "-" in word and " " not in word}
    return found


def test_codes_and_explanations_are_the_same() -> None:
    given = set().union(*(codes_in(path) for path in PACKAGE.rglob("*.py")))
    assert given == set(explanations())
    assert len(given) >= 40


def test_the_page_of_findings_is_made_from_the_explanations() -> None:
    page = (ROOT / "docs" / "findings.md").read_text(encoding="utf-8")
    for code, text in explanations().items():
        assert f"## {code}\n\n{text}\n" in page
