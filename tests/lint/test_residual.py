"""Rules about residual blocks."""

from __future__ import annotations

import pytest

from tests.lint.examples import find, marked, only, spec

STEM = """
stem:
  conv: {op: conv2d, out_channels: 16, kernel_size: 3, padding: 1, bias: false}
  bn: norm
  relu: act
"""
BRANCH = """
    branch:
      conv1: {op: conv2d, out_channels: width, kernel_size: 3, stride: stride, padding: 1, bias: false}
      bn1: norm
      relu1: act
      conv2: {op: conv2d, out_channels: width, kernel_size: 3, padding: 1, bias: false}
      bn2: norm"""
PRE = """
    branch:
      norm1: norm
      act1: act
      conv1: {op: conv2d, out_channels: width, kernel_size: 3, stride: stride, padding: 1, bias: false}
      norm2: norm
      act2: act
      conv2: {op: conv2d, out_channels: width, kernel_size: 3, padding: 1, bias: false}"""
ALWAYS = "{down: {op: projection, width: width, stride: stride}}"
WHERE_NEEDED = "{down: {op: projection, if: stride != 1 or in_channels != width, width: width, stride: stride}}"
TWO = "{one: {width: 16, depth: 3}, two: {width: 32, depth: 2, stride: 2}}"
FINAL = """
head:
  norm: norm
  act: act
  avgpool: {op: adaptive_avg_pool2d, output_size: 1}
  flatten: flatten
  fc: {op: linear, out_features: classes}
"""


def network(shortcut: str, more: str = "", branch: str = BRANCH, stages: str = TWO, after: str = "{relu2: act}") -> str:
    block = f"  res:\n    args: [width]\n    defaults: {{stride: 1}}{more}{branch}\n    shortcut: {shortcut}\n    join: add\n"
    block += f"    after: {after}\n" if after else ""
    return spec(f"{STEM}blocks:\n{block}block: res\nstages: {stages}")


@pytest.mark.parametrize(
    ("more", "condition"),
    [("\n    out_channels: width", "stride != 1 or in_channels != out_channels"), ("", "first")],
)
def test_every_block_of_a_stage_projects(more: str, condition: str) -> None:
    finding = only(network(ALWAYS, more), "needless-projection")
    assert marked(finding) == "down"
    assert f"`if: {condition}` in `down`" in finding.help
    assert "288 parameters" in finding.help  # 16 * 16 weights, and the norm's 16 scales and 16 shifts


@pytest.mark.parametrize("shortcut", [WHERE_NEEDED, "{down: {op: projection, if: first, width: width, stride: stride}}"])
def test_projections_where_a_stage_begins(shortcut: str) -> None:
    assert find(network(shortcut), "needless-projection") == []


def test_the_librarys_block_that_always_projects() -> None:
    text = spec(f"{STEM}block: {{op: basic, project: true}}\nstages: {TWO}")
    assert only(text, "needless-projection").help.startswith("leave out `project`")
    assert find(text.replace(", project: true", ""), "needless-projection") == []


def test_stages_of_one_block_may_project() -> None:
    assert find(network(ALWAYS, stages="{one: {width: 16}, two: {width: 16}}"), "needless-projection") == []


def test_parallel_convolutions_without_an_activation_are_no_residual_blocks() -> None:
    """RepVGG (Ding et al. 2021) adds a 3x3 and a 1x1 convolution, and a norm, in each block."""
    branch = "\n    branch: {c: {op: conv2d, out_channels: width, kernel_size: 3, padding: 1, stride: stride}, n: norm}"
    assert find(network(ALWAYS, branch=branch), "needless-projection") == []
    assert (
        find(
            network("{n2: {op: norm, if: not first}}", branch=branch, stages="{one: {width: 16, depth: 3}}"), "altered-identity"
        )
        == []
    )


@pytest.mark.parametrize("operation", ["norm", "act"])
def test_a_norm_or_an_activation_on_the_shortcut(operation: str) -> None:
    text = network(f"{{extra: {operation}}}", stages="{one: {width: 16, depth: 3}}")
    finding = only(text, "altered-identity")
    assert marked(finding) == "extra"


def test_a_batch_norm_after_the_sum() -> None:
    text = network(WHERE_NEEDED, after="{bn3: norm, relu2: act}")
    assert marked(only(text, "altered-identity")) == "bn3"


@pytest.mark.parametrize(
    "text",
    [
        network(WHERE_NEEDED),
        network("{}", stages="{one: {width: 16, depth: 3}}"),
        network("{extra: {op: act, if: first}}", stages="{one: {width: 16, depth: 3}}"),
        network("{extra: {op: drop_path, p: 0.1}}", stages="{one: {width: 16, depth: 3}}"),
        network(WHERE_NEEDED, after="{ln: layer_norm, relu2: act}"),
        network(WHERE_NEEDED, branch=PRE, after="").replace("\nhead:", "\nhead:\n  norm: norm"),
    ],
)
def test_identity_paths_that_are_free(text: str) -> None:
    assert find(text, "altered-identity") == []


def test_a_pre_activation_network_without_a_final_norm() -> None:
    text = network(WHERE_NEEDED, branch=PRE, after="")
    assert marked(only(text, "no-final-norm")) == "avgpool"
    head = text.index("\nhead:")
    assert find(text[:head] + FINAL, "no-final-norm") == []


@pytest.mark.parametrize("text", [network(WHERE_NEEDED), network(WHERE_NEEDED, branch=PRE + "\n      norm3: norm", after="")])
def test_blocks_that_normalize_their_output_need_no_final_norm(text: str) -> None:
    assert find(text, "no-final-norm") == []


def test_features_without_a_classifier_need_no_final_norm() -> None:
    text = network(WHERE_NEEDED, branch=PRE, after="")
    assert find(text[: text.index("\nhead:")] + "\n", "no-final-norm") == []


BOTTLENECK = """
blocks:
  bottleneck: {extends: bottleneck, branch: {conv1: {stride: stride}, conv2: {stride: 1}}}
"""


def test_a_stride_on_the_first_1x1_on_request() -> None:
    network = "spec: 1\nname: mine\nextends: resnet50\n"
    code = "stride-on-first-1x1"
    assert marked(only(network + BOTTLENECK, code, select=True)) == "conv1"
    assert find(network, code, select=True) == []
    assert find(network + BOTTLENECK, code) == []


def test_a_projection_with_a_stride_on_request() -> None:
    code = "strided-projection"
    finding = only("spec: 1\nname: mine\nextends: resnet50\n", code, select=True)
    assert "1 pixel in 4" in finding.message
    assert find("spec: 1\nname: mine\nextends: [resnet50, mixins/d]\n", code, select=True) == []
    assert find("spec: 1\nname: mine\nextends: resnet50\n", code) == []


def test_a_value_that_others_read_too_is_no_branch() -> None:
    """As the branches of HRNet, to which those of other resolutions are added; the sum may become smaller."""
    more = "  other: {op: conv2d, from: relu, out_channels: 16, kernel_size: 1}\n  total: {op: add, from: [other, relu]}\n"
    assert find(spec(f"{STEM}stages:\n{more}"), "relu-before-sum") == []
    again = "  last: {op: relu}\n  sum: {op: add, from: [other, last]}\n"
    assert marked(only(spec(f"{STEM}stages:\n{more.splitlines()[0]}\n{again}"), "relu-before-sum")) == "last"
