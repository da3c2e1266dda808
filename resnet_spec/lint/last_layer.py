"""The last layer with weights of a network that outputs a vector: usually the classifier, whose outputs are the logits."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from resnet_spec.diagnostics import Source, Span
from resnet_spec.graph.model import Graph, Node
from resnet_spec.language.spec import ScalarNode, Spec, Use, paths_of
from resnet_spec.ops import fields_of


@dataclass(frozen=True, slots=True, eq=False)
class LastLayer:
    """The last layer with weights, in the head.

    `count` is the number of outputs. `written` is the value that sets it, under the name `field`, if that is a plain number.
    `entry` is the entry of the head that the layer is in, `entries` are all of them by name, and `sources` are the files that
    define those up to this one.
    """

    position: int
    node: Node
    count: int
    entry: Use
    entries: dict[str, Use]
    sources: frozenset[Source]
    field: str
    written: ScalarNode | None

    def entry_of(self, node: Node) -> Use | None:
        """The entry of the head that a node is in."""
        return _entry_of(self.entries, node)

    def is_appended(self, entry: Use) -> bool:
        """Whether an entry behind the layer was added to a head that another file defines."""
        added = entry.op_span.source
        return any(source is not added and source.origin != "command line" for source in self.sources)


def find_last_layer(spec: Spec, graph: Graph, layers: Collection[int]) -> LastLayer | None:
    """Find the last layer of a network among the positions of all layers with weights; None if the output is a feature map, or
    the last layer is not in the head."""
    output = graph.shape_of(graph.output)
    if len(output) != 1 or not layers:
        return None
    needed = graph.needed_by((graph.output,))
    position = max((position for position in layers if position in needed), default=-1)
    if position < 0 or graph.nodes[position].shape[0] != output[0]:
        return None
    node = graph.nodes[position]
    entries = {path: use for path, use in paths_of(spec.head) if isinstance(use, Use)}
    last = _entry_of(entries, node)
    if last is None:
        return None
    before = list(entries.values())
    sources = frozenset(entry.op_span.source for entry in before[: before.index(last) + 1])
    use = _find_use(last, node.span)
    field, written = ("", None) if use is None else _outputs_of(use, node)
    return LastLayer(position, node, output[0], last, entries, sources, field, written)


def _entry_of(entries: Mapping[str, Use], node: Node) -> Use | None:
    """The entry that a node is in."""
    path = node.written or node.name
    while path and path not in entries:
        path = path.rpartition(".")[0]
    return entries.get(path)


def _find_use(use: Use, key: Span) -> Use | None:
    """The use with a key, among a use and the operations of its sequence."""
    if use.key == key:
        return use
    found = (_find_use(inner, key) for inner in use.ops)
    return next((each for each in found if each is not None), None)


def _outputs_of(use: Use, node: Node) -> tuple[str, ScalarNode | None]:
    """The field that sets the number of outputs of a layer, and its value, if that is written as a plain number."""
    for name, field in fields_of(type(node.op)).items():
        argument = use.arguments.get(name)
        if field.required and field.kind == "int" and argument is not None:
            value = argument.value
            is_number = isinstance(value, ScalarNode) and isinstance(value.value, int)
            return name, value if isinstance(value, ScalarNode) and is_number else None
    return "", None
