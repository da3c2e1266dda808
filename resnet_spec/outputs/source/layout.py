"""Writes Python expressions over lines as `ruff format` does, at its default of 88 columns."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

WIDTH = 88
INDENT = 4


def shape_literal(shape: Sequence[int]) -> str:
    """The shape of a batch of values, `(N, 64, 56, 56)`."""
    return f"(N, {', '.join(map(str, shape))})"


@dataclass(frozen=True, slots=True)
class Text:
    """An expression that is kept on one line."""

    text: str


@dataclass(frozen=True, slots=True)
class Element:
    """An element of a call or a list: `prefix` is `name=`, `*` or a key, and `comment` follows the comma."""

    node: Code
    prefix: str = ""
    comment: str = ""


@dataclass(frozen=True, slots=True)
class Call:
    """`head(items)`, or a list, tuple or dict, whose head is empty."""

    head: str
    items: tuple[Element, ...]
    brackets: str = "()"


@dataclass(frozen=True, slots=True)
class Comprehension:
    """`head(element for ...)`, or a list of it; `loop` is the part from `for`."""

    head: str
    element: Code
    loop: str
    brackets: str = "()"


Code = Text | Call | Comprehension


def flat(node: Code) -> str:
    """The expression on one line."""
    match node:
        case Text(text):
            return text
        case Comprehension(head, element, loop, brackets):
            return f"{head}{brackets[0]}{flat(element)} {loop}{brackets[1]}"
        case Call(head, items, brackets):
            inner = ", ".join(item.prefix + flat(item.node) for item in items)
            comma = "," if not head and brackets == "()" and len(items) == 1 else ""
            return f"{head}{brackets[0]}{inner}{comma}{brackets[1]}"


def commented(node: Code) -> bool:
    """Whether there is a comment inside, so that the expression does not fit on one line."""
    match node:
        case Text():
            return False
        case Comprehension(_, element):
            return commented(element)
        case Call(_, items):
            return any(item.comment or commented(item.node) for item in items)


def lay_out(prefix: str, node: Code, suffix: str = "", indent: int = 0, comment: str = "") -> list[str]:
    """The lines of a statement `prefix node suffix  # comment`."""
    margin = " " * indent
    note = f"  # {comment}" if comment else ""
    line = f"{margin}{prefix}{flat(node)}{suffix}{note}"
    if isinstance(node, Text) or (len(line) <= WIDTH and not commented(node)):
        return [line]
    if isinstance(node, Call) and not node.items:
        return [line]
    inside = indent + INDENT
    head = f"{margin}{prefix}{node.head}{node.brackets[0]}"
    tail = f"{margin}{node.brackets[1]}{suffix}{note}"
    if isinstance(node, Comprehension):
        whole = f"{' ' * inside}{flat(node.element)} {node.loop}"
        if len(whole) <= WIDTH and not commented(node.element):
            return [head, whole, tail]
        return [head, *lay_out("", node.element, "", inside), f"{' ' * inside}{node.loop}", tail]
    body = " " * inside + ", ".join(item.prefix + flat(item.node) for item in node.items)
    if node.head and len(body) <= WIDTH and not commented(node):
        return [head, body, tail]
    lines = [head]
    for item in node.items:
        lines += lay_out(item.prefix, item.node, ",", inside, item.comment)
    return [*lines, tail]


def call(head: str, nodes: Sequence[Code | str], brackets: str = "()") -> Call:
    """A call of expressions without names."""
    return Call(head, tuple(Element(Text(node) if isinstance(node, str) else node) for node in nodes), brackets)


def literal(value: object) -> str:
    """A number, string, boolean or tuple as ruff writes it: strings in double quotes, without line breaks."""
    match value:
        case bool() | None:
            return repr(value)
        case int():
            return repr(int(value))
        case float():
            return repr(value) if abs(value) != float("inf") and value == value else f'float("{value}")'
        case tuple():
            inner = ", ".join(map(literal, value))
            return f"({inner},)" if len(value) == 1 else f"({inner})"
        case str():
            return quoted(value)
    raise TypeError(f"no literal of {type(value)}")


def quoted(text: str) -> str:
    """A string in double quotes that holds only printable ASCII, apart from letters of other alphabets."""
    made = ""
    for character in text:
        if character in '"\\':
            made += "\\" + character
        elif character.isascii() and character.isprintable():
            made += character
        else:
            made += f"\\u{ord(character):04x}" if ord(character) < 0x10000 else f"\\U{ord(character):08x}"
    # As ruff: single quotes where that spares escapes.
    if '"' in text and "'" not in text:
        return "'" + made.replace('\\"', '"') + "'"
    return f'"{made}"'


def remark(text: str) -> str:
    """Text of a spec for a comment or a docstring: one line of printable characters that cannot end it."""
    safe = "".join(c if c.isprintable() and c not in "\\" else " " if c in "\n\r\t\\" else "?" for c in text)
    return " ".join(safe.replace('"""', "'''").replace('"', "'").split())
