"""Weights of a network with equal keys that computes something else: refused, or reported, with what differs in words."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import resnet_spec
from resnet_spec.compiler import find, flatten_text
from resnet_spec.diagnostics import Diagnostic, WeightsError
from resnet_spec.weights import loading
from resnet_spec.weights.file import save_weights
from resnet_spec.weights.metadata import to_metadata
from resnet_spec.weights.other_network import MOST_LINES, describe_difference
from tests.weights.starting import start_from

pytestmark = pytest.mark.torch

BLOCK = """
spec: 1
name: small
input: 3x16x16
classes: 4
stem: {conv1: {op: conv2d, out_channels: 16, kernel_size: 3, padding: 1, bias: false}, bn1: norm, relu: act}
blocks:
  mine:
    args: [width]
    defaults: {stride: 1}
    branch:
      conv1: {op: conv2d, out_channels: width, kernel_size: 1, bias: false, stride: stride}
      bn1: norm
      relu1: act
      conv2: {op: conv2d, out_channels: width, kernel_size: 3, padding: 1, bias: false}
      bn2: norm
    shortcut:
      conv: {op: conv2d, out_channels: width, kernel_size: 1, bias: false, stride: stride}
    join: add
    after: {relu2: act}
block: mine
stages: {layer1: {width: 16}, layer2: {width: 32, stride: 2}}
head:
  avgpool: {op: adaptive_avg_pool2d, output_size: 1}
  flatten: flatten
  fc: {op: linear, out_features: classes}
"""
STRIDE = [
    *("blocks.mine.branch.conv1.stride=1", "blocks.mine.branch.conv2.stride=stride"),
]


def write(path: Path, sets: list[str], **more: str) -> Path:
    """Weights of the network with patches, with metadata as those of a run."""
    analysis = resnet_spec.analyze(BLOCK, set=sets)
    facts = {
        "name": "small",
        "fingerprint": analysis.fingerprint,
        "spec": flatten_text(find(BLOCK), sets),
    }
    save_weights(path, resnet_spec.build(analysis), to_metadata(facts | more))
    return path


def refusal(weights: Path, **options: Any) -> Diagnostic:
    with pytest.raises(WeightsError) as caught:
        resnet_spec.build(BLOCK, weights=weights, **options)
    (finding,) = caught.value.diagnostics
    return finding


@pytest.mark.parametrize(
    ("sets", "lines"),
    [
        (
            STRIDE,
            (
                "`layer2.0.conv1`: conv2d with stride 1 -> 2",
                "`layer2.0.conv2`: conv2d with stride 2 -> 1",
            ),
        ),
        (["norm={op: batch_norm, eps: 0.001}"], ("`bn1` ... `layer2.0.bn2` (5): batch_norm with eps 0.001 -> 1.0e-05",)),
        (["act=silu"], ("`relu` ... `layer2.0.relu2` (5): silu -> relu",)),
        (["blocks.mine.after="], ("added: relu `layer1.0.relu2`, `layer2.0.relu2`",)),
        (["stem.pool={op: max_pool2d, kernel_size: 2}"], ("removed: max_pool2d `pool`",)),
        (
            ["blocks.mine.branch.relu2=act", "blocks.mine.after="],
            ("in another place: relu `layer1.0.relu2`, `layer2.0.relu2`",),
        ),  # relu before the sum, not behind it
    ],
    ids=["stride", "eps", "activation", "after", "pool", "order"],
)
def test_what_differs_is_in_words(tmp_path: Path, sets: list[str], lines: tuple[str, ...]) -> None:
    file = write(tmp_path / "w.safetensors", sets)
    found = refusal(file)
    assert found.code == "other-fingerprint"
    assert "computes something else than small" in found.message
    assert len(found.notes) <= MOST_LINES
    assert all(any(line in note for note in found.notes) for line in lines)
    assert resnet_spec.build(BLOCK, weights=file, any_fingerprint=True) is not None
    analysis = resnet_spec.analyze(BLOCK)
    note = start_from(resnet_spec.build(analysis), analysis, file)
    assert all(line in note for line in lines)


def test_many_differences_are_a_few_lines(tmp_path: Path) -> None:
    sets = [*STRIDE, "act=silu", "norm={op: batch_norm, eps: 0.001}", "stem.conv1.stride=2", "stem.conv1.groups=1"]
    sets += ["stem.pool={op: max_pool2d, kernel_size: 2}", "stem.drop={op: dropout, p: 0.1}", "head.last={op: dropout, p: 0.1}"]
    found = refusal(write(tmp_path / "w.safetensors", sets))
    assert len(found.notes) == MOST_LINES
    assert found.notes[-1].startswith("and ")
    assert found.notes[-1].endswith(" more differences")


def test_other_classes_alone_have_a_way_out(tmp_path: Path) -> None:
    found = refusal(write(tmp_path / "w.safetensors", ["classes=7"]))
    assert "for other classes" in found.message
    assert "`--set classes=7`" in found.help
    assert found.notes == ("`fc`: linear with out_features 7 -> 4",)
    assert resnet_spec.build(BLOCK, set={"classes": 7}, weights=tmp_path / "w.safetensors") is not None
    analysis = resnet_spec.analyze(BLOCK)
    assert "something else" not in start_from(resnet_spec.build(analysis), analysis, tmp_path / "w.safetensors")


@pytest.mark.parametrize("spec", ["", "spec: 1\n", "[" * 10_000, "spec: 1\nextends: resnet18\nname: x\n"])
def test_a_spec_that_cannot_be_compiled_is_left_aside(tmp_path: Path, spec: str) -> None:
    file = write(tmp_path / "w.safetensors", STRIDE, spec=spec)
    found = refusal(file)
    assert found.notes == ()
    assert "rs1:" in found.message
    analysis = resnet_spec.analyze(BLOCK)
    assert "something else" in start_from(resnet_spec.build(analysis), analysis, file)


def test_a_fingerprint_that_its_own_spec_contradicts_is_refused(tmp_path: Path) -> None:
    found = refusal(write(tmp_path / "w.safetensors", [], fingerprint="rs1:" + 32 * "0"))
    assert found.code == "other-fingerprint"


def test_equal_networks_have_no_lines() -> None:
    assert describe_difference(resnet_spec.analyze(BLOCK), resnet_spec.analyze(BLOCK)) == ()


def test_weights_that_fit_are_not_compared(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = write(tmp_path / "w.safetensors", [])
    monkeypatch.setattr(loading, "read_network", lambda *_: pytest.fail("compiled"))
    assert resnet_spec.build(BLOCK, weights=file) is not None
