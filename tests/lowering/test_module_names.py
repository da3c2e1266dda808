"""The names of modules: groups, `numbered`, `inline`, `names` and dotted names."""

from __future__ import annotations

import pytest
import torch
from torch import nn

import resnet_spec
from resnet_spec.diagnostics import SpecError

pytestmark = pytest.mark.torch

BLOCKS = """
blocks:
  cbr:
    args: [width]
    branch: {conv: {op: conv2d, out_channels: width, kernel_size: 3, padding: 1}, relu: act}
  unit:
    numbered: true
    args: [width]
    branch: {conv: {op: conv2d, out_channels: width, kernel_size: 1, bias: false}, bn: norm, act: act}
  paths:
    branch:
      convs.0: {op: conv2d, out_channels: channels, kernel_size: 1}
      relu: relu
      convs.1: {op: conv2d, out_channels: channels, kernel_size: 1, from: convs.0}
      sum: {op: add, from: [relu, convs.1]}
"""


def keys(text: str) -> list[str]:
    """The keys of the parameters of a spec whose input is 3x8x8, in order."""
    network = resnet_spec.build(f"spec: 1\ninput: 3x8x8\n{BLOCKS}\n{text}\n", device="meta")
    return [name.removesuffix(".weight") for name, _ in network.named_parameters() if name.endswith(".weight")]


def code(text: str) -> str:
    with pytest.raises(SpecError) as caught:
        resnet_spec.analyze(f"spec: 1\ninput: 3x8x8\n{BLOCKS}\n{text}\n")
    return caught.value.diagnostics[0].code


def test_entries_of_a_numbered_group_are_counted_with_and_without_parameters_and_those_that_are_absent_are_not() -> None:
    text = """
stages:
  features:
    numbered: true
    stages:
      a: {op: conv2d, out_channels: 4, kernel_size: 1}
      b: identity
      c: {op: relu, if: 1 > 2}
      d: {op: add, from: [a, b]}
      e: {op: conv2d, out_channels: 4, kernel_size: 1}
      f: {op: unit, width: 4}
"""
    assert keys(text) == ["features.0", "features.3", "features.4.0", "features.4.1"]


def test_an_inline_stage_of_inline_blocks_puts_in_their_operations() -> None:
    text = """
block: {op: cbr, inline: true}
stages:
  features:
    numbered: true
    stages:
      s1: {width: 4, depth: 2, inline: true}
      pool: {op: max_pool2d, kernel_size: 2}
      s2: {width: 8, depth: 1, inline: true}
      last: {width: 8, depth: 1}
"""
    assert keys(text) == ["features.0", "features.2", "features.5", "features.7.conv"]


def test_a_stage_in_a_numbered_group_has_blocks_with_their_own_numbers_and_an_inline_one_shares_those_of_the_group() -> None:
    entries = "{a: {width: 4, depth: 2}, b: {width: 4, depth: 2, inline: true}}"
    text = f"block: cbr\nstages: {{blocks: {{numbered: true, stages: {entries}}}}}"
    assert keys(text) == ["blocks.0.0.conv", "blocks.0.1.conv", "blocks.1.conv", "blocks.2.conv"]


def test_a_group_may_be_opened_again_in_another_section_and_its_numbers_go_on() -> None:
    text = """
stem: {features: {numbered: true, stages: {first: {op: unit, width: 4}}}}
stages: {features: {stages: {second: {op: unit, width: 4}}}}
head: {features.third: {op: unit, width: 4}, fc: {op: conv2d, out_channels: 2, kernel_size: 1}}
"""
    first = [f"features.{number}.{part}" for number in range(3) for part in (0, 1)]
    assert keys(text) == [*first, "fc"]


def test_dotted_names_are_groups_also_inside_blocks() -> None:
    text = "stages: {stages.0.blocks: {block: cbr, width: 3, depth: 2}, stages.0.tail: paths, a-b: {op: unit, width: 3}}"
    expected = ["stages.0.blocks.0.conv", "stages.0.blocks.1.conv", "stages.0.tail.convs.0", "stages.0.tail.convs.1"]
    assert keys(text) == [*expected, "a-b.0", "a-b.1"]


