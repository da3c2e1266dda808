"""The JSON Schemas of specs and of recipes, and what they say about operations."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any, get_args

from resnet_spec.diagnostics import DocumentKind

_FILES: dict[DocumentKind, Path] = {kind: Path(__file__).with_name(f"{kind}.schema.json") for kind in get_args(DocumentKind)}

_REFUSALS = ("pattern", "patternErrorMessage")  # of names of operations


@cache
def schema_document(kind: DocumentKind = "spec") -> dict[str, Any]:
    """The checked-in schema of specs, or of recipes."""
    document: dict[str, Any] = json.loads(_FILES[kind].read_text(encoding="utf-8"))
    return document


def without_refusals(document: dict[str, Any]) -> dict[str, Any]:
    """A schema of specs without the names of operations that only editors refuse.

    An operation that is called as a layer of another library is an error in an editor. The compiler knows the blocks of the
    spec, and one of these may have that name; if none has, it reports which operation is meant.
    """
    definitions: dict[str, Any] = document["definitions"]
    if "operation" not in definitions:  # of recipes
        return document
    operation = _without(definitions["operation"], _REFUSALS)
    operation["properties"] = {**operation["properties"], "op": _without(operation["properties"]["op"], _REFUSALS)}
    return {**document, "definitions": {**definitions, "operation": operation}}


def without_operations(document: dict[str, Any], names: frozenset[str]) -> dict[str, Any]:
    """A schema of specs that does not check the fields of some operations, because blocks of the spec have their names."""
    if not names:
        return document
    definitions: dict[str, Any] = document["definitions"]
    operation = definitions["operation"]
    members = [member for member in operation["allOf"] if member["if"]["properties"]["op"]["const"] not in names]
    return {**document, "definitions": {**definitions, "operation": {**operation, "allOf": members}}}


def _without(schema: dict[str, Any], keys: tuple[str, ...]) -> dict[str, Any]:
    return {key: value for key, value in schema.items() if key not in keys}


def recipe_file_schema() -> dict[str, Any]:
    """The schema of recipes for editors: a recipe that extends another one may omit required fields."""
    document = schema_document("recipe")
    required = _requirements(document)
    return {
        **_without_requirements(document),
        "required": required.pop("required"),
        "if": {"required": ["extends"]},
        "else": required,
    }


def _requirements(node: dict[str, Any]) -> dict[str, Any]:
    """The part of a schema that says which fields are required."""
    found = {"required": node["required"]} if "required" in node else {}
    properties = {
        key: inner for key, each in node.get("properties", {}).items() if each is not True and (inner := _requirements(each))
    }
    members = [{**member, "then": inner} for member in node.get("allOf", ()) if (inner := _requirements(member["then"]))]
    return found | ({"properties": properties} if properties else {}) | ({"allOf": members} if members else {})


def _without_requirements(node: Any) -> Any:
    if isinstance(node, list):
        return [_without_requirements(each) for each in node]
    if not isinstance(node, dict):
        return node
    loose = {key: _without_requirements(each) for key, each in node.items() if key != "required"}
    if "properties" in node.get("if", {}):  # without it the condition would hold for an absent field
        loose["if"] = {**node["if"], "required": [*node["if"]["properties"]]}
    return loose


@cache
def operation_names() -> frozenset[str]:
    """The names of the operations, from the schema, which is generated from their definitions."""
    members = schema_document()["definitions"]["operation"]["allOf"]
    return frozenset(member["if"]["properties"]["op"]["const"] for member in members)


@cache
def operation_fields() -> frozenset[str]:
    """The names of all fields of operations."""
    members = schema_document()["definitions"]["operation"]["allOf"]
    return frozenset(field for member in members for field in member["then"].get("properties", {}))
