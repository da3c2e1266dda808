"""Builds the `nn.Module` of a graph: a module tree like that of a hand-written network.

The children of the module have the names of the spec, so that its `state_dict` keys are the spec's names. Sequences call their
children in order; only a block with joins has a plan of which child reads which value. Children are looked up by name when they
run, so replacing one (`model.fc = nn.Linear(...)`) works as with any module.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from resnet_spec.graph.in_place import find_overwritten
from resnet_spec.graph.model import Graph, Item, tree
from resnet_spec.ops import Operation


def build_module(graph: Graph, device: torch.device | str | None = None, initialize: bool = True) -> Network:
    """Build the network of a graph, in training mode, on `device`.

    Its `forward` takes images `(N, C, H, W)` and returns the output of the last operation, `(N, classes)` for a classifier.
    With `initialize`, weights are initialized by the spec's `init`. Without it, those of conv2d and linear are uninitialized,
    for callers that load them.
    """
    with torch.device(device) if device is not None else nullcontext():
        network = _Builder(graph).network()
    if initialize:
        initialize_weights(network, graph)
    return network


class Named(nn.Module):
    """A module that prints with the name of its block or stage in the spec."""

    def __init__(self, label: str) -> None:
        super().__init__()
        self._label = label

    def _get_name(self) -> str:
        return self._label


class Chain(Named):
    """Children in order, each applied to the output of the previous one."""

    _runs_in_order = True  # as in nn.Sequential: activation checkpointing may split it between children

    def forward(self, x: Tensor) -> Tensor:
        for module in self._modules.values():
            x = module(x)  # type: ignore[misc]
        return x


class Network(Chain):
    """A whole network; the children of stem, stages and head are its direct children."""


@dataclass(frozen=True)
class Step:
    """One call in a plan: the child, the registers that it reads, and the one that it writes."""

    name: str
    reads: tuple[int, ...]
    writes: int


class Block(Named):
    """A block with joins. Register 0 holds the input at first; a register is reused once its value is no longer needed."""

    def __init__(self, label: str, plan: tuple[Step, ...], registers: int, output: int) -> None:
        super().__init__(label)
        self._plan = plan
        self._registers = registers
        self._output = output

    def forward(self, x: Tensor) -> Tensor:
        values = [x] * self._registers
        del x
        for step in self._plan:
            module = getattr(self, step.name)
            values[step.writes] = module(*[values[register] for register in step.reads])
        return values[self._output]


class _Builder:
    """Builds modules for the items of a graph, from the inside out."""

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.inplace = find_overwritten(graph)

    def network(self) -> Network:
        network = Network(_class_name(self.graph.name))
        for item in tree(self.graph):
            network.add_module(item.name, self.module(item))
        return network

    def module(self, item: Item) -> nn.Module:
        if item.region is None:
            return self.graph.nodes[item.start].op.layer(item.start in self.inplace)
        label = _class_name(item.region.label)
        module: nn.Module
        if not item.chain:
            module = Block(label, *_plan(item))
        elif item.region.kind != "block" and all(child.name.isdigit() for child in item.items):
            module = nn.Sequential()
        else:
            module = Chain(label)
        for child in item.items:
            module.add_module(child.name, self.module(child))
        return module


def _plan(block: Item) -> tuple[tuple[Step, ...], int, int]:
    """The calls of a block in order, the number of registers they need, and the register of the result."""
    last: dict[int, int] = {block.output: len(block.items)}
    for number, item in reversed(list(enumerate(block.items))):
        for value in item.inputs:
            last.setdefault(value, number)
    registers = {block.inputs[0]: 0}
    free: list[int] = []
    count = 1
    steps: list[Step] = []
    for number, item in enumerate(block.items):
        reads = tuple(registers[value] for value in item.inputs)
        if item.output in item.inputs:  # a block that returns its input: the value stays in its register
            steps.append(Step(item.name, reads, registers[item.output]))
            continue
        free.extend(registers.pop(value) for value in dict.fromkeys(item.inputs) if last[value] == number)
        if not free:
            free.append(count)
            count += 1
        registers[item.output] = free.pop()
        steps.append(Step(item.name, reads, registers[item.output]))
        if item.output not in last:  # nothing reads it, so its register is free again
            free.append(registers.pop(item.output))
    return tuple(steps), count, registers[block.output]


def _class_name(name: str) -> str:
    """`basic_option_a` as `BasicOptionA`."""
    words = [word for word in re.split(r"[^0-9A-Za-z]+", name) if word]
    return "".join(word[0].upper() + word[1:] for word in words) or "Network"


def initialize_weights(network: nn.Module, graph: Graph) -> None:
    """Initialize every weight by the spec's `init`; biases, and layers that `init` does not apply to, as torch does."""
    modules = dict(network.named_modules())
    for node in graph.nodes:
        layer = modules[node.name]
        reset = getattr(layer, "reset_parameters", None)
        if reset is None:
            continue
        word = node.init or _word_for(graph.init, node.op)
        if word == "pytorch":
            reset()
        else:
            _draw(word, layer)


def _word_for(word: str, op: Operation) -> str:
    """The spec's `init` if it applies to an operation (the kaiming methods: to convolutions only), else torch's own method."""
    applies = op.draws_weight and (op.family == "convolution" or not word.startswith("kaiming"))
    return word if applies else "pytorch"


def _draw(word: str, layer: nn.Module) -> None:
    """Initialize the weight of a layer by a value of `init`, and its bias as torch does (uniform; zero for norms)."""
    weight, bias = layer.weight, layer.bias
    assert isinstance(weight, nn.Parameter)
    if isinstance(bias, nn.Parameter):
        bound = 1 / math.sqrt(weight[0].numel()) if weight.ndim > 1 else 0.0
        nn.init.uniform_(bias, -bound, bound)
    match word:
        case "kaiming_fan_out" | "kaiming_fan_in":
            mode: Literal["fan_in", "fan_out"] = "fan_out" if word == "kaiming_fan_out" else "fan_in"
            nn.init.kaiming_normal_(weight, mode=mode, nonlinearity="relu")
        case "xavier_uniform":
            nn.init.xavier_uniform_(weight)
        case "xavier_normal":
            nn.init.xavier_normal_(weight)
        case "trunc_normal":
            nn.init.trunc_normal_(weight, std=0.02)
        case "zeros":
            nn.init.zeros_(weight)
        case "ones":
            nn.init.ones_(weight)
        case _:
            raise AssertionError(f"the schema allows `init: {word}`, which is not implemented")


def measure_shapes(network: nn.Module, size: tuple[int, ...]) -> tuple[dict[str, tuple[int, ...]], str | None]:
    """Measure the output shape `(N, ...)` of every named module with forward hooks; also returns why the run failed, if so."""
    shapes: dict[str, tuple[int, ...]] = {}

    def watch(name: str) -> Callable[[nn.Module, object, object], None]:
        def hook(module: nn.Module, args: object, output: object) -> None:
            if isinstance(output, Tensor):
                shapes[name] = tuple(output.shape)

        return hook

    hooks = [module.register_forward_hook(watch(name)) for name, module in network.named_modules()]
    device = next((tensor.device for tensor in network.state_dict().values()), torch.device("meta"))
    try:
        with torch.no_grad():
            network(torch.empty(size, device=device))
    except (RuntimeError, ValueError, IndexError) as error:  # raised by torch for shapes that it does not accept
        return shapes, str(error).splitlines()[0]
    finally:
        for hook in hooks:
            hook.remove()
    return shapes, None
