"""The statements of a constructor: the modules of a class."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

from resnet_spec.outputs.source.class_calls import CallPlace, ClassCalls
from resnet_spec.outputs.source.layout import WIDTH, Call, Code, Element, Text, flat, lay_out, quoted, shape_literal
from resnet_spec.outputs.source.loops import find_runs, make_loop, name_loop
from resnet_spec.outputs.source.names import DICT_ATTRIBUTES, is_attribute, variable
from resnet_spec.outputs.source.parts import SourcePart

BODY = 8  # columns of a statement in a method
Tree: TypeAlias = "dict[str, Tree] | tuple[int, SourcePart]"  # the names in a group, and the places of its parts


class Constructor:
    """Writes the statements that make the modules of a class. `classes` are the names of generated classes."""

    def __init__(self, calls: ClassCalls, classes: frozenset[str], functional: frozenset[int]) -> None:
        self.calls, self.classes = calls, classes
        self.functional = functional  # the places of parts that are expressions, and no modules
        self.parts = calls.known.parts
        self.containers: dict[tuple[str, ...], str] = {}  # groups that are an `nn.ModuleList` or an `nn.ModuleDict`
        self.uses_any = False
        self.uses_ordered_dict = False

    def statements(self) -> list[str]:
        lines: list[str] = []
        groups: set[str] = set()
        condition, declared, assigned = "", 0, 0  # of optional modules: the last `if`, and where more of them can be added
        for place, part in enumerate(self.parts):
            if place in self.calls.flags and part.op is not None and part.op.joins:
                lines.append(f"{' ' * BODY}self.{join_flag(self.calls, part)} = {self.calls.flags[place].text}")
            if place in self.functional or _is_empty(part):
                continue
            if place in self.calls.flags and is_attribute(part.name):
                text = self.calls.flags[place].text
                if text != condition or assigned != len(lines):
                    condition, declared = text, len(lines)
                    lines.append(f"{' ' * BODY}if {text}:")
                lines.insert(declared, f"{' ' * BODY}self.{part.name}: nn.Module | None = None")
                declared += 1
                lines += self._assignment(part.name, self.node((place,), part), BODY + 4, part)
                assigned = len(lines)
            elif len(part.path) == 1:
                lines += self._attribute(place, part)
            elif part.path[0] not in groups:
                groups.add(part.path[0])
                lines += self._group(part.path[0])
        return lines

    def sequential(self) -> list[str]:
        """The body of the constructor of a class of `nn.Sequential`."""
        items = [Element(self.node((place,), part)) for place, part in enumerate(self.parts)]
        return lay_out("", Call("super().__init__", tuple(items)), "", BODY)

    def _attribute(self, place: int, part: SourcePart) -> list[str]:
        node = self.node((place,), part)
        name = part.name
        if place in self.calls.flags:
            condition = self.calls.flags[place].text
            empty = lay_out("", Call("self.register_module", (Element(Text(quoted(name))), Element(Text("None")))), "", BODY)
            return [*empty, f"{' ' * BODY}if {condition}:", *self._assignment(name, node, BODY + 4, part)]
        return self._assignment(name, node, BODY, part)

    def _assignment(self, name: str, node: Code, indent: int, part: SourcePart) -> list[str]:
        if is_attribute(name):
            return lay_out(f"self.{name} = ", node, "", indent)
        method = "register_parameter" if part.is_parameter else "add_module"
        return lay_out("", Call(f"self.{method}", (Element(Text(quoted(name))), Element(node))), "", indent)

    def _group(self, group: str) -> list[str]:
        """The modules of a group, in the order of their names: containers in containers, if these can have such children."""
        members = [
            (place, part)
            for place, part in enumerate(self.parts)
            if part.path[0] == group and place not in self.functional and not _is_empty(part)
        ]
        tree: dict[str, Tree] = {}
        for place, part in members:
            inner = tree
            for name in part.path[1:-1]:
                found = inner.setdefault(name, {})
                assert isinstance(found, dict)
                inner = found
            inner[part.name] = (place, part)
        if not any(part.is_parameter for _, part in members) and is_attribute(group) and _can_be_containers(tree):
            node = self._container((group,), tree)
            is_nested = any(len(part.path) > 2 for _, part in members)
            self.uses_any |= is_nested
            return lay_out(f"self.{group}{': Any' if is_nested else ''} = ", node, "", BODY)
        return self._holders((group,), tree)

    def _container(self, path: tuple[str, ...], tree: dict[str, Tree]) -> Code:
        """A list or a dict of modules."""
        nodes = [
            self._container((*path, name), inner) if isinstance(inner, dict) else self.node((inner[0],), inner[1])
            for name, inner in tree.items()
        ]
        names = list(tree)
        is_list = _are_numbered(names)
        self.containers[path] = "list" if is_list else "dict"
        if is_list:
            runs = find_runs(nodes, names, True, lambda node: isinstance(node, Call))
            if len(runs) == 1 and len(nodes) > 1:
                return Call("nn.ModuleList", (Element(make_loop(nodes)),))
            items = [_item(nodes, names, run, True, "") for run in runs]
            return Call("nn.ModuleList", (Element(Call("", tuple(items), "[]")),))
        pairs = [Element(node, f"{quoted(name)}: ") for name, node in zip(names, nodes, strict=True)]
        return Call("nn.ModuleDict", (Element(Call("", tuple(pairs), "{}")),))

    def _holders(self, path: tuple[str, ...], tree: dict[str, Tree]) -> list[str]:
        """The modules of a group one by one, for names that containers do not accept, and for tensors."""
        lines = self._add("add_module", path, Text("nn.Module()"))
        for name, inner in tree.items():
            if isinstance(inner, dict):
                lines += self._holders((*path, name), inner)
                continue
            place, part = inner
            lines += self._add(
                "register_parameter" if part.is_parameter else "add_module", part.path, self.node((place,), part)
            )
        return lines

    def _add(self, method: str, path: tuple[str, ...], node: Code) -> list[str]:
        holder = f"self.get_submodule({quoted('.'.join(path[:-1]))})" if len(path) > 1 else "self"
        return lay_out("", Call(f"{holder}.{method}", (Element(Text(quoted(path[-1]))), Element(node))), "", BODY)

    # --- expressions ------------------------------------------------------------------------------------------------------

    def node(self, place: CallPlace, part: SourcePart) -> Code:
        """The expression that makes a part."""
        if part.kind == "sequence":
            return self._sequence(place, part)
        if _is_empty(part):
            return Text("nn.Identity()")
        call = self.calls.calls[place]
        node = Call(call.callee, tuple(Element(Text(text), prefix) for prefix, text in self.calls.arguments(place)))
        return Call("nn.Parameter", (Element(node),)) if part.is_parameter else node

    def _sequence(self, place: CallPlace, part: SourcePart) -> Code:
        nodes = [self.node((*place, at), each) for at, each in enumerate(part.parts)]
        names = [each.name for each in part.parts]
        numbered = _are_numbered(names)
        comments = self._comments(part)
        runs = find_runs(nodes, names, numbered, self._repeats)
        sequence = Call("nn.Sequential", tuple(_item(nodes, names, run, True, "") for run in runs))
        long = len(flat(sequence)) > WIDTH - 2 * BODY or len(runs) > 2
        notes = comments if long else [""] * len(nodes)
        if numbered:
            return Call("nn.Sequential", tuple(_item(nodes, names, run, True, notes[run[1] - 1]) for run in runs))
        self.uses_ordered_dict = True
        if len(runs) == 1 and len(nodes) > 1:
            return Call("nn.Sequential", (Element(name_loop(nodes, names, "OrderedDict")),))
        if all(map(is_attribute, names)) and len(runs) == len(nodes):
            items = [Element(nodes[at], f"{names[at]}=", notes[at]) for at in range(len(nodes))]
            return Call("nn.Sequential", (Element(Call("OrderedDict", tuple(items))),))
        pairs = [_item(nodes, names, run, False, notes[run[1] - 1]) for run in runs]
        return Call("nn.Sequential", (Element(Call("OrderedDict", (Element(Call("", tuple(pairs), "[]")),))),))

    def _comments(self, part: SourcePart) -> list[str]:
        """The shape after each part of a sequence that is used once, where it changes."""
        if len(self.calls.known.uses) > 1:
            return [""] * len(part.parts)
        shapes = [shape_literal(self.calls.shape_of(each.output)) for each in part.parts]
        return [shape if at == 0 or shape != shapes[at - 1] else "" for at, shape in enumerate(shapes)]

    def _repeats(self, node: Code) -> bool:
        return isinstance(node, Call) and (node.head in self.classes or node.head == "nn.Sequential")


def _item(nodes: Sequence[Code], names: Sequence[str], run: tuple[int, int], numbered: bool, comment: str) -> Element:
    """A run of nodes as an element of a list, or of a list of pairs with their names."""
    start, stop = run
    if stop - start == 1:
        node = nodes[start]
        return Element(node if numbered else Call("", (Element(Text(quoted(names[start]))), Element(node))), "", comment)
    loop = make_loop(nodes[start:stop]) if numbered else name_loop(nodes[start:stop], names[start:stop], "", "[]")
    return Element(loop, "*", comment)


def _are_numbered(names: Sequence[str]) -> bool:
    return list(names) == [str(at) for at in range(len(names))]


def _can_be_containers(tree: dict[str, Tree]) -> bool:
    """Whether containers accept all names in a group."""
    inner = [each for each in tree.values() if isinstance(each, dict)]
    return not DICT_ATTRIBUTES & tree.keys() and all(map(_can_be_containers, inner))


def join_flag(calls: ClassCalls, part: SourcePart) -> str:
    """The attribute that says whether an optional join is there."""
    name = "residual" if part.op is not None and part.op.joins == "sum" else f"with_{variable(part.name)}"
    while any(name in each.path for each in calls.known.parts):
        name += "_"
    return name


def _is_empty(part: SourcePart) -> bool:
    """Whether a block or a sequence has no operations, and passes on its input."""
    return part.kind != "layer" and not part.parts
