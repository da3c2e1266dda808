"""The figures of every shipped network, from a table made on independent hand-written modules, and from the papers.

Each figure is checked twice: on the static analysis, and on the module that is built from it.
"""

from __future__ import annotations

from functools import cache

import pytest

import resnet_spec
from resnet_spec.language.library import shipped_names
from tests.measure import Measured, measure
from tests.networks import REFERENCED, SMALL_IMAGES

pytestmark = pytest.mark.torch

IMAGENET, CIFAR = (3, 224, 224), (3, 32, 32)
# name: input, output, parameters, buffer values, multiply-adds, conv2d layers
TABLE: dict[str, tuple[tuple[int, int, int], tuple[int, ...], int, int, int, int]] = {
    "resnet18": (IMAGENET, (1000,), 11_689_512, 9_620, 1_814_073_344, 20),
    "resnet34": (IMAGENET, (1000,), 21_797_672, 17_060, 3_663_761_408, 36),
    "resnet50": (IMAGENET, (1000,), 25_557_032, 53_173, 4_089_184_256, 53),
    "resnet101": (IMAGENET, (1000,), 44_549_160, 105_448, 7_801_405_440, 104),
    "resnet152": (IMAGENET, (1000,), 60_192_808, 151_579, 11_513_626_624, 155),
    "cifar_resnet20": (CIFAR, (10,), 269_722, 1_395, 40_551_040, 19),
    "cifar_resnet32": (CIFAR, (10,), 464_154, 2_303, 68_862_592, 31),
    "cifar_resnet44": (CIFAR, (10,), 658_586, 3_211, 97_174_144, 43),
    "cifar_resnet56": (CIFAR, (10,), 853_018, 4_119, 125_485_696, 55),
    "cifar_resnet110": (CIFAR, (10,), 1_727_962, 8_205, 252_887_680, 109),
    "cifar_resnet1202": (CIFAR, (10,), 19_421_274, 90_833, 2_829_238_912, 1201),
    "pokemon_resnet18": (IMAGENET, (5,), 1_234_885, 2_925, 29_973_952, 13),
    "variants/resnet18_biased_shortcut": (IMAGENET, (1000,), 11_690_408, 9_620, 1_814_073_344, 20),
    "variants/resnet34_biased_shortcut": (IMAGENET, (1000,), 21_798_568, 17_060, 3_663_761_408, 36),
    "variants/resnet50_biased_shortcut": (IMAGENET, (1000,), 25_560_872, 53_173, 4_089_184_256, 53),
    "variants/resnet101_biased_shortcut": (IMAGENET, (1000,), 44_553_000, 105_448, 7_801_405_440, 104),
    "variants/resnet152_biased_shortcut": (IMAGENET, (1000,), 60_196_648, 151_579, 11_513_626_624, 155),
    "variants/cifar_resnet20_projection": (CIFAR, (10,), 272_570, 1_589, 40_813_184, 21),
    "variants/cifar_resnet32_projection": (CIFAR, (10,), 467_002, 2_497, 69_124_736, 33),
    "variants/cifar_resnet44_projection": (CIFAR, (10,), 661_434, 3_405, 97_436_288, 45),
    "variants/cifar_resnet56_projection": (CIFAR, (10,), 855_866, 4_313, 125_747_840, 57),
    "variants/cifar_resnet110_projection": (CIFAR, (10,), 1_730_810, 8_399, 253_149_824, 111),
    "variants/cifar_resnet1202_projection": (CIFAR, (10,), 19_424_122, 91_027, 2_829_501_056, 1203),
    "variants/resnet34_avgpool7": (IMAGENET, (1000,), 21_797_672, 17_060, 3_663_761_408, 36),
    "variants/resnet34_wide_stages": (IMAGENET, (1000,), 47_505_960, 27_045, 12_231_413_760, 37),
    "variants/resnet18_96px": ((3, 96, 96), (10,), 11_180_810, 7_825, 323_552_960, 20),
}
# He et al. 2016, Table 6: parameters in millions
PAPER = {20: "0.27", 32: "0.46", 44: "0.66", 56: "0.85", 110: "1.7", 1202: "19.4"}
# networks without a row above: what is theirs is said by a relation to one that has
UNLISTED = {"plain18": "resnet18", "plain34": "resnet34"}


