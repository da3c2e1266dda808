"""The pages for contributors name files, functions and commands that exist."""

from __future__ import annotations

import ast
import importlib.util
import re
from itertools import pairwise
from pathlib import Path

import pytest

from tests.test_architecture import FILES, imports, name_of

ROOT = Path(__file__).parent.parent
PAGES = ("CONTRIBUTING.md", "docs/design.md")
EVERYWHERE = ("diagnostics", "_system")  # these are not in the picture
TARGETS = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))


def code(page: str) -> list[str]:
    """What a page shows as code."""
    text = (ROOT / page).read_text(encoding="utf-8")
    return re.findall(r"`([^`\n]+)`", re.sub(r"```.*?```", "", text, flags=re.DOTALL))


@pytest.mark.parametrize("page", PAGES)
def test_every_file_that_is_named_exists(page: str) -> None:
    """From the repository, or from the package; where a part of the name is for the reader to fill in, its folder."""
    paths = [text for text in code(page) if re.fullmatch(r"[\w.<>-]+(/[\w.<>-]*)+|[\w<>]+\.(py|yaml|md|toml)", text)]
    named = [re.sub(r"[^/]*(<|NAME).*", "", path) for path in paths]
    assert len(named) > 10
    assert [path for path in named if not (ROOT / path).exists() and not (ROOT / "resnet_spec" / path).exists()] == []


@pytest.mark.parametrize("page", PAGES)
def test_every_function_that_is_named_with_its_file_is_in_it(page: str) -> None:
    """Written as `compiler.py: analyze`."""
    for text in code(page):
        if found := re.fullmatch(r"([\w/]+\.py): ([\w.]+)", text):
            tree: ast.AST = ast.parse((ROOT / "resnet_spec" / found[1]).read_text(encoding="utf-8"))
            for name in found[2].split("."):
                defined = {each.name: each for each in ast.walk(tree) if isinstance(each, ast.FunctionDef | ast.ClassDef)}
                assert name in defined, text
                tree = defined[name]


@pytest.mark.parametrize("page", PAGES)
def test_every_target_of_make_that_is_named_exists(page: str) -> None:
    targets = {target for text in code(page) if text.startswith("make ") for target in text.split()[1:]}
    assert targets <= TARGETS


def test_the_picture_of_imports_is_that_of_the_package() -> None:
    """Each arrow is an import, and each import between folders an arrow or a way along several."""
    picture = (ROOT / "docs" / "design.md").read_text(encoding="utf-8").partition("```mermaid")[2].partition("```")[0]
    arrows: dict[str, set[str]] = {}
    for line in re.findall(r".*-->.*", picture):
        names = [re.findall(r"[a-z]+", re.sub(r"\[.*?\]", "", step)) for step in line.split("-->")]
        for starts, ends in pairwise(names):
            for start in starts:
                arrows.setdefault(start, set()).update(ends)
    imported: dict[str, set[str]] = {}
    for path in FILES:
        source = name_of(path).partition(".")[0]
        for name, _ in imports(path):
            target = name.removeprefix("resnet_spec.").partition(".")[0]
            if name.startswith("resnet_spec.") and source not in ("", "__main__", target) and target not in EVERYWHERE:
                imported.setdefault(source, set()).add(target)
    assert {(a, b) for a, found in arrows.items() for b in found} <= {(a, b) for a, found in imported.items() for b in found}
    for source, targets in imported.items():
        assert targets <= reached(source, arrows), source


def reached(start: str, arrows: dict[str, set[str]]) -> set[str]:
    """All that a way along arrows leads to."""
    found: set[str] = set()
    rest = [start]
    while rest:
        new = arrows.get(rest.pop(), set()) - found
        found |= new
        rest += new
    return found


TESTS = sorted(path.relative_to(ROOT).as_posix() for path in (ROOT / "tests").rglob("*.py"))


@pytest.mark.parametrize("path", TESTS)
def test_programs_in_strings_import_modules_that_exist(path: str) -> None:
    """The programs that tests and benchmarks start; nothing else reads their imports."""
    for node in ast.walk(ast.parse((ROOT / path).read_text(encoding="utf-8"))):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            for name in re.findall(r"^(?:from|import) (resnet_spec(?:\.\w+)+)", node.value, re.MULTILINE):
                assert importlib.util.find_spec(name) is not None, name
