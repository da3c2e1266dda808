"""A merged document against the JSON Schema, told in our own words.

Goes in: the tree of a document or a block. Comes out: diagnostics, one for each thing that is not as `spec.schema.json` says.
The schema has two readings. A file (what editors check) may lack everything but `spec`; the whole, checked here after the
merge, must also have `input`, and has no `null` left.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from resnet_spec.diagnostics import SYNONYMS, Diagnostic, Span, closest, suggestion

from .conforms import conforms, member_for
from .source import Mapping, Node, Scalar, Sequence, to_data

if TYPE_CHECKING:
    from jsonschema import ValidationError

_FILE = Path(__file__).with_name("spec.schema.json")
_TYPE_WORDS = {
    "integer": "a whole number",
    "number": "a number",
    "boolean": "true or false",
    "array": "a list",
    "object": "a mapping",
    "string": "a string",
}
_KINDS = {bool: "a truth value", int: "a whole number", float: "a number", str: "a string", list: "a list", dict: "a mapping"}


@cache
def schema_document() -> dict[str, Any]:
    """The checked-in schema."""
    document: dict[str, Any] = json.loads(_FILE.read_text(encoding="utf-8"))
    return document


def validate_whole(root: Mapping) -> list[Diagnostic]:
    """What is wrong with a merged document; its `blocks` are checked one by one with `validate_block`."""
    findings = _validate("", root)
    if "input" not in root.entries:
        message = "the spec does not say the size of its input"
        findings.append(Diagnostic("missing-field", message, root.span, help="write `input: 3x224x224` (C x H x W)"))
    return findings


def validate_block(body: Mapping) -> list[Diagnostic]:
    """What is wrong with the merged body of one block."""
    return _validate("block", body)


@cache
def operation_names() -> frozenset[str]:
    """The words that are operations; they are in the schema, generated from their definitions."""
    members = schema_document()["definitions"]["operation"]["allOf"]
    return frozenset(member["if"]["properties"]["op"]["const"] for member in members)


def _validate(definition: str, node: Mapping) -> list[Diagnostic]:
    document = schema_document()
    data = to_data(node)
    if conforms(data, document["definitions"][definition] if definition else document, document["definitions"]):
        return []
    errors = list(_validator(definition).iter_errors(data))
    of_another_type = {tuple(error.absolute_path) for error in errors if error.validator == "type"}
    told = [error for error in errors if error.validator == "type" or tuple(error.absolute_path) not in of_another_type]
    findings = list(dict.fromkeys(finding for error in told for finding in _diagnose(error, node)))
    at_anchors = {(finding.code, finding.span) for finding in findings}
    return [f for f in findings if f.span is None or f.span.anchor is None or (f.code, f.span.anchor) not in at_anchors]


@cache
def _validator(definition: str) -> Any:
    """A validator of jsonschema, for what does not conform; importing it takes long."""
    from jsonschema import Draft7Validator
    from jsonschema.validators import extend

    document = schema_document()
    chosen = {"$ref": f"#/definitions/{definition}", "definitions": document["definitions"]} if definition else document
    validator: Any = extend(Draft7Validator, {"allOf": _all_of})  # type: ignore[no-untyped-call]
    return validator(chosen)


def _all_of(validator: Any, members: list[Any], instance: object, schema: dict[str, Any]) -> Iterator[ValidationError]:
    """`allOf` of the operation part: the member about this `op`, for a bare word too, as if it were written with `op`."""
    member = member_for(instance, members)
    if member is not None:
        yield from validator.descend({"op": instance} if isinstance(instance, str) else instance, member)


def _diagnose(error: ValidationError, root: Node) -> Iterator[Diagnostic]:
    """One schema error in our words, at its place in the tree."""
    node, _ = _walk(root, list(error.absolute_path))
    if error.validator == "additionalProperties":
        yield from _unknown_keys(error, node, _dotted(list(error.absolute_path)))
    elif error.validator != "required" or _missing(error):
        yield _finding(error, root)


def _finding(error: ValidationError, root: Node) -> Diagnostic:
    path = list(error.absolute_path)
    node, key = _walk(root, path)
    name = _dotted(path)
    written: Any = error.instance
    expected: Any = error.validator_value
    match error.validator:
        case "propertyNames" | "pattern" if isinstance(written, str) and node is not None:
            return _bad_text(written, node, name)
        case "required":
            missing = _missing(error)
            what = f"`{name}` ({written['op']})" if "op" in written else f"`{name}`" if name else "the spec"
            message = f"{what} needs {' and '.join(f'`{field}`' for field in missing)}"
            return Diagnostic("missing-field", message, key, help=f"add `{missing[0]}: ...`")
        case "type":
            if name == "input" and isinstance(node, Scalar):
                return _bad_text(node.text, node, name)
            message = f"`{name}` must be {_expected(expected)}, and this is {_KINDS.get(type(written), 'nothing')}"
            mend = ""
            if isinstance(written, list) and len(written) == 1:
                mend = f"write `{written[0]}` without the brackets"
            elif isinstance(written, list) and path[-1] == "depth":
                mend = "each stage has a depth of its own"
            elif isinstance(written, list) and "object" in expected:
                mend = "write `name: ...` for each entry, without dashes"
            return Diagnostic("wrong-type", message, _place(node, key), help=mend)
        case "minimum" | "maximum":
            bound = "at least" if error.validator == "minimum" else "at most"
            return Diagnostic("out-of-range", f"`{name}` is {written}, and must be {bound} {expected}", _place(node, key))
        case "enum":
            words = [word for word in expected if isinstance(word, str)]
            message = f"`{name}` cannot be `{written}`"
            return Diagnostic("unknown-word", message, _place(node, key), help=suggestion(str(written), words))
        case "minItems" | "maxItems":
            schema: Any = error.schema
            exact = schema.get("minItems") == schema.get("maxItems")
            bound = "" if exact else "at least " if error.validator == "minItems" else "at most "
            message = f"`{name}` has {len(written)} values, and takes {bound}{expected}"
            return Diagnostic("wrong-length", message, _place(node, key))
        case "uniqueItems":
            return Diagnostic("duplicate-value", f"a value of `{name}` stands twice", _place(node, key))
        case "const":
            return Diagnostic("unknown-word", f"`{name}` must be {expected}", _place(node, key))
        case "minLength":
            return Diagnostic("wrong-type", f"`{name}` is empty", _place(node, key))
    raise AssertionError(f"the schema uses `{error.validator}`, which has no message")


def _unknown_keys(error: ValidationError, node: Node | None, name: str) -> Iterator[Diagnostic]:
    schema: Any = error.schema
    written: Any = error.instance
    known = [key for key in schema["properties"] if not key.startswith("insert_")]
    for extra in written:
        if extra in schema["properties"]:
            continue
        owner = written.get("op") or name
        what = f"`{owner}` has no field `{extra}`" if owner else f"a spec has no key `{extra}`"
        at = node.entries[extra].key if isinstance(node, Mapping) and extra in node.entries else None
        yield Diagnostic("unknown-field", what, at, help=suggestion(extra, known, SYNONYMS))


def _missing(error: ValidationError) -> list[str]:
    """The required fields that are missing and not merely misspelt: a misspelt one is told as such."""
    schema: Any = error.schema
    written: Any = error.instance
    known = schema.get("properties", {})
    meant = {closest(key, known, SYNONYMS) for key in written if key not in known}
    return [field for field in schema["required"] if field not in written and field not in meant]


def _bad_text(written: str, node: Node, name: str) -> Diagnostic:
    """A text that does not have its form: a name, or the size of the input."""
    if isinstance(node, Mapping) and written in node.entries:
        message = f"`{written}` cannot be a name"
        mend = "a name is letters, digits and underscores, or a whole number"
        first, dot, _ = written.partition(".")
        if dot:
            mend = f"a dot in a key of the state_dict comes from nesting: `{first}: {{op: sequential, ops: {{...}}}}`"
        elif ":" in written:
            mend = "write a space after the colon"
        return Diagnostic("invalid-name", message, node.entries[written].key, help=mend)
    if name == "input":
        mend = "write channels x height x width in pixels: `3x224x224`"
        return Diagnostic("invalid-input", f"`{written}` is not a size", node.span, help=mend)
    return Diagnostic(
        "invalid-name", f"`{written}` cannot be a name", node.span, help="a name is letters, digits and underscores"
    )


def _walk(root: Node, path: list[str | int]) -> tuple[Node | None, Span | None]:
    """The node at a path, and the place of its key."""
    node: Node | None = root
    key: Span | None = root.span
    for step in path:
        if isinstance(node, Mapping) and isinstance(step, str) and step in node.entries:
            entry = node.entries[step]
            node, key = entry.value, entry.key
        elif isinstance(node, Sequence) and isinstance(step, int):
            node = node.items[step]
            key = node.span
        else:
            return None, key
    return node, key


def _place(node: Node | None, key: Span | None) -> Span | None:
    return node.span if isinstance(node, Scalar | Sequence) else key


def _dotted(path: list[str | int]) -> str:
    return "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in path).removeprefix(".")


def _expected(types: str | list[str]) -> str:
    """`a whole number, an expression or a list`."""
    listed = [types] if isinstance(types, str) else [kind for kind in types if kind != "null"]
    expression = "string" in listed and ("integer" in listed or "number" in listed or "boolean" in listed)
    words = ["an expression" if expression and kind == "string" else _TYPE_WORDS[kind] for kind in listed]
    return words[0] if len(words) == 1 else ", ".join(words[:-1]) + " or " + words[-1]
