"""Reads the `expect` of a spec: exact values, bounds, and sizes of images that the network accepts."""

from __future__ import annotations

from collections.abc import Callable

from resnet_spec.diagnostics import Span
from resnet_spec.language.nodes import Entry, MappingNode, ScalarNode, SequenceNode, YamlNode
from resnet_spec.language.parsing_entries import scalars_in
from resnet_spec.language.spec import Bounds, Expect

COUNTS = ("params", "buffers", "macs")
Refuse = Callable[[str, str, Span, str], None]  # code, message, place, help


def read_expect(node: YamlNode | None, refuse: Refuse) -> Expect | None:
    """Read an `expect` that conforms to the schema; bounds that allow nothing, or everything, are refused."""
    if not isinstance(node, MappingNode):
        return None
    counts: dict[str, int] = {}
    bounds: dict[str, Bounds] = {}
    for key in COUNTS:
        match node.get(key):
            case ScalarNode() as exact:
                counts[key] = _count(exact)
            case MappingNode() as mapping:
                bounds[key] = _read_bounds(key, mapping, node.entries[key].key, refuse)
    ends = scalars_in(node.get("squares"))
    return Expect(
        tuple(map(_count, scalars_in(node.get("output")))) if node.get("output") is not None else None,
        counts,
        bounds,
        (_count(ends[0]), None if ends[1].value is None else _count(ends[1])) if len(ends) == 2 else None,
        tuple((*_size(item), item.span) for item in scalars_in(node.get("accepts"))),
        {key: entry.value for key, entry in node.entries.items() if isinstance(entry.value, ScalarNode | SequenceNode)},
        {
            name: (tuple(map(_count, scalars_in(entry.value))), entry.value.span)
            for name, entry in _entries(node.get("outputs"))
        },
    )


def _entries(node: YamlNode | None) -> tuple[tuple[str, Entry], ...]:
    return tuple(node.entries.items()) if isinstance(node, MappingNode) else ()


def _read_bounds(key: str, mapping: MappingNode, place: Span, refuse: Refuse) -> Bounds:
    values = {end: _count(value) for end in ("least", "most") if isinstance(value := mapping.get(end), ScalarNode)}
    spans = {end: mapping.entries[end].value.span for end in values}
    found = Bounds(values.get("least"), values.get("most"), spans)
    if not values:
        refuse("missing-field", f"`expect.{key}` has no bounds", place, f"write `{key}: {{most: 5000000}}`, or an exact number")
    elif found.least is not None and found.most is not None and found.least > found.most:
        message = f"no number is at least {found.least:,} and at most {found.most:,}"
        refuse("out-of-range", message, spans["most"], "`least` must not be larger than `most`")
    return found


def _count(scalar: ScalarNode) -> int:
    """An integer of `expect`; for the schema, `4.0` and `1e3` are integers too."""
    assert isinstance(scalar.value, int | float)
    return int(scalar.value)


def _size(scalar: ScalarNode) -> tuple[int, int]:
    height, width = scalar.text.split("x")
    return int(height), int(width)
