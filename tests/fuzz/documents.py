"""Mutations of YAML documents: of their data, as people and programs change them, and of their text."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from copy import deepcopy
from random import Random
from typing import Any

import yaml

NUMBERS: tuple[Any, ...] = (
    *(0, 1, -1, 2, 3, 7, 31, 64, 1000, 65_536, 10**6, 2**31 - 1, 2**31, 2**53, 2**63, -(2**63), 10**23, 10**400),
    *(0.0, -0.0, 0.5, 1e-300, 1e-45, 1e38, 3.5e38, 1e308, float("inf"), float("-inf"), float("nan"), 5e-324),
)
WORDS = (
    "norm act relu basic stride width first in_channels no conv2d classes block_index ../up.yaml /dev/zero resnet50 mixins/d"
)
STRANGE = ("\u202eevil", "\x1b[31m", "a\nb", "\u2028", "\ud83d", "\U0001d7d9", "\u0663", "x\x00y", "\U00010348" * 40, "\ufb01")
EXPRESSIONS = (
    "channels // 2",
    "1 / 0",
    "9**9**9",
    "2147483647 * 2147483647",
    "1 if 1 else 2",
    "1+" * 400 + "1",
    "(" * 120 + "1" + ")" * 120,
)
TEXTS: tuple[str, ...] = (
    *("", " ", "a" * 300, "*alias", "&anchor", "<<", "!!int 3", "3x", "x3x3", "extends", "input", "if"),
    *(*WORDS.split(), *STRANGE, *EXPRESSIONS),
)
PIECES: tuple[bytes, ...] = (
    *b"\t \x00 \xff \r \x85 { } [ ] ' \" @ ` , ~ #".split(b" "),
    *b"\xef\xbb\xbf \xe2\x80\xa8 \xf0\x9f\x98\x80 \xed\xa0\x80 &a *a 1e999 0x1F".split(b" "),
    *(b"\r\n", b": ", b"- ", b"? ", b"|\n", b">-\n", b"<<: ", b"!!python/none ", b"%YAML 1.1\n", b"---\n", b"...\n"),
    *(b"# resnet-spec: ignore\n", b"# resnet-spec: ignore["),
)
MUTATIONS = "delete duplicate rename swap retype retype number number graft grow reorder"
SCRAMBLES = "delete duplicate swap indent insert insert cut mix byte many"


def places(value: Any) -> Iterator[tuple[Any, Any]]:
    """Every (container, key) of a document."""
    keys = list(value) if isinstance(value, dict) else list(range(len(value))) if isinstance(value, list) else []
    for key in keys:
        yield value, key
        yield from places(value[key])


def mutate(document: Any, others: Sequence[Any], chance: Random) -> None:
    """Change one thing in a document: delete, repeat, rename, swap, retype, grow, or take a part of another document."""
    found = list(places(document))
    if not found:
        return
    container, key = chance.choice(found)
    match chance.choice(MUTATIONS.split()):
        case "delete":
            del container[key]
        case "duplicate" if isinstance(container, dict):
            container[chance.choice((f"{key}_2", f"{key}x"))] = deepcopy(container[key])
        case "duplicate":
            container.insert(key, deepcopy(container[key]))
        case "rename" if isinstance(container, dict):
            other = chance.choice(found)[1]
            container[chance.choice((f"{key}x", str(key)[:-1], other, chance.choice(TEXTS)))] = container.pop(key)
        case "swap":
            container_2, key_2 = chance.choice(found)
            # a value swapped with one inside it would contain itself
            first, second = deepcopy(container[key]), deepcopy(container_2[key_2])
            container[key] = second
            if any(each is container_2 for each, _ in places(document)) or container_2 is document:
                container_2[key_2] = first
        case "number":
            container[key] = _number(container[key], chance)
        case "graft":
            theirs, name = chance.choice(list(places(chance.choice(others))) or [(container, key)])
            if isinstance(container, dict) and chance.random() < 0.5:
                container[str(name)] = deepcopy(theirs[name])
            else:
                container[key] = deepcopy(theirs[name])
        case "grow":
            container[key] = _grown(container[key], chance)
        case "reorder" if isinstance(container, dict):
            container[key] = container.pop(key)
        case _:
            container[key] = _value(chance, 2)


def nudge(document: Any, chance: Random) -> None:
    """Change one number, boolean or word of a document to another that may well be right."""
    found = [(container, key) for container, key in places(document) if not isinstance(container[key], dict | list)]
    if not found:
        return
    container, key = chance.choice(found)
    value = container[key]
    same = [each[name] for each, name in found if name == key]
    match value:
        case bool():
            container[key] = not value
        case int():
            container[key] = chance.choice((value + 1, value * 2, max(value // 2, 1), max(value - 1, 0), *same))
        case float():
            container[key] = chance.choice((value / 2, value * 2, 1.0, 0.0))
        case _:
            container[key] = chance.choice((*same, chance.choice(found)[1] if key == "op" else value, "relu"))


def _number(value: Any, chance: Random) -> Any:
    if isinstance(value, int | float) and chance.random() < 0.7:
        try:
            return chance.choice((value + 1, value * 2, value // 2, -value, value * 1000, float(value), str(value)))
        except OverflowError:
            return 1
    return chance.choice(NUMBERS)


def _value(chance: Random, depth: int) -> Any:
    match chance.randrange(8 if depth else 5):
        case 0:
            return chance.choice((None, True, False))
        case 1 | 2:
            return chance.choice(NUMBERS)
        case 3 | 4:
            return chance.choice(TEXTS)
        case 5:
            return [_value(chance, depth - 1) for _ in range(chance.randrange(4))]
        case 6:
            return {chance.choice(TEXTS): _value(chance, depth - 1) for _ in range(chance.randrange(3))}
    return {"op": chance.choice(TEXTS)}


def _grown(value: Any, chance: Random) -> Any:
    """Many of what was one: a long list, a mapping of many keys, or a deep nest."""
    times = chance.choice((10, 100, 1000))
    match chance.randrange(3):
        case 0:
            return [deepcopy(value) for _ in range(times)]
        case 1:
            return {f"k{number}": deepcopy(value) for number in range(times)}
    for _ in range(min(times, 40)):
        value = {"op": "sequential", "ops": {"0": value}} if chance.random() < 0.5 else [value]
    return value


def dump(document: Any) -> bytes:
    """A document as YAML, keys in their order. What YAML cannot hold raises an error of yaml or UnicodeError."""
    text: str = yaml.dump(document, sort_keys=False, allow_unicode=True, width=120)
    return text.encode("utf-8", "surrogatepass")


def scramble(text: bytes, others: Sequence[bytes], chance: Random) -> bytes:
    """Change a text a little: lines, indentation, bytes, or a piece of another text."""
    lines = text.splitlines(keepends=True)
    if not lines:
        return chance.choice(PIECES)
    at = chance.randrange(len(lines))
    match chance.choice(SCRAMBLES.split()):
        case "delete":
            del lines[at]
        case "duplicate":
            lines.insert(chance.randrange(len(lines)), lines[at])
        case "swap":
            to = chance.randrange(len(lines))
            lines[at], lines[to] = lines[to], lines[at]
        case "indent":
            lines[at] = chance.choice((b" ", b"  ", b"\t", b"        ", b"")) + lines[at].lstrip()
        case "insert":
            to = chance.randrange(len(lines[at]) + 1)
            lines[at] = lines[at][:to] + chance.choice(PIECES) + lines[at][to:]
        case "cut":
            return text[: chance.randrange(len(text))]
        case "mix":
            theirs = chance.choice(others).splitlines(keepends=True) or [b""]
            start = chance.randrange(len(theirs))
            lines[at:at] = theirs[start : start + chance.randrange(1, 12)]
        case "byte":
            to = chance.randrange(len(text))
            return text[:to] + bytes([chance.randrange(256)]) + text[to + 1 :]
        case _:
            lines[at : at + 1] = [lines[at]] * chance.choice((5, 50, 500))
    return b"".join(lines)
