"""The networks of CIFAR and MNIST against modules written by hand: keys, shapes, figures, and for the small ones bits."""

from __future__ import annotations

import re
from collections.abc import Iterable

import pytest
import torch
from torch import nn

import resnet_spec
from resnet_spec.language.library import shipped_names
from resnet_spec.training.recipe import read_recipe
from tests.measure import measure
from tests.networks import SMALL_IMAGES
from tests.networks.references import draw_state, run
from tests.networks.small_images import NETWORKS, PreActivation, PreBottleneck
from tests.networks.test_reference_networks import assert_same, gradients

pytestmark = pytest.mark.torch

# What the papers print, in millions; the specs have the exact count.
PAPERS = {
    "cifar/preact_resnet110": 1.7,
    "cifar/preact_resnet164": 1.7,
    "cifar/preact_resnet1001": 10.2,
    "cifar/wrn_16_4": 2.7,
    "cifar/wrn_28_10": 36.5,
    "cifar/wrn_40_4": 8.9,
    "cifar/resnext29_8x64d": 34.4,
    "cifar/resnext29_16x64d": 68.1,
    "cifar/densenet_bc_100_12": 0.8,
    "cifar/densenet_bc_190_40": 25.6,
}
# The well-known counts of implementations
COUNTS = {"cifar/resnet18_32px": 11_173_962, "cifar/wrn_28_10": 36_479_194, "mnist/lenet5": 61_706}
QUICK = ("cifar/wrn_16_4", "cifar/resnet18_32px", "cifar/vgg16_bn_32px", "mnist/lenet5")
SMALL = ["cifar/preact_resnet110", "cifar/preact_resnet164", "cifar/densenet_bc_100_12", *QUICK]


def test_every_network_for_small_images_is_compared() -> None:
    assert {name for name in shipped_names() if name.startswith(SMALL_IMAGES)} == set(NETWORKS)


def on_meta(name: str) -> nn.Module:
    with torch.device("meta"):
        return NETWORKS[name]()


def with_slow(names: Iterable[str]) -> list[object]:
    return [pytest.param(name, marks=[] if name in QUICK else [pytest.mark.slow]) for name in names]


@pytest.mark.parametrize("name", with_slow(name for name in NETWORKS if "1001" not in name))
def test_figures_are_those_of_the_module(name: str) -> None:
    analysis = resnet_spec.analyze(name)
    found, expect = measure(on_meta(name), analysis.input), analysis.spec.expect
    assert expect is not None
    assert expect.output == found.output
    assert expect.counts == {"params": found.params, "buffers": found.buffers, "macs": found.macs}


def test_figures_of_1001_layers_are_those_of_one_block_a_stage_and_110_times_what_the_second_adds() -> None:
    expect = resnet_spec.analyze("cifar/preact_resnet1001").spec.expect
    assert expect is not None
    with torch.device("meta"):
        one, two = (measure(PreActivation(PreBottleneck, n), (3, 32, 32)) for n in (1, 2))
    found = {key: getattr(one, key) + 110 * (getattr(two, key) - getattr(one, key)) for key in ("params", "buffers", "macs")}
    assert expect.counts == found


@pytest.mark.parametrize("name", PAPERS)
def test_parameters_are_those_of_the_paper(name: str) -> None:
    """Within the paper's last digit and a half: 10.33M is printed as 10.2M, and 68.16M as 68.1M."""
    analysis = resnet_spec.analyze(name)
    assert analysis.total.params / 1e6 == pytest.approx(PAPERS[name], abs=0.15)
    assert f"{PAPERS[name]:g}M parameters" in str(analysis.spec.about)


@pytest.mark.parametrize("name", COUNTS)
def test_parameters_are_those_that_are_known(name: str) -> None:
    assert resnet_spec.analyze(name).total.params == COUNTS[name]


@pytest.mark.parametrize("name", [name for name in NETWORKS if re.search("preact|wrn|dense", name)])
def test_the_depth_is_that_of_the_name(name: str) -> None:
    """Convolutions and linear layers without projections; for WRNs, convolutions with projections (6n + 4)."""
    counted = ("conv2d",) if "wrn" in name else ("conv2d", "linear")
    layers = [node.name for node in resnet_spec.analyze(name).graph.nodes if node.op.name in counted]
    depth = re.search(r"\d+", name)
    assert depth is not None
    assert len([each for each in layers if not each.endswith("downsample")]) == int(depth[0])


@pytest.mark.slow
@pytest.mark.parametrize("name", SMALL)
def test_outputs_gradients_and_statistics_are_the_same_bits(name: str) -> None:
    analysis = resnet_spec.analyze(name)
    torch.manual_seed(0)
    theirs = NETWORKS[name]()
    draw_state(theirs)
    ours = resnet_spec.build(analysis, initialize=False)
    ours.load_state_dict(theirs.state_dict(), strict=True)
    x = torch.randn(2, *analysis.input, generator=torch.manual_seed(1))
    for training in (False, True):
        expected, found = (run(model, x, (), training) for model in (theirs, ours))
        assert_same(expected, found, f"outputs, training={training}")
        if training:
            assert_same(gradients(theirs, expected), gradients(ours, found), "gradients")
    assert_same(theirs.state_dict(), ours.state_dict(), "statistics after training")


@pytest.mark.parametrize("name", NETWORKS)
def test_each_names_a_recipe_that_has_its_own_size(name: str) -> None:
    spec = resnet_spec.analyze(name).spec
    assert spec.recipe is not None
    recipe = read_recipe(spec.recipe)
    assert recipe.resize is None
    assert spec.recipe == "mnist" or recipe.augment.crop == 4


def test_a_wide_resnet_takes_dropout() -> None:
    analysis = resnet_spec.analyze("cifar/wrn_16_4", set={"params.dropout": 0.3})
    drops = [node for node in analysis.graph.nodes if node.op.name == "dropout"]
    assert len(drops) == 6
    assert analysis.total == resnet_spec.analyze("cifar/wrn_16_4").total
