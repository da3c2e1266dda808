"""No name that a spec may use hides an attribute of a module, and no other name is refused for it."""

from __future__ import annotations

import pytest
import torch
from torch import nn

import resnet_spec
from resnet_spec.diagnostics import SpecError
from resnet_spec.language.reserved import MODULE_ATTRIBUTES
from resnet_spec.outputs.torch_module import Block, BranchedNetwork, Chain, Network

pytestmark = pytest.mark.torch

SPEC = """
spec: 1
input: 2x4x4
stem: {first: {op: basic, width: 4}, second: {op: projection, width: 4}}
"""
BRANCHED = SPEC + "outputs: {a: second, b: first}\n"


def attributes(module: nn.Module) -> set[str]:
    """Everything a module has, apart from its children, what Python keeps for itself and torch.compile's marks (`___`)."""
    names = {name for name in dir(module) if not (name.startswith("__") and name.endswith("__"))}
    return {name for name in names if not name.startswith("___")} - set(module._modules)


def test_every_attribute_of_a_module_is_refused_as_a_name() -> None:
    modules = [module for text in (SPEC, BRANCHED) for module in resnet_spec.build(text).modules()]
    kinds = {type(module): module for module in modules}
    assert {Network, BranchedNetwork, Block, Chain} <= set(kinds)
    for module in (nn.Module(), *(kinds[kind] for kind in (Network, BranchedNetwork, Block, Chain))):
        assert attributes(module) - MODULE_ATTRIBUTES == set(), type(module).__name__


def test_no_other_name_is_refused() -> None:
    modules = [module for text in (SPEC, BRANCHED) for module in resnet_spec.build(text).modules()]
    known = set().union(*(attributes(module) for module in (nn.Module(), *modules)))
    extra = {name for name in MODULE_ATTRIBUTES if name not in known}
    assert extra == set()


@pytest.mark.parametrize("name", ["type", "half", "forward", "training", "_modules", "_plan", "_label", "class", "__init__"])
def test_such_a_name_is_refused_in_a_spec(name: str) -> None:
    spec = {"spec": 1, "input": "2x4x4", "stem": {name: "relu"}}
    with pytest.raises(SpecError) as caught:
        resnet_spec.analyze(spec)
    assert {finding.code for finding in caught.value.diagnostics} == {"reserved-name"}


@pytest.mark.parametrize("name", ["append", "extend", "insert", "pop", "keys", "weight", "p", "plan", "inplace", "op"])
def test_other_names_work_everywhere(name: str) -> None:
    """`append` and its like belong to nn.Sequential, which is only used where the children are numbers."""
    ops = {name: "relu", "other": "identity"}
    spec = {
        "spec": 1,
        "input": "2x4x4",
        "blocks": {"own": {"branch": ops}, "two": {"branch": {name: "relu"}, "shortcut": {"s": "identity"}, "join": "add"}},
        "stem": {"seq": {"op": "sequential", "ops": ops}, "own": "own"},
        "stages": {"layer1": {"block": "two", "depth": 2}},
        "head": {name: "sigmoid"},
    }
    network = resnet_spec.build(spec)
    assert network(torch.zeros(1, 2, 4, 4)).shape == (1, 2, 4, 4)
    assert f"seq.{name}" in dict(network.named_modules())
