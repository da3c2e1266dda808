"""Builds the `nn.Module` of a graph: a module tree like that of a hand-written network.

The children of the module have the names of the spec, so that its `state_dict` keys are the spec's names. Sequences call their
children in order; a block with joins, or a network that branches, has a plan of which child reads which value. Children are
looked up by name when they run, so replacing one (`model.fc = nn.Linear(...)`) works as with any module.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor, nn

from resnet_spec.graph.in_place import find_overwritten
from resnet_spec.graph.model import INPUT, Graph, Item, Output, fill_value, is_chain, tree
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


def take_part(network: Network, graph: Graph, device: torch.device | str | None = None) -> Network:
    """The part of a network that computes other outputs, those of `graph`, with the tensors of the network itself."""
    part = build_module(graph, device, initialize=False)
    state = network.state_dict()
    part.load_state_dict({key: state[key] for key in part.state_dict()}, assign=True)
    return part


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
    """A whole network; the children of stem, stages and head are its direct children, or in groups.

    `_parts` are the names of the modules in stem, stages and head, and in stages and blocks that are no modules.
    """

    _parts: Mapping[str, tuple[str, ...]]


class ModuleGroup(nn.Module):
    """A group: it only holds modules, which the module around it runs."""


@dataclass(frozen=True)
class Step:
    """One call in a plan: the child, the registers that it reads, and the one that it writes.

    `path` are the names that lead to the child. `function`: the child is no module but a tensor, and this is what is computed
    of the value and the tensor. `training_only`: it is left out in evaluation. `clears` are the registers whose values nothing
    needs afterwards, so that their memory is freed.
    """

    path: tuple[str, ...]
    reads: tuple[int, ...]
    writes: int
    function: Callable[..., Any] | None = None
    training_only: bool = False
    clears: tuple[int, ...] = ()


@dataclass(frozen=True)
class Plan:
    """The calls of a block in order, the number of registers they need, and the registers of its outputs."""

    steps: tuple[Step, ...]
    registers: int
    outputs: tuple[int, ...]


class Block(Named):
    """A block with joins. Register 0 holds the input at first; a register is reused once its value is no longer needed."""

    def __init__(self, label: str, plan: Plan) -> None:
        super().__init__(label)
        self._plan = plan

    def forward(self, x: Tensor) -> Tensor:
        output: Tensor = _run(self, x)[self._plan.outputs[0]]
        return output


class BranchedNetwork(Network):
    """A network that is no chain of modules: some of them read values other than the last, or it has several outputs.

    With `outputs` it returns a dict of these, without those that exist in training only if it is in evaluation mode.
    """

    _runs_in_order = False

    def __init__(self, label: str, plan: Plan, outputs: tuple[Output, ...], sequence: tuple[str, ...]) -> None:
        """`sequence` are the names of its modules if it runs them one after the other."""
        super().__init__(label)
        self._plan = plan
        self._sequence = sequence
        self._outputs = tuple((output.name, output.training_only) for output in outputs)

    def forward(self, x: Tensor) -> Tensor | dict[str, Tensor]:  # type: ignore[override]
        values = _run(self, x)
        if not self._outputs:
            output: Tensor = values[self._plan.outputs[0]]
            return output
        named = zip(self._outputs, self._plan.outputs, strict=True)
        return {name: values[register] for (name, only), register in named if self.training or not only}


def _run(module: Block | BranchedNetwork, x: Tensor) -> list[Any]:
    """Run the plan of a module; returns the registers, of which those of its outputs are tensors."""
    plan = module._plan
    values: list[Any] = [None] * plan.registers
    values[0] = x
    del x
    for step in plan.steps:
        if module.training or not step.training_only:
            child: Any = module
            for name in step.path:
                child = getattr(child, name)
            if step.function is not None:
                values[step.writes] = step.function(values[step.reads[0]], child)
            else:
                values[step.writes] = child(*[values[register] for register in step.reads])
        for register in step.clears:
            values[register] = None
    return values


class _Builder:
    """Builds modules for the items of a graph, from the inside out."""

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.inplace = find_overwritten(graph)
        self.skipped = graph.skipped_in_evaluation()
        self.kept = graph.needed_by(output.value for output in graph.outputs if not output.training_only)

    def network(self) -> Network:
        graph, items = self.graph, tree(self.graph, inline=False)
        label = _class_name(graph.name)
        in_order = not graph.outputs and is_chain(items, INPUT, graph.output) and not any(map(self.is_parameter, items))
        if in_order and self.is_plain(items):
            network = Network(label)
        else:
            sequence = tuple(item.name for item in items) if in_order else ()
            network = BranchedNetwork(label, self.plan(items, INPUT, graph.returned), graph.outputs, sequence)
        self.fill(network, items)
        network._parts = self.parts()
        return network

    def parts(self) -> dict[str, tuple[str, ...]]:
        """See `Network`."""
        graph = self.graph
        sections = {"stem": (0, graph.stem), "stages": (graph.stem, graph.head), "head": (graph.head, len(graph.nodes))}
        ranges = {name: bounds for name, bounds in sections.items() if bounds[0] < bounds[1]}
        ranges |= {region.name: (region.start, region.stop) for region in graph.regions if region.inline}
        found: dict[str, tuple[str, ...]] = {}
        regions = [region for region in graph.regions if not region.inline]
        for name, (start, stop) in ranges.items():
            modules: list[str] = []
            at = start
            for region in regions:
                if at <= region.start and region.stop <= stop and region.start < region.stop:
                    modules += [node.name for node in graph.nodes[at : region.start]]
                    modules.append(region.name)
                    at = region.stop
            found[name] = (*modules, *(node.name for node in graph.nodes[at:stop]))
        return found

    def is_plain(self, items: Sequence[Item]) -> bool:
        """Whether all items are modules with names of one part."""
        return not any("." in item.name or self.is_parameter(item) for item in items)

    def is_parameter(self, item: Item) -> bool:
        return item.region is None and self.graph.nodes[item.start].op.own_tensor

    def fill(self, module: nn.Module, items: Sequence[Item]) -> None:
        """Add the modules and parameters of items to the module around them, in groups where their names are paths."""
        for item in items:
            *groups, name = item.name.split(".")
            around = module
            for group in groups:
                if group not in around._modules:
                    around.add_module(group, ModuleGroup())
                inner = around._modules[group]
                assert inner is not None
                around = inner
            if self.is_parameter(item):
                (tensor,) = self.graph.nodes[item.start].op.tensors()
                around.register_parameter(name, nn.Parameter(torch.empty(tensor.shape)))
            else:
                around.add_module(name, self.module(item))

    def module(self, item: Item) -> nn.Module:
        if item.region is None:
            return self.graph.nodes[item.start].op.layer(item.start in self.inplace)
        label = _class_name(item.region.label)
        module: nn.Module
        if not (item.chain and self.is_plain(item.items)):
            module = Block(label, self.plan(item.items, item.inputs[0], (item.output,)))
        elif item.region.kind != "block" and all(child.name.isdigit() for child in item.items):
            module = nn.Sequential()
        else:
            module = Chain(label)
        self.fill(module, item.items)
        return module

    def plan(self, items: Sequence[Item], entering: int, leaving: Sequence[int]) -> Plan:
        """The calls of items, from the value `entering` to the values `leaving`."""
        last = dict.fromkeys(leaving, len(items))
        for number, item in reversed(list(enumerate(items))):
            for value in item.inputs:
                last.setdefault(value, number)
        registers = {entering: 0}
        free: list[int] = []
        count = 1
        steps: list[Step] = []
        for number, item in enumerate(items):
            reads = tuple(registers[value] for value in item.inputs)
            if item.output in item.inputs:  # a block that returns its input: the value stays in its register
                steps.append(self.step(item, reads, registers[item.output]))
                continue
            clears = {registers.pop(value) for value in dict.fromkeys(item.inputs) if last[value] == number}
            free.extend(sorted(clears))
            if not free:
                free.append(count)
                count += 1
            writes = registers[item.output] = free.pop()
            clears.discard(writes)
            if item.output not in last:  # nothing reads it, so its register is free again
                free.append(registers.pop(item.output))
                clears.add(writes)
            steps.append(self.step(item, reads, writes, tuple(sorted(clears))))
        return Plan(tuple(steps), count, tuple(registers[value] for value in leaving))

    def step(self, item: Item, reads: tuple[int, ...], writes: int, clears: tuple[int, ...] = ()) -> Step:
        nodes = range(item.start, item.stop)
        skipped = item.output in self.skipped and not any(at in self.kept for at in nodes)
        function = self.graph.nodes[item.start].op.function() if self.is_parameter(item) else None
        return Step(tuple(item.name.split(".")), reads, writes, function, skipped, clears)


def _class_name(name: str) -> str:
    """`basic_option_a` as `BasicOptionA`."""
    words = [word for word in re.split(r"[^0-9A-Za-z]+", name) if word]
    return "".join(word[0].upper() + word[1:] for word in words) or "Network"


def initialize_weights(network: nn.Module, graph: Graph) -> None:
    """Initialize every weight by the spec's `init`; biases, and layers that `init` does not apply to, as torch does."""
    modules = dict(network.named_modules())
    parameters = dict(network.named_parameters())
    order = {name: number for number, name in enumerate(modules)}  # of the modules, which groups may change
    for node in sorted(graph.nodes, key=lambda node: order.get(node.name, -1)):
        if node.op.own_tensor:
            nn.init.constant_(parameters[node.name], fill_value(node))
            continue
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
    weight, bias = layer.weight, getattr(layer, "bias", None)
    assert isinstance(weight, nn.Parameter)
    if isinstance(bias, nn.Parameter):
        if weight.ndim > 1:
            bound = 1 / math.sqrt(weight[0].numel())
            nn.init.uniform_(bias, -bound, bound)
        else:
            nn.init.zeros_(bias)
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
            nn.init.constant_(weight, float(word))


def measure_shapes(network: nn.Module, size: tuple[int, ...]) -> tuple[dict[str, tuple[int, ...]], str | None]:
    """Measure the output shape `(N, ...)` of every named module with forward hooks; also returns why the run failed, if so."""
    shapes: dict[str, tuple[int, ...]] = {}

    def watch(name: str) -> Callable[[nn.Module, object, object], None]:
        def hook(module: nn.Module, args: object, output: object) -> None:
            if isinstance(output, Tensor):
                shapes[name] = tuple(output.shape)
            elif isinstance(output, dict) and not name:
                shapes[name] = tuple(next(iter(output.values())).shape)

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
