"""The statements of a constructor: the modules of a class."""

from __future__ import annotations

import re
from collections.abc import Sequence

from resnet_spec.outputs.source.class_calls import ClassCalls, Place
from resnet_spec.outputs.source.layout import WIDTH, Call, Comprehension, Item, Node, Text, flat, lay_out, quoted
from resnet_spec.outputs.source.names import DICT_ATTRIBUTES, is_attribute, variable
from resnet_spec.outputs.source.parts import Part

BODY = 8  # columns of a statement in a method
_NUMBER = re.compile(r"\d+")


class Constructor:
    """Writes the statements that make the modules of a class. `classes` are the names of generated classes."""

    def __init__(self, calls: ClassCalls, classes: frozenset[str], functional: frozenset[int]) -> None:
        self.calls, self.classes = calls, classes
        self.functional = functional  # the places of parts that are expressions, and no modules
        self.parts = calls.known.parts
        self.dicts: set[str] = set()  # the groups that are an `nn.ModuleDict`
        self.uses_ordered_dict = False

    def statements(self) -> list[str]:
        lines: list[str] = []
        groups: set[str] = set()
        for place, part in enumerate(self.parts):
            if place in self.calls.flags and part.op is not None and part.op.joins:
                lines.append(f"{' ' * BODY}self.{join_flag(self.calls, part)} = {self.calls.flags[place].text}")
            if place in self.functional or _is_empty(part):
                continue
            if len(part.path) == 1:
                lines += self._attribute(place, part)
            elif part.path[0] not in groups:
                groups.add(part.path[0])
                lines += self._group(part.path[0])
        return lines

    def sequential(self) -> list[str]:
        """The body of the constructor of a class of `nn.Sequential`."""
        items = [Item(self.node((place,), part)) for place, part in enumerate(self.parts)]
        return lay_out("", Call("super().__init__", tuple(items)), "", BODY)

    def _attribute(self, place: int, part: Part) -> list[str]:
        node = self.node((place,), part)
        name = part.name
        if place in self.calls.flags:
            condition = self.calls.flags[place].text
            if is_attribute(name):
                declared, assigned = f"self.{name}: nn.Module | None = ", self._assignment(name, node, BODY + 4, part)
                return [*lay_out(declared, Text("None"), "", BODY), f"{' ' * BODY}if {condition}:", *assigned]
            empty = lay_out("", Call("self.register_module", (Item(Text(quoted(name))), Item(Text("None")))), "", BODY)
            return [*empty, f"{' ' * BODY}if {condition}:", *self._assignment(name, node, BODY + 4, part)]
        return self._assignment(name, node, BODY, part)

    def _assignment(self, name: str, node: Node, indent: int, part: Part) -> list[str]:
        if is_attribute(name):
            return lay_out(f"self.{name} = ", node, "", indent)
        method = "register_parameter" if part.is_parameter else "add_module"
        return lay_out("", Call(f"self.{method}", (Item(Text(quoted(name))), Item(node))), "", indent)

    def _group(self, group: str) -> list[str]:
        members = [
            (place, part)
            for place, part in enumerate(self.parts)
            if part.path[0] == group and place not in self.functional and not _is_empty(part)
        ]
        plain = all(len(part.path) == 2 and not part.is_parameter for _, part in members)
        if plain and not DICT_ATTRIBUTES & {part.name for _, part in members}:
            self.dicts.add(group)
            items = [Item(self.node((place,), part), f"{quoted(part.name)}: ") for place, part in members]
            node = Call("nn.ModuleDict", (Item(Call("", tuple(items), "{}")),))
            return self._assignment(group, node, BODY, members[0][1])
        lines: list[str] = []
        made: set[tuple[str, ...]] = set()
        for place, part in members:
            for depth in range(1, len(part.path)):
                if part.path[:depth] not in made:
                    made.add(part.path[:depth])
                    lines += self._add("add_module", part.path[:depth], Text("nn.Module()"))
            method = "register_parameter" if part.is_parameter else "add_module"
            lines += self._add(method, part.path, self.node((place,), part))
        return lines

    def _add(self, method: str, path: tuple[str, ...], node: Node) -> list[str]:
        holder = f"self.get_submodule({quoted('.'.join(path[:-1]))})" if len(path) > 1 else "self"
        return lay_out("", Call(f"{holder}.{method}", (Item(Text(quoted(path[-1]))), Item(node))), "", BODY)

    # --- expressions ------------------------------------------------------------------------------------------------------

    def node(self, place: Place, part: Part) -> Node:
        """The expression that makes a part."""
        if part.kind == "sequence":
            return self._sequence(place, part)
        if _is_empty(part):
            return Text("nn.Identity()")
        call = self.calls.calls[place]
        node = Call(call.callee, tuple(Item(Text(text), prefix) for prefix, text in self.calls.arguments(place)))
        return Call("nn.Parameter", (Item(node),)) if part.is_parameter else node

    def _sequence(self, place: Place, part: Part) -> Node:
        nodes = [self.node((*place, at), each) for at, each in enumerate(part.parts)]
        names = [each.name for each in part.parts]
        numbered = names == [str(at) for at in range(len(names))]
        comments = self._comments(part)
        runs = self._runs(nodes, names, numbered)
        plain = Call("nn.Sequential", tuple(self._item(nodes, names, start, stop, True, "") for start, stop in runs))
        long = len(flat(plain)) > WIDTH - 2 * BODY or len(runs) > 2
        notes = comments if long else [""] * len(nodes)
        if numbered:
            items = [self._item(nodes, names, start, stop, True, notes[stop - 1]) for start, stop in runs]
            return Call("nn.Sequential", tuple(items))
        self.uses_ordered_dict = True
        if len(runs) == 1 and len(nodes) > 1:
            loop = self._loop(nodes, names)
            assert loop is not None
            return Call("nn.Sequential", (Item(loop),))
        if all(map(is_attribute, names)) and all(stop - start == 1 for start, stop in runs):
            items = [Item(nodes[at], f"{names[at]}=", notes[at]) for at in range(len(nodes))]
            return Call("nn.Sequential", (Item(Call("OrderedDict", tuple(items))),))
        items = [self._item(nodes, names, start, stop, False, notes[stop - 1]) for start, stop in runs]
        return Call("nn.Sequential", (Item(Call("OrderedDict", (Item(Call("", tuple(items), "[]")),))),))

    def _comments(self, part: Part) -> list[str]:
        """The shape after each part of a sequence that is used once, where it changes."""
        if len(self.calls.known.uses) > 1:
            return [""] * len(part.parts)
        shapes = [f"(N, {', '.join(map(str, self.calls.shape_of(each.output)))})" for each in part.parts]
        return [shape if at == 0 or shape != shapes[at - 1] else "" for at, shape in enumerate(shapes)]

    def _runs(self, nodes: Sequence[Node], names: Sequence[str], numbered: bool) -> list[tuple[int, int]]:
        """Neighbors that one comprehension makes: calls of the same class with the same, or evenly growing, arguments."""
        runs: list[tuple[int, int]] = []
        at = 0
        while at < len(nodes):
            stop = at + 1
            if self._repeats(nodes[at]):
                while stop < len(nodes) and flat(nodes[stop]) == flat(nodes[at]):
                    stop += 1
                if stop == at + 1:
                    stop = _growing(nodes, at)
                if not numbered and _pattern(names[at:stop], "i") is None:
                    stop = at + 1
            runs.append((at, stop))
            at = stop
        return runs

    def _repeats(self, node: Node) -> bool:
        return isinstance(node, Call) and (node.head in self.classes or node.head == "nn.Sequential")

    def _item(self, nodes: Sequence[Node], names: Sequence[str], start: int, stop: int, numbered: bool, comment: str) -> Item:
        count = stop - start
        if count == 1:
            node = nodes[start]
            return Item(node if numbered else Call("", (Item(Text(quoted(names[start]))), Item(node))), "", comment)
        if not numbered:
            loop = self._loop(nodes[start:stop], names[start:stop])
            assert loop is not None
            return Item(Comprehension("", loop.element, loop.loop, "[]"), "*", comment)
        element, variable = _element(nodes[start:stop])
        return Item(Comprehension("", element, f"for {variable} in range({count})", "[]"), "*", comment)

    def _loop(self, nodes: Sequence[Node], names: Sequence[str]) -> Comprehension | None:
        pattern = _pattern(names, "i")
        if pattern is None:
            return None
        element, _ = _element(nodes)
        pair = Call("", (Item(Text(pattern)), Item(element)))
        return Comprehension("OrderedDict", pair, f"for i in range({len(nodes)})")


