"""Networks of many families give no false warnings: each has patterns of its paper that a rule could mistake."""

from __future__ import annotations

from pathlib import Path

import pytest

import resnet_spec

FAMILIES = sorted((Path(__file__).parent / "families").glob("*.yaml"))
# True of the networks as published: some have one size, and early ones see a part of the image.
DESERVED = {
    "acnet": {"unread-pixels"},
    "alexnet": {"small-receptive-field"},
    "gate_with_norm": {"small-receptive-field"},
    "inception_v3_blocks": {"small-receptive-field"},
    "iresnet": {"fixed-input-size"},
    "lenet5": {"redundant-bias", "fixed-input-size"},
    "squeezenet": {"small-receptive-field"},
    "two_kernels": {"relu-before-sum"},
}


@pytest.mark.parametrize("path", FAMILIES, ids=lambda path: path.stem)
def test_a_family_gives_those_it_deserves(path: Path) -> None:
    analysis = resnet_spec.analyze(path)
    assert analysis.warnings == ()
    assert {finding.code for finding in analysis.lints} == DESERVED.get(path.stem, set())
