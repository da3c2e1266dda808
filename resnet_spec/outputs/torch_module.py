"""Graph to `nn.Module`: a tree that reads like a hand-written network, and runs like one.

Goes in: a Graph. Comes out: a module whose children have the names of the spec, so that its `state_dict` keys are the spec's
names. Sequences call their children in order; only a block in which values meet keeps a small plan of who reads what. Each
module is fetched by name when it runs, so replacing one (`model.fc = nn.Linear(...)`) works as everywhere in torch.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any, Literal

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

from resnet_spec.graph.in_place import overwritten
from resnet_spec.graph.model import Graph, Item, tree
from resnet_spec.ops import Operation


def build_module(graph: Graph, device: torch.device | str | None = None, initialise: bool = True) -> Network:
    """The network of a graph, in training mode, on `device`.

    Its `forward` takes images `(N, C, H, W)` and returns what the last operation gives, `(N, classes)` for a classifier.
    With `initialise` the weights are drawn as the spec says; without, those of conv2d and linear hold whatever memory held,
    for callers that load them next.
    """
    with torch.device(device) if device is not None else nullcontext():
        network = _Builder(graph).network()
    if initialise:
        draw_weights(network, graph)
    return network


class Named(nn.Module):
    """A module that prints under the name of what it is in the spec."""

    def __init__(self, label: str) -> None:
        super().__init__()
        self._label = label

    def _get_name(self) -> str:
        return self._label


class Chain(Named):
    """Children in order, each on the output of the one before."""

    _runs_in_order = True  # as in nn.Sequential, so that who trains it may cut it between children

    def forward(self, x: Tensor) -> Tensor:
        for module in self._modules.values():
            x = module(x)  # type: ignore[misc]
        return x


class Network(Chain):
    """A whole network: stem, stages and head side by side."""


@dataclass(frozen=True)
class Step:
    """One call of a plan: the child, the registers it reads, the register it writes."""

    name: str
    reads: tuple[int, ...]
    writes: int


class Block(Named):
    """A block in which values meet. Register 0 holds the input at first; a register is reused once its value is dead."""

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


class Add(nn.Module):
    """The sum of values of equal shape. `inplace` writes it over the last of them, as `out += identity` does."""

    def __init__(self, inplace: bool = False) -> None:
        super().__init__()
        self.inplace = inplace

    def forward(self, first: Tensor, *rest: Tensor) -> Tensor:
        if self.inplace:
            (last,) = rest
            last += first
            return last
        for value in rest:
            first = first + value
        return first


class Multiply(nn.Module):
    """The product of values of equal shape, or of `(N, C, H, W)` with a gate of `(N, C, 1, 1)`."""

    def forward(self, first: Tensor, *rest: Tensor) -> Tensor:
        for value in rest:
            first = first * value
        return first


class Concat(nn.Module):
    """Values one after another along the channels."""

    def forward(self, *values: Tensor) -> Tensor:
        return torch.cat(values, dim=1)


class Pad(nn.Module):
    """`torch.nn.functional.pad` as a layer."""

    def __init__(self, padding: tuple[int, ...], mode: str, value: float) -> None:
        super().__init__()
        self.padding, self.mode, self.value = padding, mode, value

    def forward(self, x: Tensor) -> Tensor:
        return F.pad(x, self.padding, self.mode, self.value if self.mode == "constant" else None)

    def extra_repr(self) -> str:
        return f"{self.padding}" + (f", mode={self.mode}" if self.mode != "constant" else "")


class LayerNorm2d(nn.LayerNorm):
    """LayerNorm over the channels of `(N, C, H, W)`."""

    def forward(self, x: Tensor) -> Tensor:
        x = x.permute(0, 2, 3, 1)
        return super().forward(x).permute(0, 3, 1, 2)


class DropPath(nn.Module):
    """Stochastic depth (Huang et al. 2016): in training an image is zero with probability `p`, else times 1 / (1 - p)."""

    def __init__(self, p: float) -> None:
        super().__init__()
        self.p = p

    def forward(self, x: Tensor) -> Tensor:
        if self.p == 0.0 or not self.training:
            return x
        keep = 1 - self.p
        mask = x.new_empty((x.shape[0],) + (1,) * (x.ndim - 1)).bernoulli_(keep)
        if keep > 0.0:
            mask.div_(keep)
        return x * mask

    def extra_repr(self) -> str:
        return f"p={self.p}"


class BlurPool2d(nn.Module):
    """A binomial filter on each channel, then the stride (Zhang 2019)."""

    filt: Tensor

    def __init__(self, channels: int, kernel_size: int, stride: int, mode: str) -> None:
        super().__init__()
        self.channels, self.kernel_size, self.stride, self.mode = channels, kernel_size, stride, mode
        self.pad = (stride - 1 + kernel_size - 1) // 2
        row = torch.tensor([math.comb(kernel_size - 1, i) / 2 ** (kernel_size - 1) for i in range(kernel_size)])
        self.register_buffer("filt", (row[:, None] * row[None, :])[None, None].repeat(channels, 1, 1, 1), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        x = F.pad(x, (self.pad,) * 4, mode=self.mode)
        return F.conv2d(x, self.filt, stride=self.stride, groups=self.channels)

    def extra_repr(self) -> str:
        return f"{self.channels}, kernel_size={self.kernel_size}, stride={self.stride}"


class _UndrawnConv2d(nn.Conv2d):
    def reset_parameters(self) -> None:
        """Nothing: weights are drawn once, by `draw_weights`, or loaded."""


class _UndrawnLinear(nn.Linear):
    def reset_parameters(self) -> None:
        """Nothing: weights are drawn once, by `draw_weights`, or loaded."""


def _batch_norm(rank: int, **arguments: Any) -> nn.Module:
    return (nn.BatchNorm2d if rank == 3 else nn.BatchNorm1d)(**arguments)


def _layer_norm(channels_first: bool, **arguments: Any) -> nn.Module:
    return (LayerNorm2d if channels_first else nn.LayerNorm)(**arguments)


_UNDRAWN: Mapping[str, type[nn.Module]] = {"conv2d": _UndrawnConv2d, "linear": _UndrawnLinear}
_LAYERS: Mapping[str, Callable[..., nn.Module]] = {  # where torch has no such layer, or one for each rank
    "batch_norm": _batch_norm,
    "layer_norm": _layer_norm,
    "blur_pool2d": BlurPool2d,
    "pad": Pad,
    "drop_path": DropPath,
    "add": Add,
    "multiply": Multiply,
    "concat": Concat,
}


def make_layer(op: Operation, inplace: bool = False) -> nn.Module:
    """The torch layer of one operation."""
    arguments: dict[str, Any] = op.torch_args()
    if inplace:
        arguments["inplace"] = True
    if op.name in _UNDRAWN:
        bare = _UNDRAWN[op.name]
        layer: nn.Module = bare(**arguments)
        layer.__class__ = bare.__mro__[1]
        return layer
    if op.torch:
        made: nn.Module = getattr(nn, op.torch)(**arguments)
        return made
    return _LAYERS[op.name](**arguments)


class _Builder:
    """Modules for the items of a graph, from the inside out."""

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.inplace = overwritten(graph)

    def network(self) -> Network:
        network = Network(_class_name(self.graph.name))
        for item in tree(self.graph):
            network.add_module(item.name, self.module(item))
        return network

    def module(self, item: Item) -> nn.Module:
        if item.region is None:
            return make_layer(self.graph.nodes[item.start].op, item.start in self.inplace)
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
        if item.output in item.inputs:  # a block that hands its input on: the value stays where it is
            steps.append(Step(item.name, reads, registers[item.output]))
            continue
        free.extend(registers.pop(value) for value in dict.fromkeys(item.inputs) if last[value] == number)
        if not free:
            free.append(count)
            count += 1
        registers[item.output] = free.pop()
        steps.append(Step(item.name, reads, registers[item.output]))
        if item.output not in last:  # nobody reads it, but its place can be used again
            free.append(registers.pop(item.output))
    return tuple(steps), count, registers[block.output]


def _class_name(name: str) -> str:
    """`basic_option_a` as `BasicOptionA`."""
    words = [word for word in re.split(r"[^0-9A-Za-z]+", name) if word]
    return "".join(word[0].upper() + word[1:] for word in words) or "Network"


def draw_weights(network: nn.Module, graph: Graph) -> None:
    """Draw every weight as the spec says; biases, and what the spec's word does not reach, as torch does."""
    modules = dict(network.named_modules())
    for node in graph.nodes:
        layer = modules[node.name]
        reset = getattr(layer, "reset_parameters", None)
        if reset is None:
            continue
        word = node.init or _reaching(graph.init, node.op.name)
        if word == "pytorch":
            reset()
        else:
            _draw(word, layer)


def _reaching(word: str, operation: str) -> str:
    """The spec's word where it reaches an operation: convolutions, and linear layers unless it is kaiming; else torch's own."""
    reached = operation == "conv2d" or (operation == "linear" and not word.startswith("kaiming"))
    return word if reached else "pytorch"


def _draw(word: str, layer: nn.Module) -> None:
    """One layer: its weight by a word, its bias as torch draws those of convolutions and linear layers (norms: zero)."""
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
            raise AssertionError(f"the schema admits `init: {word}`, which nothing draws")


def measured_shapes(network: nn.Module, size: tuple[int, ...]) -> tuple[dict[str, tuple[int, ...]], str | None]:
    """The output shape of every named module, batch first, as forward hooks see it; and why the run stopped, if it did."""
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
    except (RuntimeError, ValueError, IndexError) as error:  # torch says no in each of these
        return shapes, str(error).splitlines()[0]
    finally:
        for hook in hooks:
            hook.remove()
    return shapes, None
