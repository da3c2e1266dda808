"""The README tells the truth: its spec compiles, its error message is what `check` prints, its Python runs."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import resnet_spec
from resnet_spec.diagnostics.rendering import render
from resnet_spec.language.validation import schema_document
from resnet_spec.training.recipe import read_recipe

README = (Path(__file__).parent.parent / "README.md").read_text(encoding="utf-8")

R50 = """\
spec: 1
name: r50
extends: resnet50
input: 3x224x224
classes: 5

block: {op: bottleneck, project: stride != 1}
stages:
  layer1: {width: 64,  depth: 3}
"""


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL)


def test_the_first_spec_compiles() -> None:
    analysis = resnet_spec.analyze(blocks("yaml")[0])
    assert analysis.output == (5,)
    assert {node.op.name for node in analysis.graph.nodes} >= {"silu", "group_norm"}


def test_the_error_message_is_what_check_prints(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "r50.yaml").write_text(R50, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(resnet_spec.SpecError) as caught:
        resnet_spec.analyze("r50.yaml")
    message = render(caught.value.diagnostics)
    shown = next(block for block in blocks("console") if "error[" in block)
    assert message.strip() in shown


@pytest.mark.torch
def test_the_python_runs() -> None:
    names: dict[str, object] = {}
    exec(compile(blocks("python")[0], "README.md", "exec"), names)
    model = names["model"]
    assert sum(parameter.numel() for parameter in model.parameters()) == 853_018  # type: ignore[attr-defined]


def test_the_recipe_of_the_training_page_is_one() -> None:
    page = (Path(__file__).parent.parent / "docs" / "training.md").read_text(encoding="utf-8")
    text = re.findall(r"```yaml\n(.*?)```", page, re.DOTALL)[0]
    recipe = read_recipe(text)
    assert (recipe.epochs, recipe.lr, recipe.schedule.op, recipe.augment.mixup) == (60, 0.1, "cosine", 0.2)
    assert recipe.optimizer_arguments["momentum"] == 0.9
    table = page.partition("| key | what it says |")[2].partition("\n\n")[0]
    for key in re.findall(r"`([a-z_]+)`", "".join(re.findall(r"^\| (`.*?`) \|", table, re.MULTILINE))):
        assert key in schema_document("recipe")["properties"] or key in ("epochs",), key
