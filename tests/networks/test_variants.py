"""The tutorials' networks against plain torch modules with the names their authors published: strict loading, equal outputs."""

from __future__ import annotations

import pytest
import torch

import resnet_spec
from resnet_spec.language.library import shipped_names
from tests.networks.handwritten import NETWORKS

pytestmark = [pytest.mark.torch, pytest.mark.slow]


@pytest.mark.parametrize("name", NETWORKS)
def test_a_readers_checkpoint_loads_strictly_and_computes_the_same(name: str) -> None:
    torch.manual_seed(0)
    theirs = NETWORKS[name]()
    analysis = resnet_spec.analyze(f"variants/{name}")
    ours = resnet_spec.build(analysis, initialize=False)
    ours.load_state_dict(theirs.state_dict(), strict=True)
    theirs.load_state_dict(ours.state_dict(), strict=True)
    size = analysis.input if (64, 64) not in analysis.accepted else (3, 64, 64)
    if "1202" in name:
        size = (3, 8, 8)
    x = torch.randn(2, *size)
    for training in (False, True):
        with torch.no_grad():
            assert torch.equal(ours.train(training)(x), theirs.train(training)(x)), f"training={training}"


def test_every_variant_is_compared() -> None:
    shipped = {name.removeprefix("variants/") for name in shipped_names() if name.startswith("variants/")}
    assert shipped == set(NETWORKS)
