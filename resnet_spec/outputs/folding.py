"""Folds batch norm into the convolutions and linear layers before it: the network of a graph, as another spec.

In evaluation a batch norm multiplies each channel by a factor and adds a number, which a convolution can do itself: its filters
are multiplied by the factors, and the numbers are its bias. The new spec has one entry for each operation, under the name of
its module, so the keys of what stays are the same. What is computed of an image is the same as well, except for rounding.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

from resnet_spec.graph.model import INPUT, Graph, Node
from resnet_spec.ops import Operation, show
from resnet_spec.ops.definition import FieldKind, fields_of


@dataclass(frozen=True, slots=True)
class Fold:
    """A layer, and the norm behind it that is folded into it."""

    layer: Node
    norm: Node


@dataclass(frozen=True, slots=True)
class Folded:
    """The spec of a network without the norms that could be folded, as plain data, and the pairs that were.

    `kept` are the names of the norms that stay, since no layer with a bias is directly before them, or something else reads it.
    """

    spec: dict[str, object]
    folds: tuple[Fold, ...]
    kept: tuple[str, ...]


def fold_norms(graph: Graph) -> Folded:
    """Fold every norm that only scales channels into the layer before it, if nothing else reads that layer."""
    readers = graph.readers()
    folded: dict[int, int] = {}  # the position of a norm: that of its layer
    kept: list[str] = []
    for position, node in enumerate(graph.nodes):
        if not node.op.scales_channels():
            continue
        before = node.inputs[0]
        alone = before != INPUT and readers[before] == (position,) and before not in graph.returned
        if alone and graph.nodes[before].op.with_bias(graph.nodes[before].shape) is not None:
            folded[position] = before
        else:
            kept.append(node.name)
    folds = tuple(Fold(graph.nodes[layer], graph.nodes[norm]) for norm, layer in folded.items())
    return Folded(_Writer(graph, folded).spec(), folds, tuple(kept))


class _Writer:
    """Writes a graph as a spec with one entry for each operation."""

    def __init__(self, graph: Graph, folded: dict[int, int]) -> None:
        self.graph, self.folded = graph, folded
        self.layers = frozenset(folded.values())

    def spec(self) -> dict[str, object]:
        graph = self.graph
        head = max(graph.head, graph.stem)
        sections = {"stem": (0, graph.stem), "stages": (graph.stem, head), "head": (head, len(graph.nodes))}
        written: dict[str, object] = {
            "spec": 1,
            "name": graph.name,
            "about": "the network of the same name in evaluation, its batch norms folded into the layers before them",
            "input": show(graph.input),
        }
        last = INPUT
        for name, (start, stop) in sections.items():
            entries: dict[str, object] = {}
            for position in range(start, stop):
                if position not in self.folded:
                    entries[graph.nodes[position].name] = self.entry(position, last)
                    last = position
            if entries:
                written[name] = entries
        if graph.outputs:
            outputs = {output.name: self.output(output.value, output.training_only) for output in graph.outputs}
            written["outputs"] = outputs
        elif self.value(graph.output) != last:
            written["outputs"] = self.name(graph.output)
        return written | {"init": graph.init}

    def entry(self, position: int, last: int) -> object:
        node = self.graph.nodes[position]
        op = node.op
        if position in self.layers:
            biased = op.with_bias(node.shape)
            assert biased is not None
            op = biased
        entry: dict[str, object] = {"op": op.name}
        inputs = node.inputs
        if op.takes_like and len(inputs) > 1:
            entry["like"] = self.name(inputs[1])
            inputs = inputs[:1]
        if op.joins is not None:
            entry["from"] = [self.name(value) for value in inputs]
        elif self.value(inputs[0]) != last:
            entry["from"] = self.name(inputs[0])
        if node.init:
            entry["init"] = node.init
        entry |= _arguments(op)
        return op.name if len(entry) == 1 else entry

    def output(self, value: int, training_only: bool) -> object:
        name = self.name(value)
        return {"from": name, "training_only": True} if training_only else name

    def value(self, value: int) -> int:
        """The value that has taken the place of one: a layer that of the norm behind it."""
        return self.folded.get(value, value)

    def name(self, value: int) -> str:
        value = self.value(value)
        return "input" if value == INPUT else self.graph.nodes[value].name


def _arguments(op: Operation) -> dict[str, object]:
    """The fields of an operation as a spec writes them, without those that have their default."""
    found: dict[str, object] = {}
    own = {field.name for field in fields(op)}
    for name, field in fields_of(type(op)).items():
        value = getattr(op, name) if name in own else field.default
        if value != field.default or field.default is None:
            found[name] = _as_written(value, field.kind)
    return found


def _as_written(value: object, kind: FieldKind) -> object:
    """A value as a spec writes it: a pair of equal numbers is one number."""
    if not isinstance(value, tuple):
        return value
    return value[0] if kind == "pair" and value[0] == value[1] else list(value)
