"""Neighbors in a sequence that one comprehension makes: equal calls, and calls whose numbers grow evenly."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from itertools import product

from resnet_spec.outputs.source.layout import Call, Code, Comprehension, Element, Text, flat

_NUMBER = re.compile(r"\d+")
_FLOAT = re.compile(r"\d+\.\d+|\d+(\.\d+)?e-\d+")
LEAST = 3  # calls with numbers that grow
MOST_PARTS = 1000  # into which a rate is divided
MOST_DIGITS = 3  # of a rate


def find_runs(
    nodes: Sequence[Code], names: Sequence[str], numbered: bool, repeats: Callable[[Code], bool]
) -> list[tuple[int, int]]:
    """Divide nodes into runs that one comprehension makes, and single ones. Names that are no numbers must count up."""
    runs: list[tuple[int, int]] = []
    at = 0
    while at < len(nodes):
        stop = at + 1
        if repeats(nodes[at]):
            while stop < len(nodes) and flat(nodes[stop]) == flat(nodes[at]):
                stop += 1
            if stop == at + 1:
                stop = max(_growing(nodes, at), _divided(nodes, at))
            if not numbered and pattern(names[at:stop]) is None:
                stop = at + 1
        runs.append((at, stop))
        at = stop
    return runs


def make_loop(nodes: Sequence[Code]) -> Comprehension:
    """A list of the nodes of a run."""
    first, second = nodes[0], nodes[1]
    if flat(first) == flat(second):
        return Comprehension("", first, f"for _ in range({len(nodes)})", "[]")
    assert isinstance(first, Call)
    assert isinstance(second, Call)
    items: list[Element] = []
    begin = 0
    for place, (one, two) in enumerate(zip(first.items, second.items, strict=True)):
        a, b = flat(one.node), flat(two.node)
        if a == b:
            items.append(one)
        elif _NUMBER.fullmatch(a):
            items.append(Element(Text(_linear(int(a), int(b) - int(a))), one.prefix))
        else:
            fraction = _fraction([float(flat(node.items[place].node)) for node in nodes if isinstance(node, Call)])
            assert fraction is not None
            rate, parts, begin = fraction
            items.append(Element(Text(f"{rate!r} * i / {parts}"), one.prefix))
    loop = f"range({begin}, {begin + len(nodes)})" if begin else f"range({len(nodes)})"
    return Comprehension("", Call(first.head, tuple(items)), f"for i in {loop}", "[]")


def name_loop(nodes: Sequence[Code], names: Sequence[str], head: str, brackets: str = "()") -> Comprehension:
    """Pairs of a name and a node for the nodes of a run, whose names count up."""
    counted = pattern(names)
    assert counted is not None
    loop = make_loop(nodes)
    text = loop.loop if "for _ " not in loop.loop else f"for i in range({len(nodes)})"
    return Comprehension(head, Call("", (Element(Text(counted)), Element(loop.element))), text, brackets)


def pattern(names: Sequence[str]) -> str | None:
    """Names that count up as an f-string: `f"denselayer{i + 1}"`."""
    if len(names) < 2 or not all(name.isascii() and re.fullmatch(r"[\w-]*?\d+", name) for name in names):
        return None
    (head, first), *others = [re.fullmatch(r"([\w-]*?)(\d+)", name).groups() for name in names]  # type: ignore[union-attr]
    number = int(first)
    if [(head, str(number + 1 + at)) for at in range(len(others))] != others or first != str(number):
        return None
    if head == "":
        return f"str({_linear(number, 1)})"
    return f'f"{head}{{{_linear(number, 1)}}}"'


def _linear(start: int, step: int) -> str:
    times = "i" if step == 1 else f"{step} * i"
    return times if start == 0 else f"{start} + {times}" if step != 1 else f"{times} + {start}"


def _numbers(node: Code) -> list[int] | None:
    """The whole numbers among the arguments of a call, or None if it has others than numbers and words."""
    if not isinstance(node, Call) or node.head == "nn.Sequential":
        return None
    return [int(item.node.text) for item in node.items if isinstance(item.node, Text) and _NUMBER.fullmatch(item.node.text)]


def _skeleton(node: Call) -> list[str]:
    texts = [(item.prefix, flat(item.node)) for item in node.items]
    return [node.head, *(prefix + ("#" if _NUMBER.fullmatch(text) else text) for prefix, text in texts)]


def _growing(nodes: Sequence[Code], at: int) -> int:
    """Where a run of calls ends whose whole numbers grow evenly."""
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
    return stop if stop - at >= LEAST and min(steps) >= 0 else at + 1


def _divided(nodes: Sequence[Code], at: int) -> int:
    """Where a run of calls ends that differ in one fraction, which grows evenly: the rates of stochastic depth do."""
    first = nodes[at]
    if not isinstance(first, Call):
        return at + 1
    stop, column = at + 1, -1
    while stop < len(nodes):
        node = nodes[stop]
        if not isinstance(node, Call) or node.head != first.head or len(node.items) != len(first.items):
            break
        pairs = [
            (one.prefix + flat(one.node), two.prefix + flat(two.node)) for one, two in zip(first.items, node.items, strict=True)
        ]
        others = [place for place, (one, two) in enumerate(pairs) if one != two]
        if len(others) != 1 or column not in (-1, others[0]) or first.items[others[0]].prefix != node.items[others[0]].prefix:
            break
        column = others[0]
        stop += 1
    if stop - at < LEAST:
        return at + 1
    texts = [flat(node.items[column].node) for node in nodes[at:stop] if isinstance(node, Call)]
    if not all(map(_FLOAT.fullmatch, texts)):
        return at + 1
    return stop if _fraction(list(map(float, texts))) else at + 1


def _fraction(values: Sequence[float]) -> tuple[float, int, int] | None:
    """The rate, the number of parts and the first part, if `rate * part / parts` are the values, to the bit."""
    step = values[1] - values[0]
    if step <= 0:
        return None
    for digits, parts in product(range(1, MOST_DIGITS + 1), range(1, MOST_PARTS)):
        rate = round(step * parts, digits)
        if rate <= 0:
            continue
        begin = round(values[0] * parts / rate)
        if all(rate * (begin + at) / parts == value for at, value in enumerate(values)):
            return rate, parts, begin
    return None
