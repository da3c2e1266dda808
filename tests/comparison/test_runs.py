"""What differs between two runs: recipes, data and results."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import resnet_spec
from resnet_spec.comparison.render import code_span
from resnet_spec.comparison.runs import compare_runs

SPEC = "spec: 1\nname: n\ninput: 3x8x8\nstem: {conv: {op: conv2d, out_channels: 4, kernel_size: 3}}\n"
RECIPE = "recipe: 1\nabout: {about}\nepochs: {epochs}\noptimizer: {{op: SGD, lr: {lr}}}\n"


def write_run(folder: Path, recipe: str, accuracy: float | None, data: str = "folder:a") -> str:
    folder.mkdir()
    results: dict[str, object] = {"best_epoch": 3, "test_accuracy": accuracy, "test_reliability": []}
    texts = {"spec.yaml": SPEC, "recipe.yaml": recipe, "results.json": json.dumps(results)}
    for name, text in {**texts, "run.json": json.dumps({"data": data})}.items():
        (folder / name).write_text(text, encoding="utf-8")
    return str(folder)


def test_recipes_data_and_results_of_runs_are_compared(tmp_path: Path) -> None:
    a = write_run(tmp_path / "a", RECIPE.format(about="one", epochs=2, lr=0.1), 0.5)
    b = write_run(tmp_path / "b", RECIPE.format(about="two", epochs=2, lr=0.2) + "freeze: [stem]\n", None, "folder:b|`c`")
    difference = resnet_spec.diff(a, b)
    assert difference.equal
    assert difference.runs is not None
    expected = [
        "recipe: optimizer.lr 0.1 -> 0.2",
        "recipe: freeze none -> [stem]",
        "data: folder:a -> folder:b|`c`",
        "best epoch: 3 -> 3",
        "test accuracy: 0.5 -> none",
    ]
    assert [line.strip() for line in difference.text().partition("the runs\n")[2].splitlines()] == expected
    assert "- recipe: `optimizer.lr` `0.1` -> `0.2`\n" in difference.markdown()
    assert "- data: `folder:a` -> `` folder:b|`c` ``\n" in difference.markdown()
    data = json.loads(json.dumps(difference.data()))["runs"]
    assert data["results"]["test_accuracy"] == {"before": 0.5, "after": None}
    assert [setting["path"] for setting in data["recipe"]] == [["optimizer", "lr"], ["freeze"]]


def test_a_spec_and_a_run_have_no_common_recipe(tmp_path: Path) -> None:
    a = write_run(tmp_path / "a", RECIPE.format(about="one", epochs=2, lr=0.1), 0.5)
    difference = resnet_spec.diff(a, a + "/spec.yaml")
    assert difference.runs is None
    assert "runs" not in difference.data()


@pytest.mark.parametrize("damaged", ["recipe: [", "\x00", "just text", "a: &a [*a]"])
def test_damaged_files_of_a_run_do_not_hide_the_difference_of_networks(tmp_path: Path, damaged: str) -> None:
    a = write_run(tmp_path / "a", damaged, 0.5)
    b = write_run(tmp_path / "b", RECIPE.format(about="one", epochs=2, lr=0.1), 0.5)
    (tmp_path / "a" / "results.json").write_text(damaged, encoding="utf-8")
    (tmp_path / "a" / "run.json").write_text("[" * 100_000, encoding="utf-8")
    text = resnet_spec.diff(a, b).text()
    assert "are the same network" in text
    assert "test accuracy: none -> 0.5" in text


def test_texts_of_a_hostile_run_are_marked_in_markdown(tmp_path: Path) -> None:
    recipe = RECIPE.format(about="x", epochs=3, lr=0.1)
    one, other = (write_run(tmp_path / name, recipe, 0.5) for name in ("a", "b"))
    Path(one, "results.json").write_text(json.dumps({"test_accuracy": "![x](https://e.example/b.png)"}), encoding="utf-8")
    found = compare_runs(one, other)
    assert found is not None
    assert "test accuracy: `![x](https://e.example/b.png)` -> 0.5" in list(found.lines(code_span))
