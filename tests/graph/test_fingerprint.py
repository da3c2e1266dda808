"""What a fingerprint tells apart, and what it does not."""

from __future__ import annotations

import pytest

import resnet_spec

BASE = resnet_spec.analyze("resnet50").fingerprint


@pytest.mark.parametrize(
    "change",
    [
        "stem.bn1={op: norm, eps: 1e-3}",
        "stem.maxpool.ceil_mode=true",
        "stages.layer3.depth=5",
        "act=silu",
        "classes=999",
        "blocks.bottleneck.branch.conv1.stride=stride",
        "stem.conv1.padding_mode=reflect",
    ],
)
def test_another_computation_has_another_fingerprint(change: str) -> None:
    changes = [change]
    if change.startswith("blocks"):  # the same keys and shapes: the stride on the 1x1, not on the 3x3
        changes.append("blocks.bottleneck.branch.conv2.stride=1")
    changed = resnet_spec.analyze("resnet50", set=changes)
    if change.startswith("blocks"):
        assert changed.total == changed.total
        assert [node.name for node in changed.graph.nodes] == [
            node.name for node in resnet_spec.analyze("resnet50").graph.nodes
        ]
    assert changed.fingerprint != BASE


@pytest.mark.parametrize(
    "change", ["name=other", "about=words", "input=3x192x160", "init=xavier_uniform", "stem.maxpool.ceil_mode=false"]
)
def test_what_changes_no_computation_changes_no_fingerprint(change: str) -> None:
    assert resnet_spec.analyze("resnet50", set=[change]).fingerprint == BASE


def test_the_fingerprint_has_a_version_and_stays() -> None:
    """A checkpoint written today must be recognised tomorrow: this value may only change together with its version."""
    assert BASE.startswith("rs1:")
    assert len(BASE) == 4 + 32
    assert resnet_spec.analyze("cifar_resnet20").fingerprint == "rs1:7df0d44661b36361385e68baa89ba107"
