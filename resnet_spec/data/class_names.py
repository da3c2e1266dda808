"""Compares names of classes: which are one class for a person, though they are two for a computer."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable

from resnet_spec.diagnostics import printable
from resnet_spec.diagnostics.text import join_first

_SEPARATORS = re.compile(r"[\s_\-]+")


def find_near_miss(name: str, others: Iterable[str]) -> str:
    """Why `name` and one of `others` look like one class, such as "`Cat` and `cat` differ only in letter case"; else ""."""
    for other in others:
        if name != other and (why := _difference(name, other)):
            return f"`{printable(name)}` and `{printable(other)}` differ only in {why}"
    return ""


def note_near_misses(classes: Iterable[str]) -> list[str]:
    """A note on the classes of one data set that look alike."""
    groups: dict[str, list[str]] = {}
    for name in classes:
        groups.setdefault(_plain(name), []).append(name)
    found = [find_near_miss(group[0], group[1:]) for group in groups.values() if len(group) > 1]
    return [f"different classes with nearly the same name: {join_first(found)}"] if found else []


def _plain(name: str) -> str:
    """A name without what is easily overlooked: case, composition, and which separators it has."""
    return _SEPARATORS.sub(" ", unicodedata.normalize("NFC", unicodedata.normalize("NFKC", name).casefold())).strip()


def _difference(one: str, other: str) -> str:
    """What two names differ in, if a person would take them for the same."""
    if _plain(one) != _plain(other):
        return ""
    one, other = unicodedata.normalize("NFC", one), unicodedata.normalize("NFC", other)
    if one == other:
        return "Unicode composition (NFC and NFD)"
    if one.casefold() == other.casefold():
        return "letter case"
    one, other = _SEPARATORS.sub(" ", one).strip(), _SEPARATORS.sub(" ", other).strip()
    return "spaces, dashes and underscores" if one == other else "letter case, spaces or forms of characters"
