"""Graphs under construction, and expanded blocks that can be copied into them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from resnet_spec.diagnostics import Span
from resnet_spec.graph.model import INPUT, BrokenNode, Node, Region, RegionKind
from resnet_spec.language.expressions import Number
from resnet_spec.language.spec import Block
from resnet_spec.ops import Shape


@dataclass(frozen=True, slots=True)
class Val:
    """A value of a body: the position of its node, and its shape (None: unknown, because something before it failed)."""

    id: int
    shape: Shape | None

    @property
    def channels(self) -> int | None:
        return None if self.shape is None else self.shape[0]


UNKNOWN = Val(INPUT, None)


@dataclass(slots=True, eq=False)
class Body:
    """Nodes and regions under construction, with names relative to the body."""

    nodes: list[Node] = field(default_factory=list)
    regions: list[Region] = field(default_factory=list)
    broken: list[BrokenNode] = field(default_factory=list)
    blocks: int = 0

    def open(self, name: str, kind: RegionKind, label: str, entering: int, span: Span) -> int:
        start = len(self.nodes)
        self.regions.append(Region(name, kind, label, start, start, entering, entering, span))
        return len(self.regions) - 1

    def close(self, region: int, output: int) -> None:
        self.regions[region] = replace(self.regions[region], stop=len(self.nodes), output=output)

    def copy(self, template: Template, name: str, entering: int, span: Span) -> int:
        """Append a copy of a block's nodes under a name; returns the position of its output."""
        base = len(self.nodes)
        prefix = name + "."
        append = self.nodes.append
        for node in template.body.nodes:
            inputs = tuple([entering if value == INPUT else value + base for value in node.inputs])
            append(Node(prefix + node.name, node.op, inputs, node.shape, node.span, node.init))
        output = entering if template.output.id == INPUT else template.output.id + base
        self.regions.append(Region(name, "block", template.block, base, len(self.nodes), entering, output, span))
        for region in template.body.regions:
            inside = entering if region.input == INPUT else region.input + base
            leaving = entering if region.output == INPUT else region.output + base
            at = (region.start + base, region.stop + base)
            self.regions.append(Region(prefix + region.name, region.kind, region.label, *at, inside, leaving, region.span))
        for part in template.body.broken:
            inputs = tuple([entering if value == INPUT else value + base for value in part.inputs])
            self.broken.append(BrokenNode(prefix + part.name, part.op, inputs, part.message, part.span))
        self.blocks += template.body.blocks + 1
        return output


@dataclass(frozen=True, slots=True, eq=False)
class Template:
    """A block expanded once. `read` are the index facts that it depends on."""

    block: str
    body: Body
    output: Val
    read: frozenset[str]


@dataclass(frozen=True, slots=True)
class TemplateKey:
    """What the expansion of a block depends on, except index facts. Arguments include types, since 1 == 1.0 == True."""

    block: Block
    entering: Shape
    arguments: tuple[tuple[str, type[Number], Number], ...]


class Templates:
    """The blocks that were already expanded. One can be reused where the index facts that it read have the same values."""

    def __init__(self) -> None:
        # By key, then by the names of the facts that were read, then by their values.
        self._found: dict[TemplateKey, dict[tuple[str, ...], dict[tuple[Number | None, ...], Template]]] = {}

    def find(self, key: TemplateKey, facts: Mapping[str, Number]) -> Template | None:
        for names, by_values in self._found.get(key, {}).items():
            if (template := by_values.get(tuple([facts.get(name) for name in names]))) is not None:
                return template
        return None

    def add(self, key: TemplateKey, facts: Mapping[str, Number], template: Template) -> None:
        names = tuple(sorted(template.read & facts.keys()))
        values = tuple([facts[name] for name in names])
        self._found.setdefault(key, {}).setdefault(names, {})[values] = template
