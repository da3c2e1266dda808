"""A merged document checked against the JSON Schema of specs or of recipes, with findings in plain words.

The schema has two readings. A single file, which editors check, may lack everything but `spec`. The merged document, which is
checked here, must also have `input`, and contains no `null` any more.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

from resnet_spec._system.packages import require_packages
from resnet_spec.diagnostics import SYNONYMS, Diagnostic, DocumentKind, Span, closest, suggestion
from resnet_spec.language.conformance import conforms, member_for
from resnet_spec.language.nodes import MappingNode, NodePath, ScalarNode, SequenceNode, YamlNode, key_paths, to_data

if TYPE_CHECKING:
    from jsonschema import ValidationError

_FILES: dict[DocumentKind, Path] = {kind: Path(__file__).with_name(f"{kind}.schema.json") for kind in get_args(DocumentKind)}
_TYPE_WORDS = {
    "integer": "an integer",
    "number": "a number",
    "boolean": "a boolean",
    "array": "a list",
    "object": "a mapping",
    "string": "a string",
}
_INFERRED = "remove it: it is inferred from the input"
_NEVER_WRITTEN = {  # arguments of torch's layers that are not part of the language
    **dict.fromkeys(("in_channels", "in_features", "num_features", "num_channels", "normalized_shape"), _INFERRED),
    "inplace": "remove it: the compiler decides which layers may overwrite their input",
}
_KINDS = {bool: "a boolean", int: "an integer", float: "a number", str: "a string", list: "a list", dict: "a mapping"}


@cache
def schema_document(kind: DocumentKind = "spec") -> dict[str, Any]:
    """The checked-in schema of specs, or of recipes."""
    document: dict[str, Any] = json.loads(_FILES[kind].read_text(encoding="utf-8"))
    return document


def recipe_file_schema() -> dict[str, Any]:
    """The schema of recipes for editors: a recipe that extends another one may leave required fields to that."""
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
    if "properties" in node.get("if", {}):  # else the condition would hold where the field is absent
        loose["if"] = {**node["if"], "required": [*node["if"]["properties"]]}
    return loose


@dataclass(frozen=True, slots=True)
class Validation:
    """What is wrong with the form of a tree, and the nodes that the findings are about."""

    findings: tuple[Diagnostic, ...]
    paths: tuple[NodePath, ...] = ()


def validate_whole(root: MappingNode) -> Validation:
    """Check the form of a merged spec. Its `blocks` are checked one by one, with `validate_block`."""
    found = _validate("", root)
    known = schema_document()["properties"]
    if "input" not in root.entries and not any(
        closest(key, ("extends", "input")) for key in root.entries if key not in known
    ):  # a misspelled one is reported as such
        message = "the spec does not give the size of its input"
        missing = Diagnostic("missing-field", message, root.span, help="write `input: 3x224x224` (C x H x W)")
        return replace(found, findings=(*found.findings, missing))
    return found


def validate_block(body: MappingNode) -> Validation:
    """Check the form of the merged body of one block."""
    return _validate("block", body)


@cache
def operation_names() -> frozenset[str]:
    """The names of the operations, from the schema, which is generated from their definitions."""
    members = schema_document()["definitions"]["operation"]["allOf"]
    return frozenset(member["if"]["properties"]["op"]["const"] for member in members)


def validate_recipe(root: MappingNode) -> list[Diagnostic]:
    """What is wrong with the form of a merged recipe."""
    return list(_validate("", root, "recipe").findings)


def _validate(definition: str, node: MappingNode, kind: DocumentKind = "spec") -> Validation:
    document = schema_document(kind)
    data = to_data(node)
    if conforms(data, document["definitions"][definition] if definition else document, document["definitions"]):
        return Validation(())
    errors = list(_validator(definition, kind).iter_errors(data))
    of_another_type = {tuple(error.absolute_path) for error in errors if error.validator == "type"}
    kept = [error for error in errors if error.validator == "type" or tuple(error.absolute_path) not in of_another_type]
    findings = list(dict.fromkeys(finding for error in kept for finding in _diagnose(error, node, kind)))
    at_anchors = {(finding.code, finding.span) for finding in findings}
    findings = [f for f in findings if f.span is None or f.span.anchor is None or (f.code, f.span.anchor) not in at_anchors]
    return Validation(tuple(findings), tuple(dict.fromkeys(tuple(error.absolute_path) for error in kept)))


@cache
def _validator(definition: str, kind: DocumentKind = "spec") -> Any:
    """A validator of jsonschema, for documents that do not conform: importing it takes long."""
    require_packages(f"finding out what is wrong with the form of a {kind}", "jsonschema")
    from jsonschema import Draft7Validator
    from jsonschema.validators import extend

    document = schema_document(kind)
    chosen = {"$ref": f"#/definitions/{definition}", "definitions": document["definitions"]} if definition else document
    validator: Any = extend(Draft7Validator, {"allOf": _all_of})  # type: ignore[no-untyped-call]
    return validator(chosen)


def _all_of(validator: Any, members: list[Any], instance: object, schema: dict[str, Any]) -> Iterator[ValidationError]:
    """`allOf` of the operation part: the member about this `op`, for a bare word too, as if it were written with `op`."""
    member = member_for(instance, members)
    if member is not None:
        yield from validator.descend({"op": instance} if isinstance(instance, str) else instance, member)


def _diagnose(error: ValidationError, root: YamlNode, kind: DocumentKind) -> Iterator[Diagnostic]:
    """The findings for one error of the schema, at their places in the tree."""
    node, _ = _walk(root, list(error.absolute_path))
    if error.validator == "additionalProperties":
        yield from _unknown_keys(error, node, _dotted(list(error.absolute_path)), kind)
    elif error.validator != "required" or _missing(error):
        yield _finding(error, root)


def _finding(error: ValidationError, root: YamlNode) -> Diagnostic:
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
            what = f"`{name}` ({written['op']})" if "op" in written else f"`{name}`" if name else "the document"
            message = f"{what} needs {' and '.join(f'`{field}`' for field in missing)}"
            fields: Any = error.schema
            added = ", ".join(f"{field}: {_example(fields['properties'].get(field))}" for field in missing)
            return Diagnostic("missing-field", message, key, help=f"add `{added}`")
        case "type":
            if name == "input" and isinstance(node, ScalarNode | SequenceNode):
                return _bad_text(node.text if isinstance(node, ScalarNode) else str(written), node, name)
            kind = f"the fraction {written}" if isinstance(written, float) else _KINDS.get(type(written), "nothing")
            message = f"`{name}` must be {_expected(expected)}, and this is {kind}"
            return Diagnostic("wrong-type", message, _place(node, key), help=_help_for_type(error, name))
        case "minimum" | "maximum":
            bound = "at least" if error.validator == "minimum" else "at most"
            help = f"write {expected} or {'more' if error.validator == 'minimum' else 'less'}"
            message = f"`{name}` is {written}, and must be {bound} {expected}"
            return Diagnostic("out-of-range", message, _place(node, key), help=help)
        case "enum":
            words = [word for word in expected if isinstance(word, str)]
            message = f"`{name}` cannot be `{written}`"
            return Diagnostic("unknown-word", message, _place(node, key), help=suggestion(str(written), words))
        case "minItems" | "maxItems":
            schema: Any = error.schema
            exact = schema.get("minItems") == schema.get("maxItems")
            bound = "" if exact else "at least " if error.validator == "minItems" else "at most "
            message = f"`{name}` has {len(written)} values, and takes {bound}{expected}"
            pair = exact and expected == 2 and "integer" in schema.get("type", ())
            help = "write one number for both, or `[height, width]`" if pair else ""
            return Diagnostic("wrong-length", message, _place(node, key), help=help)
        case "uniqueItems":
            return Diagnostic("duplicate-value", f"`{name}` has the same value twice", _place(node, key))
        case "const":
            return Diagnostic("unknown-word", f"`{name}` must be {expected}", _place(node, key))
        case "minLength":
            return Diagnostic("wrong-type", f"`{name}` is empty", _place(node, key))
    raise AssertionError(f"the schema uses `{error.validator}`, which has no message")


def _help_for_type(error: ValidationError, name: str) -> str:
    """What to write in place of a value of the wrong type."""
    written: Any = error.instance
    expected: Any = error.validator_value
    last = name.rpartition(".")[2]
    if isinstance(written, list) and last == "depth" and (depths := _digits(written)):
        rest = ", ".join(depths[1:])
        return f"each stage has a depth of its own: `depth: {depths[0]}` here, and {rest} in the next ones"
    if isinstance(written, list) and "object" in expected:
        what = (
            "a stage needs a name: `layer1: {width: 64, depth: 2}`" if name == "stages" else "write `name: ...` for each entry"
        )
        return f"{what}, without dashes or square brackets"
    if isinstance(written, list) and len(written) == 1 and not isinstance(written[0], dict | list):
        return f"write `{_plain(written[0])}` without the brackets"
    if "boolean" in expected and written in (0, 1):
        return f"write `{str(bool(written)).lower()}`"
    if isinstance(written, dict) and last == "args":
        return f"list the names that a use must give: `args: [{', '.join(written)}]`; default values go into `defaults`"
    if expected in ("array", ["array", "null"]) and not isinstance(written, dict | list):
        return f"write a list: `{last}: [{_plain(written)}]`"
    if isinstance(written, str) and last in ("stem", "head", "branch", "shortcut", "after", "ops"):
        return f"give it a name: `{last}: {{{_name_for(written)}: {written}}}`"
    if type(written) is int and name.startswith("stages.") and name.count(".") == 1:
        return f"say what the number is: `{last}: {{depth: {written}}}`"
    example = _example(error.schema)
    return f"for example `{last}: {example}`" if example != "..." else ""


def _plain(value: object) -> str:
    """A single value as YAML has it."""
    return str(value).lower() if isinstance(value, bool) else str(value)


def _name_for(operation: str) -> str:
    """A name for an operation."""
    return {"act": "relu", "norm": "bn"}.get(operation, operation)


def _unknown_keys(error: ValidationError, node: YamlNode | None, name: str, kind: DocumentKind) -> Iterator[Diagnostic]:
    """A finding for each key that a mapping cannot have."""
    schema: Any = error.schema
    written: Any = error.instance
    general = ("op", "if", "from", "init")  # listed after the operation's own fields
    known = [key for key in schema["properties"] if not key.startswith("insert_")]
    known.sort(key=lambda key: "op" in written and key in general)
    at_top = not name and any(word in schema.get("required", ()) for word in ("spec", "recipe"))
    paths = key_paths(node) if at_top and isinstance(node, MappingNode) else {}
    for extra in written:
        if extra in schema["properties"]:
            continue
        owner = (written.get("op") or name) if name else ""
        what = f"`{owner}` has no field `{extra}`" if owner else f"a {kind if at_top else 'block'} has no key `{extra}`"
        at = node.entries[extra].key if isinstance(node, MappingNode) and extra in node.entries else None
        help = _NEVER_WRITTEN.get(extra) if "op" in written else None
        if at is not None and at_top:
            help = _help_elsewhere(extra, at, paths[extra], kind)
        yield Diagnostic("unknown-field", what, at, help=help or suggestion(extra, known, SYNONYMS))


def _help_elsewhere(extra: str, at: Span, paths: list[str], kind: DocumentKind) -> str | None:
    """The help for a key at the top of a document that belongs further down, where `paths` have it too."""
    full = next((path for path in paths if path.partition(".")[0] != extra), "")
    if full and at.source.origin == "command line":
        return f"did you mean `{full}{at.source.text.removeprefix(extra)}`?"
    if full and kind == "recipe":
        return f"did you mean `{full}`?"
    if kind == "spec" and extra in _operation_fields():
        return "is it a field of the operation above? Then indent it like the other fields"
    return None


@cache
def _operation_fields() -> frozenset[str]:
    """The fields that operations have."""
    members = schema_document()["definitions"]["operation"]["allOf"]
    return frozenset(field for member in members for field in member["then"].get("properties", {}))


def _missing(error: ValidationError) -> list[str]:
    """The required fields that are missing and not merely misspelled: a misspelled one is reported as such."""
    schema: Any = error.schema
    written: Any = error.instance
    known = schema.get("properties", {})
    meant = {closest(key, known, SYNONYMS) for key in written if key not in known}
    return [field for field in schema["required"] if field not in written and field not in meant]


def _bad_text(written: str, node: YamlNode, name: str) -> Diagnostic:
    """The finding for a name, or a size of the input, that does not have the right form."""
    if isinstance(node, MappingNode) and written in node.entries:
        message = f"`{written}` is not a valid name"
        help = "a name consists of letters, digits and underscores, or is an integer"
        first, dot, _ = written.partition(".")
        if dot:
            help = f"a dot in a key of the state_dict comes from nesting: `{first}: {{op: sequential, ops: {{...}}}}`"
        elif ":" in written:
            help = "write a space after the colon"
        return Diagnostic("invalid-name", message, node.entries[written].key, help=help)
    if name == "input":
        help = f"write channels x height x width in pixels: `input: {_likely_size(written)}`"
        return Diagnostic("invalid-input", f"`{written}` is not a size", node.span, help=help)
    help = "a name consists of letters, digits and underscores"
    return Diagnostic("invalid-name", f"`{written}` is not a valid name", node.span, help=help)


def _digits(written: list[object]) -> list[str]:
    """The depths that were meant by `[3, 4, 6, 3]`, or by `[3463]`."""
    numbers = [str(each) for each in written if isinstance(each, int) and not isinstance(each, bool)]
    found = list(numbers[0]) if len(numbers) == 1 and 3 <= len(numbers[0]) <= 4 else numbers
    return found if len(found) > 1 and len(numbers) == len(written) else []


def _likely_size(written: str) -> str:
    """`3x224x224` for `224`, `224x224`, or three numbers with anything between them."""
    numbers = [each for each in re.findall(r"[0-9]{1,9}", written) if not each.startswith("0")]
    match numbers:
        case [side]:
            return f"3x{side}x{side}"
        case [height, width]:
            return f"3x{height}x{width}"
        case [channels, height, width] if int(channels) > int(width) and int(width) in (1, 3):
            return f"{width}x{channels}x{height}"
        case [_, _, _]:
            return "x".join(numbers)
    return "3x224x224"


def _example(field: Any) -> str:
    """A value of a field, as it is written."""
    shown = field.get("examples", field.get("enum")) if isinstance(field, dict) else None
    return "..." if not shown or isinstance(shown[0], dict | list) else str(shown[0]).lower()


def _walk(root: YamlNode, path: list[str | int]) -> tuple[YamlNode | None, Span | None]:
    """The node at a path, and the place of its key."""
    node: YamlNode | None = root
    key: Span | None = root.span
    for step in path:
        if isinstance(node, MappingNode) and isinstance(step, str) and step in node.entries:
            entry = node.entries[step]
            node, key = entry.value, entry.key
        elif isinstance(node, SequenceNode) and isinstance(step, int):
            node = node.items[step]
            key = node.span
        else:
            return None, key
    return node, key


def _place(node: YamlNode | None, key: Span | None) -> Span | None:
    return node.span if isinstance(node, ScalarNode | SequenceNode) else key


def _dotted(path: list[str | int]) -> str:
    return "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in path).removeprefix(".")


def _expected(types: str | list[str]) -> str:
    """`an integer, an expression or a list`."""
    listed = [types] if isinstance(types, str) else [kind for kind in types if kind != "null"]
    expression = "string" in listed and ("integer" in listed or "number" in listed or "boolean" in listed)
    words = ["an expression" if expression and kind == "string" else _TYPE_WORDS[kind] for kind in listed]
    return words[0] if len(words) == 1 else ", ".join(words[:-1]) + " or " + words[-1]
