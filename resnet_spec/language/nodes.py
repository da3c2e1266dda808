"""The tree of a YAML document, in which every key and value has its place in the text."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from resnet_spec.diagnostics import Span

ScalarValue = str | int | float | bool | None


@dataclass(frozen=True, slots=True, eq=False)
class ScalarNode:
    """One value. `text` is what was written, `unquoted` whether it was written without quotes.

    `invalid`, here and on the other nodes: a finding about the form of the document was reported for this node.
    """

    value: ScalarValue
    span: Span
    text: str = ""
    unquoted: bool = True
    invalid: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class SequenceNode:
    """A list of values."""

    items: tuple[YamlNode, ...]
    span: Span
    invalid: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class Entry:
    """A key of a mapping and its value."""

    key: Span
    value: YamlNode


@dataclass(frozen=True, slots=True, eq=False)
class MappingNode:
    """Keys and values in the order in which they are written."""

    entries: dict[str, Entry]
    span: Span
    invalid: bool = False

    def get(self, key: str) -> YamlNode | None:
        """The value of a key; None where the key is absent."""
        entry = self.entries.get(key)
        return None if entry is None else entry.value

    def without(self, keys: Iterable[str]) -> MappingNode:
        """The same mapping without some keys."""
        return MappingNode({key: entry for key, entry in self.entries.items() if key not in keys}, self.span, self.invalid)


YamlNode = ScalarNode | SequenceNode | MappingNode
NodePath = tuple[str | int, ...]  # the keys and indices that lead to a node


def to_data(node: YamlNode) -> object:
    """Convert a tree to plain data: dict, list, str, int, float, bool, None."""
    match node:
        case ScalarNode():
            return node.value
        case SequenceNode():
            return [to_data(item) for item in node.items]
        case MappingNode():
            return {key: to_data(entry.value) for key, entry in node.entries.items()}


def key_paths(root: MappingNode) -> dict[str, list[str]]:
    """For each key, the dotted paths of its entries below `root`, the shallowest first."""
    found: dict[str, list[str]] = {}
    level = [("", root)]
    while level:
        below: list[tuple[str, MappingNode]] = []
        for prefix, mapping in level:
            for key, entry in mapping.entries.items():
                found.setdefault(key, []).append(prefix + key)
                if isinstance(entry.value, MappingNode):
                    below.append((f"{prefix}{key}.", entry.value))
        level = below
    return found


def mark_invalid(node: YamlNode, paths: Iterable[NodePath]) -> YamlNode:
    """The tree with the nodes at `paths` marked as invalid; a path without a node is ignored."""
    here = False
    below: dict[str | int, list[NodePath]] = {}
    for path in paths:
        if path:
            below.setdefault(path[0], []).append(path[1:])
        else:
            here = True
    match node:
        case MappingNode() if below:
            entries = {
                key: Entry(entry.key, mark_invalid(entry.value, below[key])) if key in below else entry
                for key, entry in node.entries.items()
            }
            return MappingNode(entries, node.span, here)
        case SequenceNode() if below:
            items = tuple(mark_invalid(item, below.get(number, ())) for number, item in enumerate(node.items))
            return SequenceNode(items, node.span, here)
    return replace(node, invalid=True) if here else node


def move_to_alias(node: YamlNode, use: Span) -> YamlNode:
    """The tree as an alias repeats it: each place is that of the alias, with the place under the anchor as its `anchor`."""
    here = use.with_anchor(node.span)
    match node:
        case ScalarNode():
            return ScalarNode(node.value, here, node.text, node.unquoted)
        case SequenceNode():
            return SequenceNode(tuple([move_to_alias(item, use) for item in node.items]), here)
        case MappingNode():
            entries = {
                name: Entry(use.with_anchor(entry.key), move_to_alias(entry.value, use)) for name, entry in node.entries.items()
            }
            return MappingNode(entries, here)
