"""One block of a network alone: it is the block of the library with the same arguments, and torch's submodule."""

from __future__ import annotations

from pathlib import Path

import pytest

import resnet_spec
from resnet_spec import compiler
from resnet_spec.analysis.cost import count
from resnet_spec.analysis.shapes import infer
from resnet_spec.analysis.single_block import take_block
from resnet_spec.analysis.sized import SizedGraph
from resnet_spec.graph.model import Region, tree
from resnet_spec.graph.verify import verify
from tests.interpreter import interpret
from tests.networks import different_networks

ZOO = Path(__file__).parent.parent / "networks" / "zoo"

OWN = """
spec: 1
name: own
input: 3x32x32
classes: 10
blocks:
  wide:
    args: [width]
    branch:
      conv: {op: conv2d, out_channels: width * (1 + stage_index), kernel_size: 3, padding: 1}
      se: {op: squeeze_excite, if: not first}
  unused: {branch: {relu: relu}}
  empty: {branch: {relu: {op: relu, if: false}}}
  dense: {args: [width], branch: {fc: {op: linear, out_features: width}, relu: relu}}
stages:
  a: {block: wide, width: 8, depth: 2}
  e: {op: empty}
  b: {block: wide, width: 8, depth: 2}
head:
  pool: {op: adaptive_avg_pool2d, output_size: 1}
  flatten: flatten
  d: {op: dense, width: 7}
  fc: {op: linear, out_features: classes}
"""


def network(spec: str, input: str | None = None) -> SizedGraph:
    return resnet_spec.analyze(spec, input=input).sized


def blocks_of(sized: SizedGraph) -> list[Region]:
    return [region for region in sized.graph.regions if region.kind == "block"]


def content(sized: SizedGraph, prefix: str) -> list[object]:
    """The operations with their connections, shapes and costs, by their names after a prefix."""
    graph = sized.graph
    assert all(node.name.startswith(prefix) for node in graph.nodes)
    named = [(node.name.removeprefix(prefix), node.op, node.inputs, node.init) for node in graph.nodes]
    return [sized.input, sized.output, list(zip(named, sized.shapes, sized.costs, strict=True))]


@pytest.mark.parametrize(
    ("spec", "name", "input", "arguments"),
    [
        ("resnet50", "bottleneck", "64x56x56", ["width=64"]),
        ("resnet50", "layer2.0", "256x56x56", ["width=128", "stride=2"]),
        ("resnet50", "layer4.2", "2048x7x7", ["width=512"]),
        ("resnet18", "basic", "64x56x56", ["width=64"]),
        ("plain18", "plain", "64x56x56", ["width=64"]),
    ],
)
def test_a_block_of_a_network_is_that_of_the_library_with_its_arguments(
    spec: str, name: str, input: str, arguments: list[str]
) -> None:
    alone = take_block(network(spec), name).sized
    (region, *_) = alone.graph.regions
    library = resnet_spec.analyze(f"block:{region.label}", input=input, set=arguments).sized
    assert content(alone, f"{region.name}.") == content(library, f"{region.label}.")


@pytest.mark.parametrize("name", [*different_networks(), *(str(path) for path in sorted(ZOO.glob("*.yaml")))])
def test_every_block_of_every_network_is_a_network(name: str) -> None:
    sized = network(name)
    blocks = blocks_of(sized)
    for label in dict.fromkeys(block.label for block in blocks):
        first = next(block for block in blocks if block.label == label)
        alone = take_block(sized, label).sized
        verify(alone.graph)
        assert infer(alone.graph, alone.input) == alone.shapes
        assert count(alone.graph, alone.shapes) == alone.costs
        assert alone.input == sized.shape_of(first.input)
        assert alone.output == sized.shape_of(first.output)
        (item,) = tree(alone.graph)
        assert (item.name, item.start, item.stop) == (first.name, 0, first.stop - first.start)


def test_another_input_size_is_that_of_the_network() -> None:
    assert take_block(network("resnet50", "3x448x448"), "layer2.0").sized.input == (256, 112, 112)


def test_facts_of_the_position_are_those_of_the_use() -> None:
    sized = network(OWN)
    assert take_block(sized, "wide").sized.output == (8, 32, 32)
    assert take_block(sized, "b.1").sized.output == (16, 32, 32)
    assert take_block(sized, "squeeze_excite").sized.graph.nodes[0].name == "a.1.se.pool"


def test_a_block_without_operations_and_a_block_of_a_vector_are_blocks() -> None:
    sized = network(OWN)
    empty, dense = take_block(sized, "empty").sized, take_block(sized, "dense").sized
    assert (empty.graph.nodes, empty.input, empty.output) == ((), (8, 32, 32), (8, 32, 32))
    assert (dense.input, dense.output, dense.total().params) == ((16,), (7,), 16 * 7 + 7)


@pytest.mark.parametrize(
    ("name", "help"),
    [
        ("unused", "known here: `wide`, `squeeze_excite`, `empty`, `dense`"),
        ("wild", "did you mean `wide`?"),
        ("a", "known here: `wide`, `squeeze_excite`, `empty`, `dense`"),
    ],
)
def test_a_block_that_the_network_does_not_use_is_an_error(name: str, help: str) -> None:
    with pytest.raises(resnet_spec.ArgumentError) as caught:
        take_block(network(OWN), name)
    (finding,) = caught.value.diagnostics
    assert (finding.code, finding.message) == ("unknown-block", f"`own` does not use a block `{name}`")
    assert finding.help == help


def test_a_network_without_blocks_has_none() -> None:
    spec = {"spec": 1, "name": "x", "input": "3x8x8", "stem": {"r": "relu"}}
    with pytest.raises(resnet_spec.ArgumentError) as caught:
        take_block(resnet_spec.analyze(spec).sized, "basic")
    assert caught.value.diagnostics[0].help == "there is no block in it"


BROKEN = "spec: 1\nname: broken\nextends: resnet50\nstages: {layer3: {block: {project: false}}}\n"


def test_a_broken_block_keeps_its_conflict_and_others_have_none() -> None:
    sketch = compiler.sketch(compiler.find(BROKEN))
    first = take_block(sketch.sized, "bottleneck", sketch.broken)
    assert first.broken == ()
    third = take_block(sketch.sized, "layer3.0", sketch.broken)
    (conflict,) = third.broken
    names = [node.name for node in third.sized.graph.nodes]
    assert conflict.name == "layer3.0.join"
    assert [-1 if value == -1 else names[value] for value in conflict.inputs] == [-1, "layer3.0.bn3"]
    with pytest.raises(resnet_spec.ArgumentError, match="the part of `broken` that works does not use a block"):
        take_block(sketch.sized, "layer4.0", sketch.broken)


@pytest.mark.torch
@pytest.mark.parametrize("name", ["layer1.0", "layer2.0", "layer2.1"])
def test_it_computes_what_the_block_computes_in_the_network(name: str) -> None:
    import torch

    analysis = resnet_spec.analyze("cifar_resnet20")
    torch.manual_seed(0)
    whole = resnet_spec.build(analysis).eval()
    (block,) = [region for region in analysis.graph.regions if region.name == name]
    alone = take_block(analysis.sized, name).sized
    with torch.no_grad():
        values = interpret(analysis.graph, whole, torch.randn(2, 3, 32, 32))
        found = interpret(alone.graph, whole, values[block.input])
    assert torch.equal(found[alone.graph.output], values[block.output])
