"""Any optimizer of torch, by its name; which parameters decay; and what is reported where torch has no such thing."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

import resnet_spec
from resnet_spec.diagnostics import Diagnostic, ResnetSpecError
from resnet_spec.training.optimizer import make_optimizer
from tests.training.small import recipe

pytestmark = pytest.mark.torch
ALL = sorted(
    name
    for name, each in vars(torch.optim).items()
    if isinstance(each, type) and issubclass(each, torch.optim.Optimizer) and each is not torch.optim.Optimizer
)
OTHER_LOOPS = {"LBFGS", "SparseAdam"}


def refused(module: nn.Module, optimizer: dict[str, object], **fields: object) -> list[Diagnostic]:
    with pytest.raises(ResnetSpecError) as caught:
        make_optimizer(module, recipe(optimizer=optimizer, **fields))
    return list(caught.value.diagnostics)


@pytest.mark.parametrize("name", [name for name in ALL if name not in OTHER_LOOPS])
def test_every_optimizer_of_torch_is_made_and_takes_steps(name: str) -> None:
    module = nn.Linear(3, 2, bias=False)  # Muon takes matrices only
    made = make_optimizer(module, recipe(optimizer={"op": name, "lr": 0.01}, no_decay=["bias"]))
    assert type(made) is getattr(torch.optim, name)
    assert made.param_groups[0]["lr"] == 0.01
    before = module.weight.clone()
    for _ in range(2):
        module(torch.ones(4, 3)).square().sum().backward()
        made.step()
    assert not torch.equal(before, module.weight)


@pytest.mark.parametrize(
    "optimizer",
    [
        {"op": "SGD", "lr": 0.1, "momentum": 0.9, "nesterov": True, "weight_decay": 5e-4},
        {"op": "AdamW", "lr": 0.001, "betas": [0.8, 0.95], "eps": 1e-7, "amsgrad": True},
        {"op": "Adafactor", "lr": 0.01, "eps": [None, 0.01], "d": 2},
        {"op": "Rprop", "lr": 0.01, "etas": [0.4, 1.3], "step_sizes": [1e-7, 40]},
        {"op": "RMSprop", "lr": 0.01, "alpha": 0.9, "foreach": False, "centered": True},
    ],
)
def test_its_arguments_are_those_of_the_class(optimizer: dict[str, Any]) -> None:
    modules = [nn.Linear(3, 2) for _ in range(2)]
    modules[1].load_state_dict(modules[0].state_dict())
    arguments = {key: tuple(value) if isinstance(value, list) else value for key, value in optimizer.items() if key != "op"}
    made = [
        make_optimizer(modules[0], recipe(optimizer=optimizer)),
        getattr(torch.optim, optimizer["op"])(modules[1].parameters(), **arguments),
    ]
    for module, each in zip(modules, made, strict=True):
        for step in range(3):
            each.zero_grad()
            module(torch.full((4, 3), step + 1.0)).square().sum().backward()
            each.step()
    assert torch.equal(modules[0].weight, modules[1].weight)


class Others(nn.Module):
    """One of each kind of norm, and parameters of the module's own."""

    def __init__(self) -> None:
        super().__init__()
        self.norms = nn.ModuleList(
            [nn.BatchNorm2d(4), nn.GroupNorm(2, 4), nn.LayerNorm(4), nn.RMSNorm(4), nn.InstanceNorm2d(4, affine=True)]
        )
        self.conv = nn.Conv2d(4, 4, 1)
        self.scale = nn.Parameter(torch.ones(4))


def without_decay(made: torch.optim.Optimizer) -> list[Tensor]:
    return [each for group in made.param_groups if group["weight_decay"] == 0 for each in group["params"]]


@pytest.mark.parametrize("no_decay", [[], ["norm"], ["bias"], ["norm", "bias"]])
@pytest.mark.parametrize("network", ["resnet18", "others"])
def test_norms_and_biases_do_not_decay_where_the_recipe_says_so(no_decay: list[str], network: str) -> None:
    """On a ResNet what has one dimension is of a norm or a bias, and the only bias that is not a norm's is that of `fc`."""
    module: nn.Module = Others() if network == "others" else resnet_spec.build("resnet18", initialize=False)
    made = make_optimizer(module, recipe(optimizer={"op": "SGD", "lr": 0.1, "weight_decay": 0.01}, no_decay=no_decay))
    names = dict(module.named_parameters())
    bias = {"fc.bias", "conv.bias"} & names.keys()
    norms = {name for name, each in names.items() if each.ndim == 1} - bias - {"scale"}
    expected = (norms if "norm" in no_decay else set()) | (bias if "bias" in no_decay else set())
    bare = {id(each) for each in without_decay(made)}
    assert {name for name, each in names.items() if id(each) in bare} == expected
    assert len(norms) == (40 if network == "resnet18" else 9)
    everything = [each for group in made.param_groups for each in group["params"]]
    assert sorted(map(id, everything)) == sorted(map(id, names.values()))


