"""Plans: what becomes of each tensor is known before anything is loaded, shown, and refused where it is not meant."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from PIL import Image
from safetensors.torch import load_file
from torch import Tensor

import resnet_spec
from resnet_spec._system.torchvision_import import import_torchvision
from resnet_spec.cli.program import group
from resnet_spec.comparison.render import code_span
from resnet_spec.diagnostics import ArgumentError, Diagnostic, ResnetSpecError
from resnet_spec.training.console import Console
from resnet_spec.weights.plan_report import plan_data, plan_markdown, plan_rows, plan_text
from resnet_spec.weights.planning import Plan, make_plan
from resnet_spec.weights.plans import plan_start
from resnet_spec.weights.reading import open_weights
from resnet_spec.weights.starting import adapt_channels, plan_training
from tests.training import tiny
from tests.weights.starting import start_from

pytestmark = pytest.mark.torch


def saved(path: Path, *set: str, seed: int = 5) -> dict[str, Tensor]:
    torch.manual_seed(seed)
    tensors = dict(resnet_spec.build(tiny.SPEC, set=set).state_dict())
    torch.save(tensors, path)
    return tensors


def planned(path: Path, *set: str, transfer: bool = False) -> Plan:
    analysis = resnet_spec.analyze(tiny.SPEC, set=set)
    return plan_start(resnet_spec.build(analysis).state_dict(), analysis, open_weights(path), transfer)


def started(path: Path, *set: str, transfer: bool = False) -> tuple[dict[str, Tensor], dict[str, Tensor], str]:
    """The tensors of a network before and after it starts from weights, and the note on it."""
    analysis = resnet_spec.analyze(tiny.SPEC, set=set)
    torch.manual_seed(6)
    network = resnet_spec.build(analysis)
    before = {key: tensor.clone() for key, tensor in network.state_dict().items()}
    note = start_from(network, analysis, path, transfer=transfer)
    return before, dict(network.state_dict()), note


def refused(path: Path, *set: str) -> Diagnostic:
    with pytest.raises(ResnetSpecError) as caught:
        started(path, *set)
    (finding,) = caught.value.diagnostics
    return finding


# --- exact plans -----------------------------------------------------------------------------------------------------------


def test_a_plan_is_exact_where_every_tensor_has_its_place(tmp_path: Path) -> None:
    own = saved(tmp_path / "w.pth")
    plan = make_plan(own, own)
    assert plan.exact
    assert {step.action for step in plan.steps} == {"kept"}
    plan = make_plan(own, {f"module.{key}": tensor for key, tensor in own.items()})
    assert plan.exact
    assert {(step.action, step.source == f"module.{step.name}") for step in plan.steps} == {("renamed", True)}
    plan = make_plan(own, {key: tensor for key, tensor in own.items() if "num_batches" not in key})
    assert plan.exact
    assert {step.action for step in plan.steps} == {"kept", "filled"}
    for lacking in ("bn1.running_mean", "fc.bias"):
        assert not make_plan(own, {key: tensor for key, tensor in own.items() if key != lacking}).exact
    assert not make_plan(own, {**own, "more": torch.zeros(1)}).exact


def test_names_with_and_without_a_prefix_are_not_mixed(tmp_path: Path) -> None:
    own = saved(tmp_path / "w.pth")
    found = {f"module.{key}" if key != "fc.bias" else key: tensor for key, tensor in own.items()}
    plan = make_plan(own, found)
    assert len(plan.of("renamed")) == len(own) - 1
    assert [step.name for step in plan.of("missing")] == ["fc.bias"]
    assert [(step.source, step.reason) for step in plan.of("unused")] == [("fc.bias", "its name does not begin with `module.`")]
    assert not plan_training(plan, 3).accepted()


def test_a_network_whose_names_share_a_beginning_keeps_it() -> None:
    own = {"features.a": torch.zeros(1), "features.b": torch.zeros(2)}
    assert {step.action for step in make_plan(own, own).steps} == {"kept"}


def test_what_differs_is_listed_by_cause_and_stage_with_both_shapes(tmp_path: Path) -> None:
    saved(tmp_path / "w.pth", "stages.layer2.depth=4", "stages.layer2.width=48", "stages.layer1.depth=3")
    with pytest.raises(RuntimeError) as caught:
        resnet_spec.build(tiny.SPEC, weights=tmp_path / "w.pth")
    assert isinstance(caught.value, ResnetSpecError)
    (finding,) = caught.value.diagnostics
    assert finding.code == "other-weights"
    assert "unused: `layer1.*` (24 tensors) is in the file alone" in finding.notes
    assert "unused: `layer2.*` (36 tensors) is in the file alone" in finding.notes
    assert "other shape: `layer2.0.conv1.weight` is 48x16x3x3 in the file, 32x16x3x3 in the network" in finding.notes
    assert "other shape: `fc.weight` is 4x48 in the file, 4x32 in the network" in finding.notes
    assert all(note.isprintable() for note in finding.notes)


# --- training --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("channels", [1, 2, 4, 5, 7])
def test_a_first_convolution_is_adapted_as_timm_does(tmp_path: Path, channels: int) -> None:
    own = saved(tmp_path / "w.pth")
    import_torchvision()  # timm imports it
    timm = pytest.importorskip("timm.models")
    expected = timm.adapt_input_conv(channels, own["conv1.weight"].clone())
    assert torch.equal(adapt_channels(own["conv1.weight"], channels), expected)
    _, after, note = started(tmp_path / "w.pth", f"input={channels}x12x12")
    assert torch.equal(after["conv1.weight"], expected)
    assert all(torch.equal(after[key], tensor) for key, tensor in own.items() if key != "conv1.weight")
    assert f"conv1.weight adapted from 16x3x3x3 to 16x{channels}x3x3" in note


def test_gray_images_give_the_same_values_as_in_color(tmp_path: Path) -> None:
    own = saved(tmp_path / "w.pth")
    gray = torch.randn(2, 1, 12, 12)
    expected = torch.nn.functional.conv2d(gray.repeat(1, 3, 1, 1), own["conv1.weight"])
    found = torch.nn.functional.conv2d(gray, adapt_channels(own["conv1.weight"], 1))
    torch.testing.assert_close(found, expected)


def test_only_the_first_convolution_is_adapted(tmp_path: Path) -> None:
    saved(tmp_path / "w.pth", "stem.conv1.out_channels=3")
    assert refused(tmp_path / "w.pth").code == "other-weights"


def test_a_classifier_for_other_classes_is_drawn_and_both_are_reported(tmp_path: Path) -> None:
    own = saved(tmp_path / "w.pth")
    before, after, note = started(tmp_path / "w.pth", "classes=7", "input=1x12x12")
    for key in after:
        if key.startswith("fc."):
            assert torch.equal(after[key], before[key])
        elif key != "conv1.weight":
            assert torch.equal(after[key], own[key])
    assert "fc.bias, fc.weight reinitialized for 7 classes" in note
    assert "3 channels of images are summed" in note


def test_everything_else_is_refused_without_transfer(tmp_path: Path) -> None:
    own = saved(tmp_path / "w.pth", "stages.layer2.width=24", "stages.layer1.depth=3")
    finding = refused(tmp_path / "w.pth")
    assert finding.code == "other-weights"
    assert "--transfer" in finding.help
    before, after, note = started(tmp_path / "w.pth", transfer=True)
    for key, tensor in after.items():
        expected = before[key].clone()
        both = tuple(slice(min(sizes)) for sizes in zip(tensor.shape, own[key].shape, strict=True))
        expected[both] = own[key][both]
        assert torch.equal(tensor, expected), key
    assert "tensors padded to other widths" in note
    assert "of the file, 24 tensors left out" in note


def test_weights_of_which_nothing_fits_are_refused_even_for_transfer(tmp_path: Path) -> None:
    torch.save({"a.weight": torch.zeros(3)}, tmp_path / "w.pth")
    with pytest.raises(ResnetSpecError, match="no tensor of small"):
        started(tmp_path / "w.pth", transfer=True)


def test_training_refuses_numbers_that_are_not_finite(tmp_path: Path) -> None:
    own = saved(tmp_path / "w.pth")
    own["fc.weight"][0, 0] = float("inf")
    torch.save(own, tmp_path / "w.pth")
    assert refused(tmp_path / "w.pth").code == "weights-not-finite"
    started(tmp_path / "w.pth", "classes=7")  # it is not used


def test_options_about_weights_need_weights() -> None:
    more: dict[str, Any]
    for more in ({"transfer": True}, {"weights_key": "model"}):
        with pytest.raises(ArgumentError, match="about weights to start from"):
            resnet_spec.train(tiny.SPEC, **more)


# --- the plan as a table and as JSON ---------------------------------------------------------------------------------------


def test_the_table_collapses_stages_and_repeats(tmp_path: Path) -> None:
    saved(tmp_path / "w.pth", "stages.layer2.depth=3", "stages.layer2.width=24", "classes=9")
    rows = plan_rows(planned(tmp_path / "w.pth", "stages.layer2.depth=3").steps)
    assert [(row.action, row.label, row.count) for row in rows][:3] == [
        ("kept", "conv1.weight", 1),
        ("kept", "bn1.*", 5),
        ("kept", "layer1.*", 12),
    ]
    found = {(row.label, row.stored, row.shape): row.count for row in rows if row.action == "other shape"}
    assert found["layer2.1-2.conv1.weight", "24x24x3x3", "32x32x3x3"] == 2
    plan = planned(tmp_path / "w.pth", "stages.layer2.depth=3")
    assert all(len(line) <= 100 for line in plan_text(plan).splitlines())
    assert sum(row.count for row in rows) == len(plan.steps)


def test_names_of_a_file_are_one_code_span_in_markdown(tmp_path: Path) -> None:
    own = saved(tmp_path / "w.pth")
    torch.save({**own, "a`|b\n# c": torch.zeros(1), "fc.d|<img>": torch.zeros(1)}, tmp_path / "w.pth")
    lines = plan_markdown(planned(tmp_path / "w.pth"), code_span).splitlines()
    assert "| unused | ``a`\\|b\\n# c`` | 1 | 1 |  |  |" in lines
    assert "| unused | `fc.d\\|<img>` | 1 | 1 |  |  |" in lines
    assert all(line.startswith(("|", "- ")) or not line for line in lines)


def test_shares_are_those_of_the_parameters(tmp_path: Path) -> None:
    saved(tmp_path / "w.pth")
    plan = planned(tmp_path / "w.pth", "classes=7")
    network = resnet_spec.build(tiny.SPEC, set=["classes=7"])
    whole = sum(each.numel() for each in network.parameters())
    drawn = 7 * 32 + 7
    assert plan.share("drawn") == pytest.approx(drawn / whole)
    assert plan.share("kept") == pytest.approx(1 - drawn / whole)
    data = json.loads(json.dumps(plan_data(plan)))
    assert data["parameters"]["total"] == whole
    assert (data["exact"], data["accepted"]) == (False, True)
    assert sum(data["percent"].values()) == pytest.approx(100)
    assert f"{100 * drawn / whole:.2f}% drawn" in plan_text(plan)


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "small.yaml").write_text(tiny.SPEC, encoding="utf-8")
    return tmp_path


def test_the_plan_is_printed_and_nothing_is_written(here: Path) -> None:
    saved(here / "w.pth")
    before = sorted(here.iterdir())
    arguments = ["train", "small.yaml", "--weights", "w.pth", "--plan-only"]
    done = CliRunner().invoke(group, [*arguments, "--data", "synthetic:classes=7,size=12,train=30", "--recipe", "quick"])
    assert done.exit_code == 0, done.output
    assert "w.pth -> small" in done.output
    assert "for other classes" in done.output
    done = CliRunner().invoke(group, [*arguments, "--set", "stages.layer1.depth=3"])
    assert done.exit_code == 1
    assert "missing" in done.output
    assert "error[other-weights]" in done.output
    done = CliRunner().invoke(group, [*arguments, "--set", "stages.layer1.depth=3", "--transfer", "--format", "json"])
    assert done.exit_code == 0
    data = json.loads(done.output)
    assert data["accepted"]
    assert {"action": "drawn", "tensors": "layer1.1-2.*", "count": 24, "parameters": 9344} in [
        {key: row[key] for key in ("action", "tensors", "count", "parameters")} for row in data["rows"]
    ]
    assert sorted(here.iterdir()) == before
    assert CliRunner().invoke(group, ["train", "small.yaml", "--plan-only"]).exit_code == 2
    assert CliRunner().invoke(group, ["train", "small.yaml", "--format", "json"]).exit_code == 2


# --- fine-tuning -----------------------------------------------------------------------------------------------------------


@pytest.mark.training
@pytest.mark.slow
def test_resnet18_is_fine_tuned_to_other_classes_with_frozen_parts(tmp_path: Path) -> None:
    """From torchvision's state dict, saved by torch, on a folder of images of five classes."""
    torch.manual_seed(0)
    theirs = import_torchvision().models.resnet18().state_dict()
    torch.save(theirs, tmp_path / "resnet18.pth")
    chance = np.random.default_rng(0)
    for name in "abcde":
        (tmp_path / "images" / name).mkdir(parents=True)
        for i in range(6):
            pixels = chance.integers(0, 256, (32, 32, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(tmp_path / "images" / name / f"{i}.png")
    recipe = tiny.recipe(epochs=1, batch_size=8, resize=[32, 32], freeze=["stem", "layer1"])
    result = resnet_spec.train(
        "resnet18",
        recipe,
        f"folder:{tmp_path / 'images'}",
        out=tmp_path / "run",
        weights=tmp_path / "resnet18.pth",
        device="cpu",
        workers=0,
        console=Console.silent(),
    )
    last = load_file(tmp_path / "run" / "last.safetensors")
    assert last["fc.weight"].shape == (5, 512)
    for key, tensor in theirs.items():
        if key.startswith(("conv1", "bn1", "layer1")):
            assert torch.equal(last[key], tensor), key
    assert not torch.equal(last["layer4.1.conv2.weight"], theirs["layer4.1.conv2.weight"])
    assert len(result.rows) == 1
