"""Transfer: what another network has in common is kept, bit for bit, and the rest keeps its initialization."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

import resnet_spec
from resnet_spec._system.torchvision_import import import_torchvision
from resnet_spec.weights.metadata import to_metadata
from resnet_spec.weights.planning import Plan
from resnet_spec.weights.plans import plan_start
from resnet_spec.weights.reading import StoredWeights
from tests.training import tiny
from tests.weights.starting import start_from

pytestmark = pytest.mark.torch


def meta(spec: str, *set: str) -> dict[str, Tensor]:
    return dict(resnet_spec.build(spec, set=set, device="meta", initialize=False).state_dict())


def planned(spec: str, found: dict[str, Tensor], *set: str, metadata: dict[str, str] | None = None) -> Plan:
    stored = StoredWeights(Path("w.pth"), found, metadata or {})
    plan = plan_start(meta(spec, *set), resnet_spec.analyze(spec, set=set), stored, transfer=True)
    assert plan.accepted(transfer=True)
    return plan


def published(name: str) -> dict[str, Tensor]:
    with torch.device("meta"):
        return dict(getattr(import_torchvision().models, name)().state_dict())


def started(path: Path, spec: str, *set: str, **options: Any) -> tuple[dict[str, Tensor], dict[str, Tensor], str]:
    """The tensors of a network before and after it starts from weights, and the note on it."""
    analysis = resnet_spec.analyze(spec, set=set)
    torch.manual_seed(6)
    network = resnet_spec.build(analysis)
    before = {key: tensor.clone() for key, tensor in network.state_dict().items()}
    note = start_from(network, analysis, path, **options)
    return before, dict(network.state_dict()), note


def written(path: Path, spec: str, *set: str, metadata: dict[str, str] | None = None) -> dict[str, Tensor]:
    torch.manual_seed(5)
    tensors = dict(resnet_spec.build(spec, set=set).state_dict())
    for name, tensor in tensors.items():  # so that statistics and norms differ from initial ones
        if tensor.is_floating_point():
            tensor += 0.01 * torch.randn_like(tensor)
        else:
            tensor += len(name)
    save_file(tensors, path, metadata)
    return tensors


# --- plans for networks that are known -------------------------------------------------------------------------------------


def test_a_deeper_network_keeps_the_blocks_of_the_other_by_position() -> None:
    plan = planned("resnet101", published("resnet50"))
    assert {step.action for step in plan.steps} == {"kept", "drawn"}
    assert all(step.name.startswith("layer3.") and int(step.name.split(".")[1]) >= 6 for step in plan.of("drawn"))
    models = import_torchvision().models
    with torch.device("meta"):
        sizes = [sum(each.numel() for each in getattr(models, name)().parameters()) for name in ("resnet50", "resnet101")]
    assert plan.share("kept") == pytest.approx(sizes[0] / sizes[1])
    macs = [resnet_spec.analyze(name).total.macs for name in ("resnet50", "resnet101")]
    assert plan.share("kept", of="macs") == pytest.approx(macs[0] / macs[1])


def test_a_shallower_network_keeps_the_first_blocks() -> None:
    plan = planned("resnet50", published("resnet101"))
    assert {step.action for step in plan.steps} == {"kept", "unused"}
    assert all(step.source.startswith("layer3.") and int(step.source.split(".")[1]) >= 6 for step in plan.of("unused"))


def test_what_a_block_has_in_addition_is_drawn() -> None:
    plan = planned("seresnet50", published("resnet50"))
    assert {step.action for step in plan.steps} == {"kept", "drawn"}
    assert {step.name.split(".")[2] for step in plan.of("drawn")} == {"se"}


def test_blocks_of_another_kind_are_drawn_and_so_is_what_reads_them() -> None:
    """A 3x3 convolution of ResNet-34 has the name, and in part the shape, of one of ResNet-50 that does something else."""
    plan = planned("resnet50", published("resnet34"))
    assert {step.name.split(".")[0] for step in plan.of("kept")} == {"conv1", "bn1"}
    assert {step.name.split(".")[0] for step in plan.of("drawn")} == {"layer1", "layer2", "layer3", "layer4", "fc"}
    reasons = {step.name: step.reason for step in plan.of("drawn")}
    assert reasons["layer2.1.conv2.weight"] == "another block in the file (`conv1` is 3x3)"
    assert reasons["fc.weight"] == "what it reads comes from other blocks"


def test_another_activation_keeps_all_and_is_reported_where_the_file_has_its_spec() -> None:
    plan = planned("resnet50", published("resnet50"), "act=silu")
    assert plan.exact
    assert not any("computes something else" in note for note in plan.notes)  # nothing says what it was
    text = to_metadata({"fingerprint": resnet_spec.analyze(tiny.SPEC).fingerprint, "spec": tiny.SPEC})
    plan = planned(tiny.SPEC, meta(tiny.SPEC), "act=silu", metadata=text)
    assert plan.exact
    (note,) = (note for note in plan.notes if "computes something else" in note)
    assert "relu -> silu" in note


# --- what is carried out ---------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_kept_tensors_are_equal_in_all_bits_and_the_others_are_the_initial_ones(tmp_path: Path) -> None:
    own = written(tmp_path / "w.safetensors", "cifar_resnet20")
    before, after, note = started(tmp_path / "w.safetensors", "cifar_resnet56", transfer=True)
    for name, tensor in after.items():
        assert torch.equal(tensor, own[name] if name in own else before[name]), name
    assert len(after) > len(own)
    assert "216 tensors initialized at random, since the file differs" in note


def test_of_another_width_the_first_rows_and_columns_are_kept(tmp_path: Path) -> None:
    own = written(tmp_path / "w.safetensors", tiny.SPEC)
    sets = ("stages.layer1.width=8", "stages.layer2.width=40")
    before, after, note = started(tmp_path / "w.safetensors", tiny.SPEC, *sets, transfer=True)
    for name, tensor in after.items():
        expected = before[name].clone()
        if name not in own:  # a projection, for other channels
            assert torch.equal(tensor, expected)
            continue
        both = tuple(slice(min(sizes)) for sizes in zip(tensor.shape, own[name].shape, strict=True))
        expected[both] = own[name][both]
        assert torch.equal(tensor, expected), name
    assert "sliced to other widths" in note
    assert "padded to other widths" in note


GROUPED = tiny.SPEC.replace("relu: act}", "relu: act, dw: {op: conv2d, kernel_size: 3, out_channels: 16, groups: %d}}")


def test_groups_of_other_channels_are_not_sliced(tmp_path: Path) -> None:
    """The columns of a grouped convolution are channels within a group: those of another number of groups mean others."""
    own = written(tmp_path / "w.safetensors", GROUPED % 4)
    before, after, _ = started(tmp_path / "w.safetensors", GROUPED % 8, transfer=True)
    assert torch.equal(after["dw.weight"], before["dw.weight"])
    assert torch.equal(after["fc.weight"], own["fc.weight"])


FLAT = tiny.SPEC.replace(
    "avgpool: {op: adaptive_avg_pool2d, output_size: 1}", "avgpool: {op: adaptive_avg_pool2d, output_size: %d}"
)


def test_columns_that_are_pixels_are_not_sliced(tmp_path: Path) -> None:
    written(tmp_path / "w.safetensors", FLAT % 2)
    before, after, _ = started(tmp_path / "w.safetensors", FLAT % 3, transfer=True)
    assert torch.equal(after["fc.weight"], before["fc.weight"])
    assert torch.equal(after["fc.bias"], before["fc.bias"])  # it belongs to that weight


LAST = """
spec: 1
name: last
input: 3x12x12
classes: 4
blocks:
  wide:
    args: [width, extra]
    branch:
      conv: {op: conv2d, out_channels: width, kernel_size: 3, padding: 1}
      more: {op: conv2d, if: extra, out_channels: width, kernel_size: 1}
