"""The examples of the page about the language, as networks."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import resnet_spec

PAGE = (Path(__file__).parent.parent.parent / "docs" / "language.md").read_text(encoding="utf-8")
EXAMPLES: list[str] = re.findall(r"```yaml\n(.*?)```", PAGE, flags=re.DOTALL)
BLOCKS = """
  double: {args: [width], branch: {conv: {op: conv2d, out_channels: width, kernel_size: 3, padding: 1}, relu: act}}
  down: {args: [width], branch: {pool: {op: max_pool2d, kernel_size: 2}, conv: {op: double, width: width}}}
  conv_norm_act: {branch: {0: {op: conv2d, out_channels: 8, kernel_size: 1}, 1: norm, 2: act}}
"""


def example(start: str) -> str:
    (found,) = [each for each in EXAMPLES if each.startswith(start)]
    return found


@pytest.mark.parametrize(
    ("start", "before", "keys"),
    [
        ("stages:\n  enc1", "", {"enc1.conv.weight", "dec2.conv.bias"}),
        ("stem:\n  features", "block: double\n", {"features.0.0.weight", "features.2.conv.weight", "features.3.1.conv.weight"}),
    ],
)
def test_an_example_is_a_network(start: str, before: str, keys: set[str]) -> None:
    text = example(start).replace("{depth: 6,", "{width: 8, depth: 6,")
    head = f"spec: 1\ninput: 3x32x32\nclasses: 4\n{before}blocks:{BLOCKS}"
    analysis = resnet_spec.analyze(head + text)
    names = {f"{node.name}.{tensor.name}" for node in analysis.graph.nodes for tensor in node.op.tensors()}
    assert keys <= names


def test_the_names_of_the_example_are_those_in_its_comments() -> None:
    text = example("stem:\n  features").replace("{depth: 6,", "{width: 8, depth: 6,")
    analysis = resnet_spec.analyze(f"spec: 1\ninput: 3x32x32\nclasses: 4\nblock: double\nblocks:{BLOCKS}{text}")
    names = {node.name for node in analysis.graph.nodes} | {region.name for region in analysis.graph.regions}
    for name in ("features.0", "features.1", "features.2", "features.3.0", "features.3.2", "stages.0.blocks.0"):
        assert name in names
    assert {"denseblock1.denselayer1", "denseblock1.denselayer6", "classifier.1"} <= names


def test_an_absent_operation_passes_on_what_the_example_says() -> None:
    branch = "".join(f"    {line}\n" for line in example("branch:\n  left").splitlines()[1:])
    block = f"  b:\n    defaults: {{stride: 1}}\n    args: [width]\n    branch:\n{branch}      last: relu\n"
    for stride, read in ((1, "b.left"), (2, "b.down")):
        text = f"spec: 1\ninput: 4x8x8\nblocks:\n{block}stages: {{b: {{op: b, width: 2, stride: {stride}}}}}\n"
        graph = resnet_spec.analyze(text).graph
        assert graph.nodes[graph.nodes[-1].inputs[0]].name == read
