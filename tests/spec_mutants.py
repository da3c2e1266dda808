"""Mistakes as people make them, in the text of a spec: one line is changed or deleted."""

from __future__ import annotations

import re
from collections.abc import Iterator
from random import Random

_FIELDS = {
    "padding": re.compile(r", padding: [0-9]+"),
    "stride": re.compile(r"stride: ([0-9]+)"),
    "width": re.compile(r"(?:width|out_channels): ([0-9]+)"),
    "kernel": re.compile(r"kernel_size: ([0-9]+)"),
}
_KEY = re.compile(r"[a-z_]{4,}[0-9]*(?=:)")
KINDS = (*_FIELDS, "line", "key", "indentation")


def mutants(text: str, chance: Random, each: int) -> Iterator[tuple[str, str]]:
    """Up to `each` mutants of each kind: the kind, and the text."""
    for kind in KINDS:
        made: set[str] = set()
        for _ in range(4 * each):
            mutant = _mutate(text, kind, chance)
            if mutant is not None and mutant != text and len(made) < each:
                made.add(mutant)
        yield from ((kind, mutant) for mutant in sorted(made))


def _mutate(text: str, kind: str, chance: Random) -> str | None:
    lines = text.splitlines(keepends=True)
    if kind in _FIELDS:
        found = list(_FIELDS[kind].finditer(text))
        if not found:
            return None
        match = chance.choice(found)
        if kind == "padding":
            return text[: match.start()] + text[match.end() :]
        number = int(match[1])
        other = {"stride": 3 - number if number < 3 else 1, "width": number + chance.choice((8, 13, -1)), "kernel": number + 2}
        return text[: match.start(1)] + str(max(other[kind], 1)) + text[match.end(1) :]
    places = [number for number, line in enumerate(lines) if line.strip() and not line.lstrip().startswith("#")]
    number = chance.choice(places)
    if kind == "line":
        return "".join(lines[:number] + lines[number + 1 :])
    if kind == "indentation":
        shift = chance.choice((1, 2, -1))
        line = lines[number]
        lines[number] = " " * shift + line if shift > 0 else line.removeprefix(" ")
        return "".join(lines)
    keys = list(_KEY.finditer(lines[number]))
    if not keys:
        return None
    key = chance.choice(keys)
    at = key.start() + chance.randrange(len(key[0]) - 1)
    line = lines[number]
    swapped = line[:at] + line[at + 1] + line[at] + line[at + 2 :]
    lines[number] = swapped if chance.random() < 0.6 else line[:at] + line[at + 1 :]
    return "".join(lines)