def join_flag(calls: ClassCalls, part: Part) -> str:
    """The attribute that says whether an optional join is there."""
    name = "residual" if part.op is not None and part.op.joins == "sum" else f"with_{variable(part.name)}"
    while any(name in each.path for each in calls.known.parts):
        name += "_"
    return name


def _is_empty(part: Part) -> bool:
    """Whether a block or a sequence has no operations, and passes on its input."""
    return part.kind != "layer" and not part.parts


def _pattern(names: Sequence[str], variable: str) -> str | None:
    """Names that count up as an f-string: `f"denselayer{i + 1}"`."""
    if len(names) < 2 or not all(name.isascii() and re.fullmatch(r"[\w-]*?\d+", name) for name in names):
        return None
    (head, first), *others = [re.fullmatch(r"([\w-]*?)(\d+)", name).groups() for name in names]  # type: ignore[union-attr]
    number = int(first)
    if [(head, str(number + 1 + at)) for at in range(len(others))] != others or first != str(number):
        return None
    if head == "":
        return f"str({_linear(number, 1, variable)})"
    return f'f"{head}{{{_linear(number, 1, variable)}}}"'


def _linear(start: int, step: int, variable: str) -> str:
    times = variable if step == 1 else f"{step} * {variable}"
    return times if start == 0 else f"{start} + {times}" if step != 1 else f"{times} + {start}"


