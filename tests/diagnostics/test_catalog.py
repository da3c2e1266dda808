"""Every code that the compiler can give is in the catalog, and each is raised by an error of a class that the catalog names."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import resnet_spec
from resnet_spec import diagnostics
from resnet_spec.diagnostics import ArgumentError, ResnetSpecError
from resnet_spec.language.catalog import catalog, explanations

PACKAGE = Path(resnet_spec.__file__).parent
ROOT = PACKAGE.parent
FILES = sorted(path.relative_to(PACKAGE).as_posix() for path in PACKAGE.rglob("*.py"))
# What makes findings: its first, second or third argument is a code.
MAKERS = {
    *("Diagnostic", "Problem", "ExpressionError", "refuse", "_refuse", "report", "add", "append", "error", "_stop"),
    *("warning", "_report_nothing"),
}
CLASSES = {name for name in diagnostics.__all__ if name.endswith("Error")}
# Exit code 2 of the command line, as version 0.1.0 gave it for findings without a place in a text.
TWO = {
    *("missing-file", "unreadable-file", "missing-data", "not-a-run", "run-exists", "cannot-write"),
    *("missing-folder", "missing-recipe", "missing-input", "missing-device", "set-syntax"),
    *("invalid-input", "unknown-block", "unknown-data", "data-option"),
}


def codes_in(path: Path) -> set[str]:
    """The codes that calls in a file pass to what makes findings."""
    calls = (node for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))) if isinstance(node, ast.Call))
    return {code for call in calls if name_of(call.func) in MAKERS for code in words(call)}


def name_of(function: ast.expr) -> str:
    return function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")


def words(call: ast.Call) -> Iterator[str]:
    """The kebab-case words among the first arguments of a call."""
    for argument in call.args[:3]:
        if isinstance(argument, ast.Starred) and isinstance(argument.value, ast.Tuple):
            found = argument.value.elts[:1]
        else:
            found = [argument]
        for each in found:
            if isinstance(each, ast.Constant) and isinstance(each.value, str) and "-" in each.value and " " not in each.value:
                yield each.value


def raised_in(path: Path) -> Iterator[tuple[int, str, str]]:
    """The line, the class and the code of each `SomeError([Diagnostic("some-code", ...)])` in a file."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call) and name_of(node.func) in CLASSES:
            for inner in ast.walk(node):
                if isinstance(inner, ast.Call) and name_of(inner.func) == "Diagnostic":
                    yield from ((node.lineno, name_of(node.func), code) for code in words(inner))


def test_codes_and_explanations_are_the_same() -> None:
    given = set().union(*(codes_in(path) for path in PACKAGE.rglob("*.py")))
    assert given == set(explanations())
    assert len(given) >= 40


def test_every_code_has_a_class_and_an_explanation() -> None:
    for code, explanation in catalog().items():
        assert explanation.text.endswith("."), code
        assert explanation.errors, code
        assert all(issubclass(error, ResnetSpecError) and error is not ResnetSpecError for error in explanation.errors), code


def test_the_catalog_is_in_alphabetical_order() -> None:
    assert list(catalog()) == sorted(catalog())


@pytest.mark.parametrize("path", FILES)
def test_an_error_is_of_a_class_that_the_catalog_names_for_its_code(path: str) -> None:
    wrong = [
        f"{path}:{line}: {code} in {name}"
        for line, name, code in raised_in(PACKAGE / path)
        if name not in {error.__name__ for error in catalog()[code].errors}
    ]
    assert wrong == []


@pytest.mark.parametrize("path", sorted((ROOT / "tests" / "invalid").glob("*.yaml")), ids=lambda path: path.stem)
def test_a_golden_mistake_is_raised_in_a_class_of_its_code(path: Path) -> None:
    error: ResnetSpecError | None = None
    try:
        resnet_spec.analyze(path)
    except ResnetSpecError as raised:
        error = raised
    errors = [] if error is None else [each for each in error.diagnostics if each.severity == "error"]
    assert [each.code for each in errors if type(error) not in catalog()[each.code].errors] == []


def test_the_codes_that_end_a_command_with_2_are_those_of_arguments() -> None:
    assert {code for code, explanation in catalog().items() if ArgumentError in explanation.errors} >= TWO


def test_all_classes_of_errors_are_public() -> None:
    assert set(resnet_spec.__all__) >= CLASSES
    assert {name: getattr(resnet_spec, name).exit_code for name in CLASSES} == {
        name: 2 if name == "ArgumentError" else 1 for name in CLASSES
    }


def test_the_page_of_findings_is_made_from_the_explanations() -> None:
    page = (ROOT / "docs" / "findings.md").read_text(encoding="utf-8")
    for code, text in explanations().items():
        assert f"## {code}\n\n{text}\n" in page
    assert page.count("\n## ") == len(catalog())