def test_names_of_blocks_are_made_from_a_pattern() -> None:
    text = """
block: cbr
params: {from_: 7}
stages: {a: {width: 3, depth: 2}, b: {width: 3, depth: 2, names: 'x-{index + 1}_{block_index * from_}'}}
"""
    assert keys(text) == ["a.0.conv", "a.1.conv", "b.x-1_14.conv", "b.x-2_21.conv"]


def test_a_numbered_block_that_is_inline_is_named_by_the_place_around() -> None:
    text = """
stages:
  one: {op: unit, width: 4, inline: true}
  seq: {op: sequential, numbered: true, ops: {a: relu, b: {op: unit, width: 2, inline: true}}}
"""
    assert keys(text) == ["conv", "bn", "seq.1", "seq.2"]


def test_an_inline_sequence_adds_to_the_module_around() -> None:
    text = (
        "stages: {first: {op: sequential, inline: true, ops: {conv: {op: conv2d, out_channels: 2, kernel_size: 1}, bn: norm}}}"
    )
    assert keys(text) == ["conv", "bn"]


def test_the_names_of_a_nested_numbered_group() -> None:
    inner = "{numbered: true, stages: {c: {op: unit, width: 2}}}"
    text = f"stages: {{a: {{numbered: true, stages: {{b: {inner}, d: {{op: unit, width: 2}}}}}}}}"
    assert keys(text) == ["a.0.0.0", "a.0.0.1", "a.1.0", "a.1.1"]


@pytest.mark.parametrize(
    "text",
    [
        "stem: {a: relu}\nhead: {a: relu}",
        "stages: {s: {op: unit, width: 3, inline: true}, t: {op: unit, width: 3, inline: true}}",
        "block: cbr\nstages: {s: {width: 3, depth: 2, names: same}}",
        "stages: {conv: {op: conv2d, out_channels: 3, kernel_size: 1}, one: {op: cbr, width: 3, inline: true}}",
        "stages: {g: {stages: {a: relu}}, g.a: relu}",
        "stem: {g: relu}\nstages: {g: {stages: {a: relu}}}",
    ],
)
def test_a_name_that_is_taken_is_reported_with_both_places(text: str) -> None:
    assert code(text) == "duplicate-name"


def test_set_matches_the_longest_key() -> None:
    text = f"spec: 1\ninput: 3x8x8\n{BLOCKS}\nstages: {{stages.0.blocks: {{block: cbr, width: 3, depth: 2}}}}\n"
    changed = resnet_spec.analyze(text, set="stages.stages.0.blocks.depth=4")
    assert {node.name.split(".")[3] for node in changed.graph.nodes} == {"0", "1", "2", "3"}


def test_the_file_knows_entries_by_their_keys_and_modules_by_their_names() -> None:
    text = """
spec: 1
input: 3x8x8
stages: {f: {numbered: true, stages: {conv: {op: conv2d, out_channels: 3, kernel_size: 1}, act: relu}}}
head: {out: {op: add, from: [f.conv, f.act]}}
"""
    analysis = resnet_spec.analyze(text)
    assert [(node.name, node.written) for node in analysis.graph.nodes] == [("f.0", "f.conv"), ("f.1", "f.act"), ("out", "")]
    assert analysis.graph.nodes[2].inputs == (0, 1)


def test_a_network_of_groups_computes_what_its_plain_twin_does_and_loads_its_weights() -> None:
    class Twin(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.features = nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), nn.ReLU(), nn.Conv2d(4, 4, 3, padding=1), nn.ReLU())
            self.head = nn.ModuleDict({"fc-1": nn.Linear(4, 2)})

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            x = self.features(x).mean((2, 3))
            out: torch.Tensor = self.head["fc-1"](x)
            return out

    text = """
block: {op: cbr, inline: true}
stages: {features: {numbered: true, stages: {s: {width: 4, depth: 2, inline: true}}}}
head: {pool: {op: mean, over: pixels, keepdim: false}, head.fc-1: {op: linear, out_features: 2}}
"""
    twin = Twin()
    network = resnet_spec.build(f"spec: 1\ninput: 3x8x8\n{BLOCKS}\n{text}\n")
    network.load_state_dict(twin.state_dict(), strict=True)
    x = torch.randn(2, 3, 8, 8)
    assert torch.equal(network(x), twin(x))
