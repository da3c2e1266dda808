"""The parts of a network as source has them: layers, sequences, blocks, and groups that only hold modules."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from resnet_spec.graph.in_place import find_overwritten
from resnet_spec.graph.model import INPUT, Graph, Item, Node, fill_value, is_chain, tree
from resnet_spec.ops import Operation, Shape
from resnet_spec.ops.source import SourceArgument, SourceCall
from resnet_spec.outputs.source.names import SEQUENTIAL_ATTRIBUTES

LARGEST_INLINE = 2  # layers of a sequence that is written where it is used, if it is used often
Signature = tuple[object, ...]


class ClassCount(int):
    """A number of channels that is the number of classes of the network."""


@dataclass(eq=False)
class SourcePart:
    """A part of the level around it. `path`: the names that lead to it. Values are positions of nodes of the graph.

    A layer has an operation and its call; a sequence and a block have parts.
    """

    kind: str  # layer, sequence, block
    path: tuple[str, ...]
    start: int
    stop: int
    inputs: tuple[int, ...]
    output: int
    op: Operation | None = None
    call: SourceCall | None = None
    parts: tuple[SourcePart, ...] = ()
    label: str = ""
    overwrites: bool = False  # it may write its output over its last input
    training_only: bool = False
    signature: Signature = field(default=())

    @property
    def name(self) -> str:
        return self.path[-1]

    @property
    def is_parameter(self) -> bool:
        return self.op is not None and self.op.own_tensor


class Partition:
    """Divides a graph into parts. `shapes` are those of the nodes."""

    def __init__(self, graph: Graph, input: Shape, shapes: Sequence[Shape], classes: frozenset[int]) -> None:
        self.graph = graph
        self.input, self.shapes = input, shapes
        self.classes = classes  # the nodes whose channels are the classes
        self.overwritten = find_overwritten(graph)
        self.skipped = graph.skipped_in_evaluation()
        self.kept = graph.needed_by(output.value for output in graph.outputs if not output.training_only)
        self.read = graph.readers()
        items = tree(graph, inline=False)
        self.uses = _count_labels(items)
        self.top = self.level(items, INPUT, graph.returned, flat=True)

    def shape_of(self, value: int) -> Shape:
        return self.input if value == INPUT else self.shapes[value]

    def level(self, items: Sequence[Item], entering: int, leaving: Sequence[int], flat: bool = False) -> tuple[SourcePart, ...]:
        """The parts of a level of items, in order. Groups that run in order are sequences."""
        found: list[SourcePart] = []
        at = 0
        while at < len(items):
            group, dot, _ = items[at].name.partition(".")
            stop = at + 1
            if dot:
                while stop < len(items) and items[stop].name.startswith(f"{group}."):
                    stop += 1
            run = items[at:stop]
            others = (*items[:at], *items[stop:])
            alone = bool(dot) and not any(item.name.startswith(f"{group}.") for item in others)
            if alone and self._is_sequence(run, f"{group}.") and not self._read_outside(run, leaving):
                found.append(self._sequence((group,), run, f"{group}."))
            else:
                found.extend(self.part(item, tuple(item.name.split("."))) for item in run)
            at = stop
        return tuple(found)

    def _is_sequence(self, items: Sequence[Item], prefix: str = "") -> bool:
        """Whether items run in order and can be children of an `nn.Sequential`."""
        names = [item.name.removeprefix(prefix) for item in items]
        if not items or any("." in name or name in SEQUENTIAL_ATTRIBUTES for name in names):
            return False
        if any(item.region is None and self.graph.nodes[item.start].op.own_tensor for item in items):
            return False
        return is_chain(items, items[0].inputs[0], items[-1].output) and all(len(item.inputs) == 1 for item in items)

    def _read_outside(self, items: Sequence[Item], leaving: Sequence[int]) -> bool:
        """Whether a value inside a run of items is read after it."""
        start, stop = items[0].start, items[-1].stop
        inner = [item.output for item in items[:-1]]
        return any(value in leaving or any(not start <= reader < stop for reader in self.read[value]) for value in inner)

    def _sequence(self, path: tuple[str, ...], items: Sequence[Item], prefix: str = "", label: str = "") -> SourcePart:
        parts = tuple(self.part(item, (item.name.removeprefix(prefix),)) for item in items)
        first, last = items[0], items[-1]
        part = SourcePart("sequence", path, first.start, last.stop, first.inputs, last.output, parts=parts, label=label)
        part.training_only = self._training_only(part)
        return part

    def part(self, item: Item, path: tuple[str, ...]) -> SourcePart:
        if item.region is None:
            return self._layer(item, path)
        region = item.region
        if self._is_sequence(item.items) and (region.kind != "block" or self._is_inline(item)):
            return self._sequence(path, item.items, label=region.label)
        parts = self.level(item.items, item.inputs[0], (item.output,))
        part = SourcePart("block", path, item.start, item.stop, item.inputs, item.output, parts=parts, label=region.label)
        part.training_only = self._training_only(part)
        return part

    def _is_inline(self, item: Item) -> bool:
        """Whether a block that runs in order is written where it is used: it is short, or used once, and numbered."""
        assert item.region is not None
        if not all(child.name.isdigit() for child in item.items):
            return False
        layers = all(child.region is None for child in item.items)
        return layers and (len(item.items) <= LARGEST_INLINE or self.uses[item.region.label] < 3)

    def _layer(self, item: Item, path: tuple[str, ...]) -> SourcePart:
        node = self.graph.nodes[item.start]
        overwrites = item.start in self.overwritten
        call = None if len(node.inputs) > 1 else _call(node, item.start in self.classes)
        if call is not None and node.op.inplace and not node.op.joins:
            call = SourceCall(call.callee, (*call.arguments, SourceArgument("inplace", overwrites, False)))
        part = SourcePart("layer", path, item.start, item.stop, item.inputs, item.output, node.op, call, overwrites=overwrites)
        part.training_only = self._training_only(part)
        arguments = tuple((argument.name, _fixed(argument)) for argument in call.arguments) if call else ()
        part.signature = (node.op.name, call.callee if call else "", arguments, len(item.inputs))
        return part

    def _training_only(self, part: SourcePart) -> bool:
        nodes = range(part.start, part.stop)
        return part.output in self.skipped and not any(at in self.kept for at in nodes)


def signature_of(part: SourcePart) -> Signature:
    """What distinguishes a part from others that no arguments can make of it. That of a block is its class, once it has one."""
    if part.kind == "sequence":
        return ("sequence", tuple((each.name, signature_of(each)) for each in part.parts))
    if part.kind == "block" and not part.signature:
        return ("block", *level_signature(part))
    return part.signature


def level_signature(part: SourcePart, without: Mapping[int, int] | None = None) -> Signature:
    """The names, kinds and wiring of the parts of a block.

    As if those at the places of `without` were not there: each passes on the input that `without` says.
    """
    places: dict[int, int] = {part.inputs[0]: -1}
    found: list[object] = []
    count = 0
    for place, each in enumerate(part.parts):
        if without and place in without:
            places[each.output] = places[each.inputs[without[place]]]
            continue
        reads = tuple(places[value] for value in each.inputs)
        found.append((each.path, signature_of(each), reads))
        if each.output not in each.inputs:
            places[each.output] = count
        count += 1
    return (tuple(found), places[part.output])


def _fixed(argument: SourceArgument) -> object:
    """What of an argument distinguishes blocks: words, and whether there is a number."""
    match argument.value:
        case str() | None:
            return argument.value
        case tuple() if len(argument.value) != 2:
            return len(argument.value)
    return "number"


def _call(node: Node, classes: bool) -> SourceCall:
    call = node.op.module_call()
    if node.op.own_tensor and node.init:
        kept = [argument for argument in call.arguments if argument.name != "fill_value"]
        call = SourceCall(call.callee, (*kept, SourceArgument("fill_value", fill_value(node), positional=True)))
    if classes:
        field = "out_features" if any(argument.name == "out_features" for argument in call.arguments) else "out_channels"
        call = SourceCall(
            call.callee,
            tuple(
                SourceArgument(each.name, ClassCount(each.value), each.default, each.positional)  # type: ignore[arg-type]
                if each.name == field
                else each
                for each in call.arguments
            ),
        )
    return call


def _count_labels(items: Sequence[Item]) -> dict[str, int]:
    """How many regions have each label."""
    found: dict[str, int] = {}
    for item in items:
        if item.region is not None:
            found[item.region.label] = found.get(item.region.label, 0) + 1
            for label, count in _count_labels(item.items).items():
                found[label] = found.get(label, 0) + count
    return found
