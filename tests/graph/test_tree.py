"""The items of a graph, as the modules around them use them."""

from __future__ import annotations

from collections.abc import Iterable

import pytest

import resnet_spec
from resnet_spec.graph.model import Item, tree

SPEC = """
spec: 1
input: 4x8x8
block: basic
stem: {group: {numbered: true, stages: {first: {op: basic, width: 4}}}}
stages:
  group:
    stages:
      inner: {width: 4, depth: 2, inline: true}
      last:  {width: 4}
"""


def modules(items: Iterable[Item], prefix: str = "") -> list[str]:
    names = []
    for item in items:
        names.append(prefix + item.name)
        names += modules(item.items, prefix + item.name + ".")
    return names


def test_a_module_is_inside_the_module_whose_name_its_own_begins_with() -> None:
    graph = resnet_spec.analyze(SPEC).graph
    found = modules(tree(graph, inline=False))
    assert [name for name in found if name.count(".") == 1] == ["group.0", "group.1", "group.2", "group.3"]
    assert {name for name in found if not any(other.startswith(name + ".") for other in found)} == {
        node.name for node in graph.nodes
    }


@pytest.mark.torch
def test_an_inline_stage_after_a_block_makes_modules_beside_it() -> None:
    network = resnet_spec.build(SPEC)
    assert [name for name, _ in network.get_submodule("group").named_children()] == ["0", "1", "2", "3"]
