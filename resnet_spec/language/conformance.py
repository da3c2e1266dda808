"""A fast check whether data conform to a schema.

For a correct spec that is enough, and importing jsonschema takes longer than compiling a network. If a spec does not conform,
jsonschema determines why (see `validation`). Only the keywords of `spec.schema.json` and `recipe.schema.json` are supported; a
test compares the answers with those of jsonschema.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from functools import lru_cache
from typing import Any

Schema = Any  # a dict, or True

_TYPES: dict[str, Callable[[object], bool]] = {
    "null": lambda value: value is None,
    "boolean": lambda value: isinstance(value, bool),
    "string": lambda value: isinstance(value, str),
    "array": lambda value: isinstance(value, list),
    "object": lambda value: isinstance(value, dict),
    "number": lambda value: isinstance(value, int | float) and not isinstance(value, bool),
    "integer": lambda value: (
        (isinstance(value, int) and not isinstance(value, bool)) or (isinstance(value, float) and value.is_integer())
    ),
}
_NOTES = frozenset(
    {"$schema", "$id", "title", "description", "default", "examples", "definitions", "then", "else", "patternErrorMessage"}
)


def conforms(value: object, schema: Schema, definitions: dict[str, Schema]) -> bool:
    """Whether `value` conforms to `schema`. Of the members of `allOf`, the one that is about the `op` of the value counts."""
    if schema is True:
        return True
    if "$ref" in schema:
        return conforms(value, definitions[schema["$ref"].removeprefix("#/definitions/")], definitions)
    for keyword, expected in schema.items():
        check = _CHECKS.get(keyword)  # None for an annotation; a test checks that every other keyword is known
        if check is not None and not check(value, expected, schema, definitions):
            return False
    return True


def known_keywords() -> frozenset[str]:
    """The keywords that this module understands."""
    return frozenset({*_CHECKS, *_NOTES, "$ref"})


def _type(value: object, expected: str | list[str], schema: Schema, definitions: dict[str, Schema]) -> bool:
    if isinstance(expected, str):
        return _TYPES[expected](value)
    return any(_TYPES[kind](value) for kind in expected)


def _properties(value: object, expected: dict[str, Schema], schema: Schema, definitions: dict[str, Schema]) -> bool:
    if not isinstance(value, dict):
        return True
    return all(conforms(inner, expected[key], definitions) for key, inner in value.items() if key in expected)


def _additional(value: object, expected: Schema, schema: Schema, definitions: dict[str, Schema]) -> bool:
    if not isinstance(value, dict):
        return True
    known = schema.get("properties", {})
    extra = [key for key in value if key not in known]
    return not extra if expected is False else all(conforms(value[key], expected, definitions) for key in extra)


def _names(value: object, expected: Schema, schema: Schema, definitions: dict[str, Schema]) -> bool:
    return not isinstance(value, dict) or all(conforms(key, expected, definitions) for key in value)


def _required(value: object, expected: list[str], schema: Schema, definitions: dict[str, Schema]) -> bool:
    return not isinstance(value, dict) or all(key in value for key in expected)


def _items(value: object, expected: Schema, schema: Schema, definitions: dict[str, Schema]) -> bool:
    if not isinstance(value, list):
        return True
    if isinstance(expected, list):  # one schema for each of the first items
        return all(conforms(item, each, definitions) for item, each in zip(value, expected, strict=False))
    return all(conforms(item, expected, definitions) for item in value)


def _same(value: object, expected: object) -> bool:
    return value == expected and isinstance(value, bool) == isinstance(expected, bool)


def _unique(value: object) -> bool:
    """Whether all items differ. Their texts are compared, because comparing thousands of items pairwise is slow."""
    return not isinstance(value, list) or len({json.dumps(item, sort_keys=True) for item in value}) == len(value)


def _if(value: object, expected: Schema, schema: Schema, definitions: dict[str, Schema]) -> bool:
    chosen = "then" if conforms(value, expected, definitions) else "else"
    return conforms(value, schema.get(chosen, True), definitions)


def _all_of(value: object, expected: list[Schema], schema: Schema, definitions: dict[str, Schema]) -> bool:
    member = member_for(value, expected)
    return member is None or conforms({"op": value} if isinstance(value, str) else value, member, definitions)


def member_for(value: object, members: list[Schema]) -> Schema | None:
    """The member of an `allOf` that is about a use: the one whose `if` matches its `op`."""
    name = value.get("op") if isinstance(value, dict) else value
    for member in members:
        if member["if"]["properties"]["op"]["const"] == name:
            return member["then"]
    return None


@lru_cache(maxsize=64)
def _pattern(text: str) -> re.Pattern[str]:
    return re.compile(text)


_CHECKS: dict[str, Callable[[Any, Any, Schema, dict[str, Schema]], bool]] = {
    "type": _type,
    "properties": _properties,
    "additionalProperties": _additional,
    "propertyNames": _names,
    "required": _required,
    "items": _items,
    "if": _if,
    "allOf": _all_of,
    "anyOf": lambda value, expected, _, definitions: any(conforms(value, each, definitions) for each in expected),
    "enum": lambda value, expected, *_: any(_same(value, each) for each in expected),
    "const": lambda value, expected, *_: _same(value, expected),
    "pattern": lambda value, expected, *_: not isinstance(value, str) or _pattern(expected).search(value) is not None,
    "minLength": lambda value, expected, *_: not isinstance(value, str) or len(value) >= expected,
    "minItems": lambda value, expected, *_: not isinstance(value, list) or len(value) >= expected,
    "maxItems": lambda value, expected, *_: not isinstance(value, list) or len(value) <= expected,
    "minimum": lambda value, expected, *_: not _TYPES["number"](value) or value >= expected,
    "maximum": lambda value, expected, *_: not _TYPES["number"](value) or value <= expected,
    "uniqueItems": lambda value, expected, *_: not expected or _unique(value),
}
