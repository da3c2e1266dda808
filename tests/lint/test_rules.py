"""Warnings: the papers' networks give none, each mistake gives its own, and a comment takes one back."""

from __future__ import annotations

from pathlib import Path

import pytest

import resnet_spec
from resnet_spec.diagnostics import Diagnostic
from resnet_spec.language.library import shipped_names
from resnet_spec.lint.rules import LintContext, lint

DESERVED_BY_SHIPPED = {
    "cifar/vgg16_bn_32px": {"redundant-bias", "fixed-input-size"},
    "mnist/lenet5": {"fixed-input-size", "small-receptive-field"},
    "examples/resnet50_fpn": {"depth-in-name"},
    "timm/hrnet_w18_small": {"redundant-bias", "relu-before-sum"},
    "timm/resnest14d": {"redundant-bias", "small-receptive-field"},
    **{f"timm/{name}": {"small-receptive-field"} for name in ("resnet14t", "resnet26", "resnet26d", "resnet26t")},
    **{f"timm/{name}": {"small-receptive-field"} for name in ("seresnext26d_32x4d", "seresnext26t_32x4d")},
    **{f"timm/{name}": {"small-receptive-field"} for name in ("ecaresnet26t", "ecaresnext26t_32x4d")},
    "torchvision/alexnet": {"small-receptive-field"},
    "torchvision/squeezenet1_0": {"small-receptive-field"},
    "torchvision/squeezenet1_1": {"small-receptive-field"},
    **{f"torchvision/vgg{depth}": {"small-receptive-field"} for depth in (11, 13, 16)},
    **{f"torchvision/vgg{depth}_bn": {"redundant-bias", "small-receptive-field"} for depth in (11, 13, 16)},
    "torchvision/vgg19_bn": {"redundant-bias"},
}
CANONICAL = [
    name for name in shipped_names() if not name.startswith(("variants/", "pokemon")) and name not in DESERVED_BY_SHIPPED
]


def codes(spec: str) -> list[str]:
    return [finding.code for finding in resnet_spec.analyze(spec).lints]


def unsuppressed(name: str) -> list[Diagnostic]:
    """The warnings of a shipped spec, also those that a comment takes back."""
    analysis = resnet_spec.analyze(name)
    return lint(LintContext(analysis.spec, analysis.graph, analysis.accepted, analysis.overridden))


ZOO = sorted((Path(__file__).parent.parent / "networks" / "zoo").glob("*.yaml"))
DESERVED = {"vgg16_bn": {"redundant-bias", "small-receptive-field"}}


@pytest.mark.parametrize("path", ZOO, ids=lambda path: path.stem)
def test_the_networks_of_torchvision_and_timm_give_those_they_deserve(path: Path) -> None:
    assert set(codes(str(path))) == DESERVED.get(path.stem, set())


@pytest.mark.parametrize("name", shipped_names())
def test_a_shipped_spec_gives_none_that_is_not_known(name: str) -> None:
    """And those of the papers none at all, also without the comments that suppress some."""
    analysis = resnet_spec.analyze(name)
    assert (*analysis.warnings, *analysis.lints) == ()
    if name in CANONICAL:
        assert lint(LintContext(analysis.spec, analysis.graph, analysis.accepted, analysis.overridden)) == []


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("pokemon_resnet18", {"redundant-bias", "fixed-input-size", "depth-in-name"}),
        ("variants/resnet18_96px", {"redundant-bias", "relu-before-sum", "fixed-input-size"}),
        ("variants/resnet34_avgpool7", {"fixed-input-size"}),
        ("variants/resnet34_wide_stages", {"fixed-input-size"}),
        ("variants/resnet50_biased_shortcut", {"redundant-bias"}),
        ("variants/cifar_resnet1202_projection", {"redundant-bias"}),
        *DESERVED_BY_SHIPPED.items(),
    ],
)
def test_other_peoples_networks_give_those_they_deserve(name: str, expected: set[str]) -> None:
    assert {finding.code for finding in unsuppressed(name)} == expected


def spec(stem: str, more: str = "", name: str = "mine") -> str:
    return f"spec: 1\nname: {name}\ninput: 3x32x32\n{more}\nstem:\n{stem}\n"


CONV = "  conv: {op: conv2d, out_channels: 4, kernel_size: 3, padding: 1}\n"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (spec(CONV), []),
        (spec(CONV + "  bn: batch_norm"), ["redundant-bias"]),
        (spec(CONV + "  gn: {op: group_norm, num_groups: 2}"), []),
        (spec(CONV + "  relu: relu\n  bn: batch_norm"), []),
        (spec("  conv: {op: conv2d, out_channels: 4, kernel_size: 2, stride: 3}"), ["unread-pixels"]),
        (spec("  conv: {op: conv2d, out_channels: 4, kernel_size: 2, stride: 3, dilation: 2}"), []),
        (spec("  pool: {op: max_pool2d, kernel_size: 1, stride: 2}"), []),
        (spec("  flatten: flatten\n  fc: {op: linear, out_features: 2}"), ["fixed-input-size"]),
        (spec("  flatten: flatten"), []),
        (spec("  fc: {op: linear, out_features: 2}"), ["linear-over-width"]),
        (spec(CONV + "  pool: {op: adaptive_avg_pool2d, output_size: 1}"), ["small-receptive-field"]),
        (spec(CONV, name="resnet1"), []),
        (spec(CONV, name="my_resnet7"), ["depth-in-name"]),
        (spec(CONV, name="net7"), []),
        (spec(CONV + "  se: {op: squeeze_excite, reduction: 2}"), []),
        (spec(CONV + "  se: {op: squeeze_excite, reduction: 2}", name="resnet1"), []),
        (spec(CONV, "params: {n: 3}"), ["unused-definition"]),
        (spec(CONV, "blocks: {b: {branch: {r: relu}}}"), ["unused-definition"]),
        (spec("  b: b", "blocks: {b: {let: {half: 2}, branch: {r: relu}}}"), ["unused-definition"]),
        (spec(CONV, "params: {n: 3}  # resnet-spec: ignore[unused-definition]"), []),
        (spec(CONV, "params: {n: 3}  # resnet-spec: ignore[redundant-bias]"), ["unused-definition"]),
    ],
)
def test_each_mistake_gives_its_own(text: str, expected: list[str]) -> None:
    assert codes(text) == expected


def test_repeats_are_said_once() -> None:
    (finding,) = unsuppressed("variants/resnet152_biased_shortcut")
    assert finding.notes == ("and in 3 more places",)


@pytest.mark.parametrize("mixins", [["se"], ["d"], ["se", "d", "blur"]])
@pytest.mark.parametrize("name", ["resnet18", "resnet50"])
def test_a_mixin_gives_none(name: str, mixins: list[str]) -> None:
    extends = ", ".join([name, *(f"mixins/{mixin}" for mixin in mixins)])
    assert codes(f"spec: 1\nname: {name}\nextends: [{extends}]\n") == []


def test_a_name_says_nothing_of_what_set_makes_of_the_network() -> None:
    assert resnet_spec.analyze("resnet50", set=["stages.layer3.depth=23"]).lints == ()