def _numbers(node: Node) -> list[int] | None:
    """The whole numbers among the arguments of a call, or None if it has others than numbers and words."""
    if not isinstance(node, Call) or node.head == "nn.Sequential":
        return None
    return [int(item.node.text) for item in node.items if isinstance(item.node, Text) and _NUMBER.fullmatch(item.node.text)]


def _skeleton(node: Call) -> list[str]:
    texts = [(item.prefix, flat(item.node)) for item in node.items]
    return [node.head, *(prefix + ("#" if _NUMBER.fullmatch(text) else text) for prefix, text in texts)]


def _growing(nodes: Sequence[Node], at: int) -> int:
    """Where a run of calls ends whose whole numbers grow evenly; at least three calls make one."""
    first = nodes[at]
    numbers = _numbers(first)
    if not isinstance(first, Call) or not numbers or at + 2 >= len(nodes):
        return at + 1
    second = _numbers(nodes[at + 1])
    if second is None or len(second) != len(numbers):
        return at + 1
    steps = [b - a for a, b in zip(numbers, second, strict=True)]
    stop = at + 1
    while stop < len(nodes):
        node = nodes[stop]
        expected = [start + step * (stop - at) for start, step in zip(numbers, steps, strict=True)]
        if not isinstance(node, Call) or _skeleton(node) != _skeleton(first) or _numbers(node) != expected:
            break
        stop += 1
    return stop if stop - at >= 3 and min(steps) >= 0 else at + 1


def _element(nodes: Sequence[Node]) -> tuple[Node, str]:
    """The element of a comprehension, and its variable: `_` if all are the same."""
    first, second = nodes[0], nodes[1]
    if flat(first) == flat(second):
        return first, "_"
    assert isinstance(first, Call)
    assert isinstance(second, Call)
    items = []
    for one, two in zip(first.items, second.items, strict=True):
        a, b = flat(one.node), flat(two.node)
        items.append(one if a == b else Item(Text(_linear(int(a), int(b) - int(a), "i")), one.prefix))
    return Call(first.head, tuple(items)), "i"
