"""Graphs under construction, and expanded blocks that can be copied into them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from resnet_spec.diagnostics import Label, Span
from resnet_spec.graph.model import INPUT, BrokenNode, Node, Region, RegionKind
from resnet_spec.language.expressions import Number, Value
from resnet_spec.language.spec import Block
from resnet_spec.lowering.roles import Roles
from resnet_spec.lowering.values import refuse
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
class Place:
    """A module whose children get their names: `prefix` is its path in the body, with a dot.

    `numbered`: they are called by their number, and `count` is how many there are. `nested`: it is a module inside the
    body, and not the body itself or a group in it.
    """

    prefix: str = ""
    numbered: bool = False
    nested: bool = False
    count: int = 0


@dataclass(slots=True, eq=False)
class Body:
    """Nodes and regions under construction, with names relative to the body.

    `taken` are the names of modules, with the places where they are written. `items` are those of its own children in order;
    names of children in groups are paths.
    """

    nodes: list[Node] = field(default_factory=list)
    regions: list[Region] = field(default_factory=list)
    broken: list[BrokenNode] = field(default_factory=list)
    blocks: int = 0
    taken: dict[str, Span] = field(default_factory=dict)
    items: list[str] = field(default_factory=list)
    depth: int = 0  # of the regions that are open
    places: dict[str, Place] = field(default_factory=dict)  # of groups, by their paths

    def name_in(self, place: Place, written: str, span: Span) -> str:
        """The name of the next child of a place. Raises UnknownValueError where it is taken."""
        if not place.numbered and "." in written:
            path, _, written = written.rpartition(".")
            place = self.open_groups(place, path.split("."))
        name = place.prefix + (str(place.count) if place.numbered else written)
        place.count += 1
        if name in self.taken:
            message = f"two modules are called `{name}`"
            help = "rename one of them; `numbered` places count all their entries"
            if self.taken[name] is span:
                help = "let `names` differ for each block of the stage, such as `names: block{index}`"
            raise refuse("duplicate-name", message, span, help, (Label(self.taken[name], "first here"),))
        self.taken[name] = span
        if not place.nested:
            self.items.append(name)
        return name

    def open_groups(self, place: Place, groups: Sequence[str], numbered: bool = False) -> Place:
        """The place of a group, which may have been opened before; those around it are opened too."""
        for name in groups:
            path = place.prefix + name
            place = self.places.setdefault(path, Place(path + ".", numbered, place.nested))
        return place

    def open(self, name: str, kind: RegionKind, label: str, entering: int, span: Span, inline: bool, written: str) -> int:
        start = len(self.nodes)
        shown = "" if written == name else written
        self.regions.append(Region(name, kind, label, start, start, entering, entering, span, self.depth, inline, shown))
        self.depth += 1
        return len(self.regions) - 1

    def close(self, region: int, output: int) -> None:
        self.regions[region] = replace(self.regions[region], stop=len(self.nodes), output=output)
        self.depth -= 1

    def copy(self, template: Template, name: str, entering: int, span: Span, written: str) -> int:
        """Append a copy of a block's nodes as a module with a name; returns the position of its output."""
        base = len(self.nodes)
        prefix = name + "."
        outside = "" if written == name and not template.is_renamed else written + "."
        append = self.nodes.append
        for node in template.body.nodes:
            inputs = tuple([entering if value == INPUT else value + base for value in node.inputs])
            name_of_node = prefix + node.name
            shown = outside and outside + (node.written or node.name)
            shown = "" if shown == name_of_node else shown
            append(Node(name_of_node, node.op, inputs, node.shape, node.span, node.init, shown))
        names = [(written + "." if region.inline else prefix) + region.name for region in template.body.regions]
        return self._copy_regions(template, name, names, base, entering, span, written)

    def copy_inline(self, template: Template, place: Place, entering: int, span: Span, written: str) -> int:
        """Append a copy of a block's nodes as children of a place; returns the position of its output."""
        base = len(self.nodes)
        names = {item: self.name_in(place, item, span) for item in template.body.items}

        def rename(name: str) -> str:
            item = name
            while item not in names:
                item = item.rpartition(".")[0]
            return names[item] + name[len(item) :]

        for node in template.body.nodes:
            inputs = tuple([entering if value == INPUT else value + base for value in node.inputs])
            name, shown = rename(node.name), f"{written}.{node.written or node.name}"
            self.nodes.append(Node(name, node.op, inputs, node.shape, node.span, node.init, "" if shown == name else shown))
        inner = [f"{written}.{region.name}" if region.inline else rename(region.name) for region in template.body.regions]
        return self._copy_regions(template, written, inner, base, entering, span, written, inline=True)

    def _copy_regions(
        self,
        template: Template,
        name: str,
        names: list[str],
        base: int,
        entering: int,
        span: Span,
        written: str,
        inline: bool = False,
    ) -> int:
        output = entering if template.output.id == INPUT else template.output.id + base
        shown, depth = "" if written == name else written, self.depth
        stop = len(self.nodes)
        self.regions.append(Region(name, "block", template.block, base, stop, entering, output, span, depth, inline, shown))
        for inner, region in zip(names, template.body.regions, strict=True):
            inside = entering if region.input == INPUT else region.input + base
            leaving = entering if region.output == INPUT else region.output + base
            at = (region.start + base, region.stop + base)
            below, its = depth + 1 + region.depth, f"{written}.{region.written or region.name}"
            self.regions.append(
                Region(
                    inner,
                    region.kind,
                    region.label,
                    *at,
                    inside,
                    leaving,
                    region.span,
                    below,
                    region.inline,
                    "" if its == inner else its,
                )
            )
        for part in template.body.broken:
            inputs = tuple([entering if value == INPUT else value + base for value in part.inputs])
            self.broken.append(BrokenNode(f"{written}.{part.name}", part.op, inputs, part.message, part.span))
        self.blocks += template.body.blocks + 1
        return output


@dataclass(frozen=True, slots=True, eq=False)
class Template:
    """A block expanded once. `read` are the index facts that it depends on. `is_renamed`: some names are not those in the
    file."""

    block: str
    body: Body
    output: Val
    read: frozenset[str]
    is_renamed: bool = False


@dataclass(frozen=True, slots=True)
class TemplateKey:
    """What the expansion of a block depends on, except index facts. Arguments include types, since 1 == 1.0 == True."""

    block: Block
    entering: Shape
    arguments: tuple[tuple[str, type[Value], Value], ...]
    roles: Roles
    numbered: bool


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
