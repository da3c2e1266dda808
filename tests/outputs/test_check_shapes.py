"""`build --check-shape` finds a wrong shape rule, and says at which layer."""

from __future__ import annotations

import pytest
from click.testing import CliRunner, Result

import resnet_spec
from resnet_spec import api
from resnet_spec.cli import group
from resnet_spec.ops import OPERATIONS, Problem, Shape

pytestmark = pytest.mark.torch


def build(*arguments: str) -> Result:
    return CliRunner().invoke(group, ["build", *arguments])


def plant(monkeypatch: pytest.MonkeyPatch, name: str, axis: int = 1) -> None:
    """Make the shape rule of an operation wrong by one pixel."""
    operation = OPERATIONS[name]
    right = operation.shape

    def wrong(self: object, *inputs: Shape) -> Shape | Problem:
        shape = right(self, *inputs)  # type: ignore[arg-type]
        if isinstance(shape, Problem):
            return shape
        return (*shape[:axis], shape[axis] + 1, *shape[axis + 1 :])

    monkeypatch.setattr(operation, "shape", wrong)


def test_a_right_analysis_agrees_at_every_layer() -> None:
    result = build("resnet34", "--check-shape", "3x224x224")
    assert result.exit_code == 0, result.output
    assert "21,797,672 parameters" in result.stdout
    layers = len(resnet_spec.analyze("resnet34").graph.nodes)
    assert f"checked: torch computes the same shape at each of the {layers} layers for 1x3x224x224" in result.stdout


@pytest.mark.parametrize("size", ["3x193x251", "3x32x32", "3x1x1"])
def test_it_agrees_at_other_sizes(size: str) -> None:
    result = build("resnet34", "--check-shape", size, "--batch", "3")
    assert result.exit_code == 0, result.output
    assert f"for 3x{size}" in result.stdout


@pytest.mark.parametrize(
    "arguments", [("--check-shape", "3x226x226"), ("--set", "classes=1000"), ("--check-shape", "3x224x224")]
)
def test_a_wrong_rule_is_found_and_its_layer_named(monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...]) -> None:
    """Also at the spec's own size, where its `expect` breaks too: the layer is told first."""
    assert build("resnet34", *arguments).exit_code == 0
    plant(monkeypatch, "max_pool2d")
    result = build("resnet34", *arguments)
    assert result.exit_code == 1
    height = 58 if "226" in arguments[1] else 57
    wrong, right = f"1x64x{height}x{height - 1}", f"1x64x{height - 1}x{height - 1}"
    assert f"error[analysis-differs]: maxpool: the analysis computes {wrong}, but torch computes {right}" in result.stderr
    assert "specs/resnet34.yaml:11:3" in result.stderr
    assert "checked" not in result.stdout


def test_only_the_layers_that_differ_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    plant(monkeypatch, "adaptive_avg_pool2d", axis=2)
    analysis = resnet_spec.analyze("resnet34", set=["head.fc="])
    findings = api.check_shapes(analysis)
    assert [finding.message.partition(":")[0] for finding in findings] == ["avgpool", "flatten"]
    assert {finding.code for finding in findings} == {"analysis-differs"}


def test_a_network_that_torch_refuses_is_a_finding_and_no_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    """The analysis accepts a kernel that does not fit; torch says why not."""
    conv2d = OPERATIONS["conv2d"]
    monkeypatch.setattr(conv2d, "shape", lambda self, *inputs: (self.out_channels, 1, 1))
    analysis = resnet_spec.analyze(
        {"spec": 1, "input": "3x4x4", "stem": {"c": {"op": "conv2d", "out_channels": 2, "kernel_size": 7}}}
    )
    (finding,) = api.check_shapes(analysis)
    assert finding.code == "analysis-differs"
    assert "Kernel size can't be greater than actual input size" in finding.message
