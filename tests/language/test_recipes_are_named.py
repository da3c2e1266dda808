"""What is wrong with a recipe is reported in the words of recipes, and as a RecipeError."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from resnet_spec.diagnostics import ArgumentError, Diagnostic, RecipeError, ResnetSpecError, Source, SpecError
from resnet_spec.language.files import decode, read_file
from resnet_spec.language.merge import resolve, resolve_recipe
from resnet_spec.language.patches import parse_set
from resnet_spec.language.python_data import from_data

MISTAKES = {
    "nothing": "",
    "two documents": "recipe: 1\n---\nrecipe: 1\n",
    "a list": "- recipe: 1\n",
    "a word": "recipe\n",
    "a tag": "recipe: 1\nname: !!python/object x\n",
    "no version": "epochs: 3\n",
    "another version": "recipe: 2\n",
    "no yaml": "recipe: 1\na: [\n",
    "an alias of itself": "recipe: 1\na: &a [*a]\n",
    "a bad extends": "recipe: 1\nextends: [{a: 1}]\n",
    "an absolute extends": "recipe: 1\nextends: /etc/passwd\n",
    "a missing extends": "recipe: 1\nextends: no_such\n",
    "an extends that leaves the folder": "recipe: 1\nextends: ../outside.yaml\n",
    "a deletion of nothing": "recipe: 1\nwarmup: null\n",
    "a patch of nothing": "recipe: 1\nschedule: null\noptimizer: {op: SGD, lr: 0.1}\nwarmupp:\n",
}


def finding(read: Callable[[], object], error: type[ResnetSpecError] = RecipeError) -> Diagnostic:
    with pytest.raises(error) as caught:
        read()
    assert type(caught.value) is error
    return caught.value.diagnostics[0]


def texts(found: Diagnostic) -> str:
    return f"{found.message} {found.help} {' '.join(found.notes)}"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "outside.yaml").write_text("recipe: 1\n")
    (tmp_path / "inside").mkdir()
    return tmp_path / "inside"


@pytest.mark.parametrize("text", MISTAKES.values(), ids=MISTAKES)
def test_no_mistake_in_a_recipe_is_called_one_of_a_spec(text: str, folder: Path) -> None:
    found = finding(lambda: resolve_recipe(Source("x.yaml", text), folder, folder))
    assert "spec" not in texts(found).replace("resnet-spec", "")


@pytest.mark.parametrize(
    ("text", "message", "help"),
    [
        ("", "x.yaml is empty", "write `recipe: 1` first"),
        (
            "recipe: 1\n---\nrecipe: 1\n",
            "a second document starts here; a recipe is one document",
            "put the second recipe into a separate file",
        ),
        ("a: !x 1\n", "tags such as `!x` have no meaning in a recipe", "remove the tag"),
    ],
)
def test_an_empty_recipe_and_one_of_two_documents(text: str, message: str, help: str) -> None:
    found = finding(lambda: resolve_recipe(Source("x.yaml", text), None, None))
    assert (found.message, found.help) == (message, help)


def test_an_empty_spec_is_still_called_a_spec() -> None:
    assert finding(lambda: resolve(Source("x.yaml", ""), None, None), SpecError).help == "write `spec: 1` first"


def test_a_value_of_set_recipe_belongs_to_a_recipe() -> None:
    assert "recipe" in finding(lambda: parse_set("a=!x 1", option="--set-recipe")).message
    assert "recipe" in finding(lambda: parse_set("a", option="--set-recipe"), ArgumentError).message


def test_a_file_is_called_what_it_was_meant_as(tmp_path: Path) -> None:
    found = finding(lambda: read_file(tmp_path, "x", "recipe"), ArgumentError)
    assert found.message == "x is a folder, not a recipe"
    assert finding(lambda: decode(b"\xff", "x", "recipe")).code == "not-utf-8"


def test_data_of_a_recipe_that_yaml_cannot_hold() -> None:
    found = finding(lambda: from_data({"recipe": 1, "epochs": {3}}, "<recipe>"))
    assert found.code == "not-data"
    assert "spec" not in texts(found)


def test_a_base_that_cannot_be_read_is_the_recipes_mistake(folder: Path) -> None:
    (folder / "base.yaml").write_bytes(b"recipe: 1\nname: \xff\n")
    assert (
        finding(lambda: resolve_recipe(Source("x.yaml", "recipe: 1\nextends: base.yaml\n"), folder, folder)).code == "not-utf-8"
    )
