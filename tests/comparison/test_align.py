"""Which part of one network is which of another."""

from __future__ import annotations

import time

import pytest

from resnet_spec import analyze
from resnet_spec.comparison.align import Alignment, align
from resnet_spec.graph.model import Graph
from resnet_spec.language.library import shipped_names

SE = "spec: 1\nextends: [{base}, mixins/se]\n"


def named(first: Graph, second: Graph) -> dict[str, str]:
    return {first.nodes[one].name: second.nodes[other].name for one, other in align(first, second).nodes}


def check_form(first: Graph, second: Graph, found: Alignment) -> None:
    """Each part has at most one partner, of its own kind; operations at the top keep their order."""
    for pairs, one, other in (
        (found.nodes, len(first.nodes), len(second.nodes)),
        (found.regions, len(first.regions), len(second.regions)),
    ):
        assert len({a for a, _ in pairs}) == len({b for _, b in pairs}) == len(pairs)
        assert all(0 <= a < one and 0 <= b < other for a, b in pairs)
    assert all(first.regions[a].kind == second.regions[b].kind for a, b in found.regions)
    assert [b for _, b in found.nodes] == sorted(b for _, b in found.nodes)


@pytest.mark.parametrize("name", ["resnet50", "cifar_resnet20", "torchvision/inception_v3", "examples/unet", "timm/resnest14d"])
def test_a_network_is_paired_with_itself(name: str) -> None:
    graph = analyze(name).graph
    found = align(graph, graph)
    assert found.nodes == tuple((at, at) for at in range(len(graph.nodes)))
    assert found.regions == tuple((at, at) for at in range(len(graph.regions)))


def test_a_deeper_stage_keeps_its_first_blocks() -> None:
    shallow, deep = analyze("resnet50").graph, analyze("resnet101").graph
    assert named(shallow, deep) == {node.name: node.name for node in shallow.nodes}
    assert align(deep, shallow) == align(shallow, deep).mirrored()


LAST = """
spec: 1
name: x
input: 3x32x32
blocks:
  b:
    args: [width]
    out_channels: width
    branch:
      conv: {op: conv2d, out_channels: width, kernel_size: 3, padding: 1}
      pool: {op: max_pool2d, if: block_index == block_count - 1, kernel_size: 2}
stages: {s: {block: b, width: 8, depth: %d}}
"""


def test_a_last_block_of_another_structure_stays_the_last() -> None:
    pairs = named(analyze(LAST % 3).graph, analyze(LAST % 6).graph)
    assert pairs == {"s.0.conv": "s.0.conv", "s.1.conv": "s.1.conv", "s.2.conv": "s.5.conv", "s.2.pool": "s.5.pool"}


def test_other_names_of_the_same_structure() -> None:
    first, second = analyze("cifar_resnet20").graph, analyze("variants/cifar_resnet20_projection").graph
    pairs = named(first, second)
    assert (pairs["conv1"], pairs["bn1"], pairs["relu"]) == ("conv1.0", "conv1.1", "conv1.2")
    assert pairs["layer2.1.conv2"] == "conv3_x.1.conv2"
    assert {node.name for node in first.nodes} - pairs.keys() == {
        f"layer{stage}.0.{name}" for stage in (2, 3) for name in ("subsample", "widen")
    }


def test_stages_of_other_names_are_paired_in_order() -> None:
    text = "spec: 1\nname: x\ninput: 3x32x32\nblock: basic\nstages: {%s: {width: 8}, %s: {width: 16, stride: 2}}\n"
    pairs = named(analyze(text % ("a", "b")).graph, analyze(text % ("left", "right")).graph)
    assert pairs == {name: name.replace("a.", "left.", 1).replace("b.", "right.", 1) for name in pairs}
    assert len(pairs) == 2 * 9


def test_inserted_operations_have_no_partner() -> None:
    first, second = analyze("resnet50").graph, analyze(SE.format(base="resnet50")).graph
    assert named(first, second) == {node.name: node.name for node in first.nodes}
    partners = {other for _, other in align(first, second).nodes}
    assert all(".se." in node.name for at, node in enumerate(second.nodes) if at not in partners)


def test_another_width_and_another_activation_change_no_pair() -> None:
    first = analyze("resnet18").graph
    for change in (["act=silu"], ["stages.layer2.width=48"], ["norm={op: group_norm, num_groups: 4}"]):
        second = analyze("resnet18", set=change).graph
        assert len(named(first, second)) == len(second.nodes)


def test_a_nested_block_may_be_written_out() -> None:
    """ResNeSt's shortcut is a sequence of its block, ResNet's a block of its own."""
    pairs = named(analyze("resnet50").graph, analyze("timm/resnest14d").graph)
    assert pairs["layer1.0.conv3"] == "layer1.0.conv3"
    assert pairs["layer1.0.downsample.0"] == "layer1.0.downsample.1"


@pytest.mark.parametrize("name", shipped_names())
def test_any_two_networks_can_be_paired(name: str) -> None:
    first = analyze(name).graph
    for other in ("resnet18", "torchvision/convnext_tiny"):
        second = analyze(other).graph
        check_form(first, second, align(first, second))


def test_large_networks_take_little_time() -> None:
    large = analyze("cifar_resnet1202").graph
    others = [analyze("cifar_resnet110").graph, analyze("variants/cifar_resnet1202_projection").graph]
    start = time.process_time()
    found = [align(large, other) for other in others]
    assert time.process_time() - start < 2
    assert [len(pairs.nodes) for pairs in found] == [len(others[0].nodes), len(others[1].nodes) - 4]