def test_layer_norm_over_channels_is_a_norm() -> None:
    module = resnet_spec.build("cifar_resnet20", set=["norm=layer_norm"])
    made = make_optimizer(module, recipe(optimizer={"op": "SGD", "lr": 0.1, "weight_decay": 0.01}, no_decay=["norm"]))
    assert len(without_decay(made)) == 2 * 19


def test_frozen_parameters_are_left_out_and_all_of_them_cannot_be() -> None:
    module = resnet_spec.build("cifar_resnet20")
    for name, each in module.named_parameters():
        each.requires_grad_(name.startswith("fc"))
    made = make_optimizer(module, recipe(no_decay=["bias"]))
    assert [len(group["params"]) for group in made.param_groups] == [1, 1]
    module.requires_grad_(False)
    (finding,) = refused(module, {"op": "SGD", "lr": 0.1}, freeze=["conv1"])
    assert (finding.code, finding.span is None) == ("recipe-freeze", False)


@pytest.mark.parametrize(
    ("optimizer", "written", "message", "help"),
    [
        ({"op": "AdmaW", "lr": 0.1}, "op", "no optimizer `AdmaW`", "did you mean `AdamW`?"),
        ({"op": "sgd", "lr": 0.1}, "op", "no optimizer `sgd`", "did you mean `SGD`?"),
        ({"op": "Optimizer", "lr": 0.1}, "op", "no optimizer `Optimizer`", ""),
        ({"op": "lr_scheduler", "lr": 0.1}, "op", "no optimizer `lr_scheduler`", ""),
        ({"op": "LBFGS", "lr": 0.1}, "op", "no optimizer `LBFGS` that this trainer can use", "known here"),
        ({"op": "SparseAdam", "lr": 0.1}, "op", "no optimizer `SparseAdam` that this trainer can use", "did you mean"),
        ({"op": "SGD", "lr": 0.1, "momentun": 0.9}, "momentun", "no argument `momentun`", "did you mean `momentum`?"),
        ({"op": "SGD", "lr": 0.1, "betas": [0.9, 0.99]}, "betas", "no argument `betas`", "known here"),
        ({"op": "SGD", "lr": 0.1, "params": []}, "params", "no argument `params`", ""),
        ({"op": "Adam", "lr": 0.1, "capturable": True}, "capturable", "no argument `capturable`", ""),
        ({"op": "SGD", "lr": 0.1, "momentum": "high"}, "momentum", "cannot be", "for example `momentum: 0`"),
        ({"op": "SGD", "lr": 0.1, "dampening": [0.1]}, "dampening", "cannot be", "for example `dampening: 0`"),
        ({"op": "SGD", "lr": 0.1, "nesterov": 1}, "nesterov", "cannot be", "for example `nesterov: false`"),
        ({"op": "Adam", "lr": 0.1, "betas": [0.9]}, "betas", "cannot be `[0.9]`", "for example `betas: [0.9, 0.999]`"),
        ({"op": "Adam", "lr": 0.1, "betas": [0.9, 0.99, 0.999]}, "betas", "cannot be", "for example `betas: [0.9, 0.999]`"),
        ({"op": "Adam", "lr": 0.1, "betas": 0.9}, "betas", "cannot be `0.9`", "for example `betas: [0.9, 0.999]`"),
        ({"op": "Adam", "lr": 0.1, "betas": [0.9, "x"]}, "betas", "cannot be", "for example `betas: [0.9, 0.999]`"),
        ({"op": "SGD", "lr": -1}, "optimizer", "torch refuses", "documentation"),
        ({"op": "SGD", "lr": 0.1, "nesterov": True}, "optimizer", "torch refuses", "documentation"),
        ({"op": "Adam", "lr": 0.1, "betas": [0.9, 1.5]}, "optimizer", "torch refuses", "documentation"),
        ({"op": "Muon", "lr": 0.1}, "optimizer", "torch refuses", "documentation"),
    ],
)
def test_what_torch_does_not_have_is_reported_at_its_place(
    optimizer: dict[str, object], written: str, message: str, help: str
) -> None:
    (finding,) = refused(nn.Linear(3, 2), optimizer)
    assert finding.code == "recipe-optimizer"
    assert message in finding.message
    assert help in finding.help
    assert finding.span is not None
    assert f'"{written}"' in finding.span.source.line(finding.span.line)


def test_all_arguments_are_reported_at_once() -> None:
    findings = refused(nn.Linear(3, 2), {"op": "SGD", "lr": 0.1, "momentun": 0.9, "dekai": 0.1, "nesterov": "yes"})
    assert len(findings) == 3