@cache
def measured(name: str) -> Measured:
    """The module at work; on CIFAR's small images torch computes in less time than its meta device takes for the shapes."""
    analysis = resnet_spec.analyze(name)
    device = "cpu" if "cifar" in name else "meta"
    return measure(resnet_spec.build(analysis, device=device), analysis.input, batch=2, device=device)


@pytest.mark.parametrize("name", TABLE)
def test_the_analysis_has_the_figures_of_the_table(name: str) -> None:
    size, output, params, buffers, macs, convs = TABLE[name]
    analysis = resnet_spec.analyze(name)
    assert analysis.input == size
    assert analysis.output == output
    assert (analysis.total.params, analysis.total.buffers, analysis.total.macs) == (params, buffers, macs)
    assert sum(1 for node in analysis.graph.nodes if node.op.name == "conv2d") == convs


@pytest.mark.parametrize("name", TABLE)
def test_the_module_has_the_figures_of_the_table(name: str) -> None:
    _, output, params, buffers, macs, convs = TABLE[name]
    found = measured(name)
    assert (found.output, found.params, found.buffers, found.macs, found.convs) == (output, params, buffers, macs, convs)


@pytest.mark.parametrize("name", [*TABLE, *UNLISTED])
def test_every_layer_has_the_shape_that_torch_gives(name: str) -> None:
    analysis = resnet_spec.analyze(name)
    layers = measured(name).layers
    assert [layers.get(node.name) for node in analysis.graph.nodes] == list(analysis.shapes)


def test_every_shipped_network_is_in_a_table() -> None:
    shipped = {name for name in shipped_names() if not name.startswith((*REFERENCED, *SMALL_IMAGES))}
    assert shipped == set(TABLE) | set(UNLISTED)


@pytest.mark.parametrize("depth", PAPER)
def test_cifar_resnets_have_the_depth_and_size_of_the_paper(depth: int) -> None:
    """6n + 2 layers with weights (section 4.2), without those of projections, and as many parameters as Table 6 says."""
    found = measured(f"cifar_resnet{depth}")
    assert found.convs + found.linears == depth
    assert (depth - 2) % 6 == 0
    assert f"{found.params / 1e6:.{len(PAPER[depth].partition('.')[2])}f}" == PAPER[depth]


@pytest.mark.parametrize(
    ("name", "depth", "projections", "flops"),
    [
        ("resnet18", 18, 3, 1.8),
        ("resnet34", 34, 3, 3.6),
        ("resnet50", 50, 4, 3.8),
        ("resnet101", 101, 4, 7.6),
        ("resnet152", 152, 4, 11.3),
    ],
)
def test_imagenet_resnets_have_the_depth_and_cost_of_the_paper(name: str, depth: int, projections: int, flops: float) -> None:
    """He et al. 2016, Table 1. Its FLOPs are for the stride on the 1x1; torchvision's 3x3 costs a little more."""
    found = measured(name)
    assert found.convs + found.linears - projections == depth
    assert flops - 0.05 < found.macs / 1e9 < flops + 0.35


@pytest.mark.parametrize("name", UNLISTED)
def test_a_plain_network_is_the_residual_one_without_its_projections(name: str) -> None:
    plain, residual = measured(name), measured(UNLISTED[name])
    assert residual.convs - plain.convs == 3
    projections = [(64, 128), (128, 256), (256, 512)]
    assert residual.params - plain.params == sum(a * b + 2 * b for a, b in projections)
    assert residual.macs - plain.macs == sum(a * b * n * n for (a, b), n in zip(projections, (28, 14, 7), strict=True))
    assert not [node for node in resnet_spec.analyze(name).graph.nodes if node.op.name == "add"]


@pytest.mark.parametrize("mixin", ["d", "se", "eca", "aa", "blur", "biased_shortcut"])
@pytest.mark.parametrize("base", ["resnet18", "resnet50"])
def test_a_mixin_on_a_network_is_measured_alike(mixin: str, base: str) -> None:
    analysis = resnet_spec.analyze({"spec": 1, "extends": [base, f"mixins/{mixin}"], "name": "mixed"})
    found = measure(resnet_spec.build(analysis, device="meta"), analysis.input)
    total = analysis.total
    assert (found.params, found.buffers, found.macs) == (total.params, total.buffers, total.macs)
    assert [found.layers.get(node.name) for node in analysis.graph.nodes] == list(analysis.shapes)
    assert (found.params, found.macs) != (measured(base).params, measured(base).macs) or mixin == "blur"
