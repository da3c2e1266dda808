"""The hooks for pre-commit and the workflow in the docs run commands that exist, on files that they should run on."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner

from resnet_spec.cli import group

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "commands.md").read_text(encoding="utf-8")
HOOKS: list[dict[str, Any]] = yaml.safe_load((ROOT / ".pre-commit-hooks.yaml").read_text(encoding="utf-8"))


def yaml_of_docs(word: str) -> Any:
    return yaml.safe_load(next(text for text in re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL) if word in text))


def run(command: str, *more: str) -> int:
    program, *arguments = shlex.split(command)
    assert program == "resnet-spec"
    return CliRunner().invoke(group, [*arguments, *more]).exit_code


@pytest.mark.parametrize("hook", HOOKS, ids=lambda hook: str(hook["id"]))
def test_a_hook_fails_for_files_with_errors(hook: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "good.yaml").write_text("spec: 1\nextends: resnet18\n")
    (tmp_path / "recipe.yml").write_text("recipe: 1\nextends: cifar-fast\n")
    (tmp_path / "bad.yaml").write_text("spec: 1\nextends: resnet81\n")
    assert run(hook["entry"], "good.yaml", "recipe.yml") == 0
    assert run(hook["entry"], "good.yaml", "bad.yaml") == 1


@pytest.mark.parametrize("hook", HOOKS, ids=lambda hook: str(hook["id"]))
def test_a_hook_has_what_pre_commit_asks_for(hook: dict[str, Any]) -> None:
    assert {"id", "name", "entry", "language", "files", "types"} <= hook.keys()
    assert hook["language"] in ("python", "system")
    for path, matches in {
        "specs/a.yaml": True,
        "nets/specs/b/c.yml": True,
        "recipes/r.yaml": True,
        ".github/x.yml": False,
    }.items():
        assert (re.search(hook["files"], path) is not None) is matches


def test_the_docs_name_hooks_that_exist() -> None:
    (repository,) = yaml_of_docs("repos:")["repos"]
    assert {hook["id"] for hook in repository["hooks"]} <= {hook["id"] for hook in HOOKS}


def test_the_workflow_of_the_docs_checks_what_the_folders_hold(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    steps = yaml_of_docs("runs-on")["jobs"]["check"]["steps"]
    command = next(step["run"] for step in steps if step.get("run", "").startswith("resnet-spec "))
    monkeypatch.chdir(tmp_path)
    for folder, text in {"specs": "spec: 1\nextends: resnet18\n", "recipes": "recipe: 1\nextends: cifar-fast\n"}.items():
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "x.yaml").write_text(text)
    assert run(command) == 0
    (tmp_path / "specs" / "y.yaml").write_text("spec: 1\nextends: resnet18\nclases: 3\n")
    assert run(command) == 1


def test_the_document_of_the_docs_is_that_of_check(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same keys at every place."""
    shown = json.loads(re.findall(r"```json\n(.*?)```", PAGE, re.DOTALL)[0])
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a.yaml").write_text("spec: 1\ninput: 3x8x8\nstem: {c: {op: conv2d, out_channels: 2, kernel_size: 99}}\n")
    (tmp_path / "b.yaml").write_text("spec: 1\nextends: resnet18\n")
    (tmp_path / "c.yaml").write_text("kind: Deployment\n")
    printed = json.loads(CliRunner().invoke(group, ["check", ".", "--message-format", "json"]).stdout)
    assert shown.keys() == printed.keys()
    assert shown["counts"] == printed["counts"]
    assert shown["diagnostics"][0].keys() == printed["diagnostics"][0].keys()
    assert [file.keys() for file in shown["files"]] == [file.keys() for file in printed["files"]]
    assert shown["files"][1]["network"].keys() == printed["files"][1]["network"].keys()
    assert shown["files"][1]["network"]["macs"] == printed["files"][1]["network"]["macs"]