stem: {conv1: {op: conv2d, out_channels: 8, kernel_size: 3, padding: 1}}
block: wide
stages: {layer1: {width: 8, depth: %d, extra: %s}}
head: {pool: {op: adaptive_avg_pool2d, output_size: 1}, flatten: flatten, fc: {op: linear, out_features: classes}}
"""


def test_a_last_block_of_its_own_structure_stays_the_last(tmp_path: Path) -> None:
    own = written(tmp_path / "w.safetensors", LAST % (3, "[false, false, true]"))
    before, after, _ = started(tmp_path / "w.safetensors", LAST % (5, "[false, false, false, false, true]"), transfer=True)
    for name, tensor in after.items():
        source = name.replace("layer1.4.", "layer1.2.") if name.startswith("layer1.4.") else name
        is_new = name.startswith(("layer1.2.", "layer1.3."))
        assert torch.equal(tensor, before[name] if is_new else own[source]), name


def test_another_network_whose_spec_is_in_the_file_is_paired_by_its_graph(tmp_path: Path) -> None:
    """Whatever its names: here those of stages and stem differ, and there is one block more."""
    other = (
        tiny.SPEC.replace("layer1:", "alpha:")
        .replace("layer2:", "beta:")
        .replace("conv1:", "entry:")
        .replace("{width: 16}", "{width: 16, depth: 2}")
    )
    own = written(tmp_path / "w.safetensors", other, metadata=to_metadata({"spec": other}))
    _, after, note = started(
        tmp_path / "w.safetensors", tiny.SPEC.replace("{width: 16}", "{width: 16, depth: 3}"), transfer=True
    )
    for name, source in (
        ("conv1.", "entry."),
        ("layer1.1.conv2.", "alpha.1.conv2."),
        ("layer2.0.bn1.", "beta.0.bn1."),
        ("fc.", "fc."),
    ):
        assert torch.equal(after[f"{name}weight"], own[f"{source}weight"]), name
    assert "the spec in the file says which of its layers is which" in note


# --- classes of equal names ------------------------------------------------------------------------------------------------


def facts(classes: Sequence[str]) -> dict[str, str]:
    return to_metadata({"classes": json.dumps(list(classes))})


def test_rows_of_classes_with_equal_names_are_kept(tmp_path: Path) -> None:
    own = written(tmp_path / "w.safetensors", tiny.SPEC, metadata=facts(["cat", "dog", "owl", "yak"]))
    names = ["ant", "owl", "cat"]
    before, after, note = started(tmp_path / "w.safetensors", tiny.SPEC, "classes=3", classes=names)
    for name in ("fc.weight", "fc.bias"):
        assert torch.equal(after[name], torch.stack([before[name][0], own[name][2], own[name][0]]))
    assert "the rows of 2 classes of equal names are kept, 1 are drawn" in note


def test_a_name_that_two_classes_have_keeps_no_row(tmp_path: Path) -> None:
    own = written(tmp_path / "w.safetensors", tiny.SPEC, metadata=facts(["crane", "dog", "crane", "yak"]))
    before, after, _ = started(tmp_path / "w.safetensors", tiny.SPEC, "classes=2", classes=["crane", "dog"])
    assert torch.equal(after["fc.weight"], torch.stack([before["fc.weight"][0], own["fc.weight"][1]]))


def test_rows_move_where_the_same_classes_have_another_order(tmp_path: Path) -> None:
    own = written(tmp_path / "w.safetensors", tiny.SPEC, metadata=facts(["cat", "dog", "owl", "yak"]))
    _, after, _ = started(tmp_path / "w.safetensors", tiny.SPEC, classes=["yak", "owl", "dog", "cat"])
    assert torch.equal(after["fc.weight"], own["fc.weight"].flip(0))


@pytest.mark.parametrize("stored", [["cat", "cat", "yak", "yak"], ["cat", "dog", "owl"], ["a", "b", "c", "d"]])
def test_names_that_do_not_decide_leave_a_classifier_drawn(tmp_path: Path, stored: list[str]) -> None:
    """Names that occur twice, another number of names than rows, and none in common."""
    written(tmp_path / "w.safetensors", tiny.SPEC, metadata=facts(stored))
    before, after, _ = started(tmp_path / "w.safetensors", tiny.SPEC, "classes=3", classes=["cat", "ant", "owl"])
    assert torch.equal(after["fc.weight"], before["fc.weight"])
