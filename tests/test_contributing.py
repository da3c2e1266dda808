"""The pages for contributors name files, functions and commands that exist."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PAGES = ("CONTRIBUTING.md", "docs/design.md")
TARGETS = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))


def code(page: str) -> list[str]:
    """What a page shows as code."""
    text = (ROOT / page).read_text(encoding="utf-8")
    return re.findall(r"`([^`\n]+)`", re.sub(r"```.*?```", "", text, flags=re.DOTALL))


@pytest.mark.parametrize("page", PAGES)
def test_every_file_that_is_named_exists(page: str) -> None:
    """`resnet_spec/...` or a path in it; `<name>` is for the reader to fill in, so the folder counts."""
    paths = [text for text in code(page) if re.fullmatch(r"[\w.<>-]*(/[\w.<>-]*)+|[\w<>]+\.(py|yaml|md|toml)", text)]
    named = [path.partition("<")[0].partition("NAME")[0] for path in paths]
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
