"""The values of a recipe's tree, each with the default that `recipe.schema.json` gives it.

The schema is the only place where these defaults are written.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from resnet_spec.language.reader import MappingNode, ScalarNode, SequenceNode, YamlNode, to_data

_Word = TypeVar("_Word", bound=str)


@dataclass(frozen=True, slots=True)
class Section:
    """A mapping of a recipe that the schema has accepted, and the part of the schema for it."""

    node: MappingNode
    schema: Mapping[str, Any]

    def value(self, key: str) -> object:
        """What is written for a key, else its default in the schema, else None. A list is a list."""
        node = self.node.get(key)
        if isinstance(node, SequenceNode) or (isinstance(node, ScalarNode) and node.value is not None):
            return to_data(node)
        return self.schema["properties"][key].get("default")

    def has(self, key: str) -> bool:
        """Whether a mapping is written for a key, be it empty."""
        return isinstance(self.node.get(key), MappingNode)

    def is_off(self, key: str) -> bool:
        """Whether `null` is written for a key, which then has no default."""
        node = self.node.get(key)
        return isinstance(node, ScalarNode) and node.value is None

    def section(self, key: str) -> Section:
        """The mapping of a key; an empty one where none is written."""
        node = self.node.get(key)
        found = node if isinstance(node, MappingNode) else MappingNode({}, self.node.span)
        return Section(found, self.schema["properties"][key])

    def integer(self, key: str) -> int:
        return _as_integer(self.value(key))

    def optional_integer(self, key: str) -> int | None:
        value = self.value(key)
        return None if value is None else _as_integer(value)

    def number(self, key: str) -> float:
        return _as_number(self.value(key))

    def optional_number(self, key: str) -> float | None:
        value = self.value(key)
        return None if value is None else _as_number(value)

    def boolean(self, key: str) -> bool:
        return bool(self.value(key))

    def text(self, key: str) -> str:
        """A string; empty where nothing is written and there is no default."""
        value = self.value(key)
        return "" if value is None else str(value)

    def word(self, key: str, words: tuple[_Word, ...]) -> _Word:
        """One of `words`, which are those that the schema accepts."""
        return next(word for word in words if word == self.value(key))

    def texts(self, key: str) -> tuple[str, ...]:
        return tuple(str(item) for item in _as_list(self.value(key)))

    def numbers(self, key: str) -> tuple[float, ...]:
        return tuple(_as_number(item) for item in _as_list(self.value(key)))

    def numbers_by_name(self) -> dict[str, float]:
        """A mapping of numbers, by key."""
        return {key: _as_number(to_data(entry.value)) for key, entry in self.node.entries.items()}

    def pair(self, key: str) -> tuple[float, float]:
        first, second = self.numbers(key)
        return first, second

    def size(self, key: str) -> int | tuple[int, int] | None:
        """A size in pixels: one integer, or (height, width)."""
        value = self.value(key)
        if isinstance(value, list):
            height, width = map(_as_integer, value)
            return height, width
        return None if value is None else _as_integer(value)


def word_of(node: YamlNode | None) -> str:
    """A single value as a string; empty where a node is none."""
    return str(node.value) if isinstance(node, ScalarNode) and node.value is not None else ""


def _as_integer(value: object) -> int:
    assert isinstance(value, int | float)
    return int(value)  # JSON Schema takes 5.0 for an integer


def _as_number(value: object) -> float:
    assert isinstance(value, int | float)
    return float(value)


def _as_list(value: object) -> list[object]:
    assert isinstance(value, list)
    return value
