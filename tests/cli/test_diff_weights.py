"""`resnet-spec diff` with weights: what becomes of each tensor, and how numbers differ."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from click.testing import CliRunner, Result
from safetensors.torch import save_file
from torch import Tensor

import resnet_spec
from resnet_spec.cli.program import group
from resnet_spec.weights.metadata import to_metadata
from tests.training import tiny

pytestmark = pytest.mark.torch
DEEPER = "stages.layer1.depth=2"


def state(*set: str) -> dict[str, Tensor]:
    torch.manual_seed(5)
    return dict(resnet_spec.build(tiny.SPEC, set=set).state_dict())


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a spec, weights of it with and without their spec, and a text that is no weights."""
    monkeypatch.chdir(tmp_path)
    Path("small.yaml").write_text(tiny.SPEC, encoding="utf-8")
    torch.save(state(), "small.pth")
    save_file(state(), "small.safetensors", to_metadata({"spec": tiny.SPEC}))
    Path("page.pth").write_text("<!DOCTYPE html>", encoding="utf-8")
    return tmp_path


def diff(*arguments: str) -> Result:
    return CliRunner().invoke(group, ["diff", *arguments])


def data(*arguments: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(diff(*arguments, "--format", "json").stdout)
    return found


def test_weights_are_planned_for_the_second_network(here: Path) -> None:
    arguments = ["small.yaml", "small.yaml", "--set-b", DEEPER, "--weights", "small.pth"]
    done = diff(*arguments)
    assert done.exit_code == 1
    lines = done.stdout.splitlines()
    assert "  stages.layer1.depth added: 2" in lines
    at = lines.index("weights small.pth in small.yaml with stages.layer1.depth=2")
    assert lines[at + 1] == "  `train --transfer` starts from them"
    assert any(line.split()[:3] == ["drawn", "layer1.1.*", "12"] for line in lines)
    assert all(len(line) <= 100 for line in lines)
    found = data(*arguments)
    own = sum(
        tensor.numel() for name, tensor in state(DEEPER).items() if name.startswith("layer1.1.") and tensor.ndim in (1, 4)
    )
    statistics = sum(
        tensor.numel() for name, tensor in state(DEEPER).items() if name.startswith("layer1.1.") and "running" in name
    )
    assert found["weights"]["parameters"]["drawn"] == own - statistics
    assert found["weights"]["parameters"]["total"] == resnet_spec.analyze(tiny.SPEC, set=[DEEPER]).total.params
    assert {row["name"] for row in found["weights"]["tensors"]} == state(DEEPER).keys()
    markdown = diff(*arguments, "--format", "markdown").stdout
    assert "Weights `small.pth` in `small.yaml with stages.layer1.depth=2`" in markdown
    assert "| drawn | `layer1.1.*` | 12 |" in markdown


@pytest.mark.parametrize(
    ("sets", "verdict", "code"),
    [
        ([], "`build`, `eval`, `predict` and `train` load them", 0),
        (["--set", "classes=9"], "`train` starts from them", 1),
        (["--set", "input=1x12x12"], "`train` starts from them", 1),
        (["--set", DEEPER], "`train --transfer` starts from them", 1),
    ],
)
def test_a_file_is_compared_with_a_spec(here: Path, sets: list[str], verdict: str, code: int) -> None:
    """The exit code is 0 where every tensor has its place, as for equal networks."""
    done = diff("small.pth", "small.yaml", *sets)
    assert done.exit_code == code
    assert done.stdout.startswith(f"weights small.pth in small.yaml\n  {verdict}\n")
    assert diff("small.yaml", "small.pth", *sets).exit_code == code


def test_numbers_of_two_files_are_compared_by_stage(here: Path) -> None:
    assert diff("small.safetensors", "small.pth").exit_code == 0
    assert "all weights are equal" in diff("small.safetensors", "small.pth").stdout
    changed = state()
    changed["layer2.0.conv1.weight"][0, 0, 0, 0] += 0.5
    changed["layer2.0.bn1.num_batches_tracked"] += 1
    changed["fc.weight"] *= 1.25
    del changed["bn1.bias"]
    save_file(changed, "other.safetensors", to_metadata({"spec": tiny.SPEC}))
    assert diff("small.pth", "other.safetensors").exit_code == 1
    found = data("small.safetensors", "other.safetensors")["numbers"]
    stages = {stage["name"]: stage for stage in found["stages"]}
    assert list(stages) == ["stem", "layer1", "layer2", "head"]
    assert [stages[name]["tensors"] - stages[name]["equal"] for name in stages] == [0, 0, 2, 1]
    assert stages["layer2"]["largest"] == pytest.approx(0.5, rel=1e-5)
    weight, bias = state()["fc.weight"].double(), state()["fc.bias"].double()
    whole = float((weight.square().sum() + bias.square().sum()).sqrt())
    assert stages["head"]["relative"] == pytest.approx(0.25 * float(weight.norm()) / whole, rel=1e-5)
    assert found["missing"] == [0, 1]
    assert not found["equal"]


def test_numbers_that_are_not_finite_differ_and_are_null_in_json(here: Path) -> None:
    changed = state()
    changed["fc.weight"][0, 0] = float("nan")
    save_file(changed, "other.safetensors")
    found = data("small.safetensors", "other.safetensors")["numbers"]
    assert not found["equal"]
    assert found["stages"][-1]["largest"] is None
    assert "nan" in diff("small.safetensors", "other.safetensors").stdout


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["small.yaml", "small.yaml", "--numbers"], "--numbers compares weights"),
        (["small.yaml", "small.yaml", "--weights-key", "model"], "use it with --weights"),
        (["small.yaml", "small.yaml", "--weights", "nothing.pth"], "nothing.pth"),
        (["small.yaml", "small.yaml", "--weights", "page.pth"], "error[not-weights]"),
        (["page.pth", "small.yaml"], "error[not-weights]"),
        (["small.pth", "small.pth"], "contain weights alone, without the spec of their network"),
        (["small.yaml", "small.yaml", "--weights", "small.yaml"], "error["),
        (["small.yaml", "small.yaml", "--weights", "published"], "does not name any"),
    ],
)
def test_what_cannot_be_compared_is_refused(here: Path, arguments: list[str], words: str) -> None:
    before = sorted(here.iterdir())
    done = diff(*arguments)
    assert words in done.output
    assert done.exit_code == 2
    assert done.stdout == ""
    assert sorted(here.iterdir()) == before
