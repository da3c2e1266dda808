"""Checks the form of a merged document against the JSON Schema of specs or of recipes.

The schema is used in two ways. A single file, which editors check, requires only `spec`. The merged document, which is checked
here, must also have `input`, and contains no `null`.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Set
from dataclasses import dataclass, replace
from functools import cache
from typing import TYPE_CHECKING, Any

from resnet_spec._system.packages import require_packages
from resnet_spec.diagnostics import Diagnostic, DocumentKind, closest
from resnet_spec.language.conformance import conforms, member_for
from resnet_spec.language.editing import set_path
from resnet_spec.language.fixes import propose
from resnet_spec.language.nodes import MappingNode, NodePath, to_data
from resnet_spec.language.schemas import schema_document, without_operations, without_refusals

if TYPE_CHECKING:
    from jsonschema import ValidationError


@dataclass(frozen=True, slots=True, eq=False)
class Validation:
    """The findings about the form of a tree, and the nodes that they are about."""

    findings: tuple[Diagnostic, ...]
    paths: tuple[NodePath, ...] = ()


def validate_whole(root: MappingNode, own: Set[str] = frozenset()) -> Validation:
    """Check the form of a merged spec. Its `blocks` are checked one by one, with `validate_block`.

    `own` are names of operations that mean blocks of the spec.
    """
    found = _validate("", root, own=frozenset(own))
    known = schema_document()["properties"]
    if "input" not in root.entries and not _has_input_elsewhere(root, known):
        message = "the spec has no input size"
        help = "write `input: 3x224x224` (C x H x W)"
        fixes = propose(help, set_path(root.span.source, ("input",), "3x224x224"))
        missing = Diagnostic("missing-field", message, root.span, help=help, fixes=fixes)
        return replace(found, findings=(*found.findings, missing))
    return found


def validate_file(root: MappingNode) -> Validation:
    """Check the form of a single file that is not merged with what it extends."""
    return _validate("", root)


def _has_input_elsewhere(root: MappingNode, known: Collection[str]) -> bool:
    """Whether a key that is not known is a misspelled `input`, or another word for it; it is reported as such."""
    from resnet_spec.language.elsewhere import is_size, means_input  # only documents with a mistake need it

    stem = root.get("stem")
    if isinstance(stem, MappingNode) and is_size(stem.get("input")):  # which is reported as an operation that there is not
        return True
    unknown = [(key, entry) for key, entry in root.entries.items() if key not in known]
    return any(closest(key, ("extends", "input")) or means_input(key, entry.value) for key, entry in unknown)


def validate_block(body: MappingNode, own: Set[str] = frozenset()) -> Validation:
    """Check the form of the merged body of one block; `own` are names of operations that mean blocks of the spec."""
    return _validate("block", body, own=frozenset(own))


def validate_recipe(root: MappingNode) -> list[Diagnostic]:
    """Check the form of a merged recipe."""
    return list(_validate("", root, "recipe").findings)


def _validate(definition: str, node: MappingNode, kind: DocumentKind = "spec", own: frozenset[str] = frozenset()) -> Validation:
    document = without_operations(without_refusals(schema_document(kind)), own)
    data = to_data(node)
    if conforms(data, document["definitions"][definition] if definition else document, document["definitions"]):
        return Validation(())
    from resnet_spec.language.schema_errors import explain_schema_error  # only documents with a mistake need it

    errors = list(_validator(definition, kind, own).iter_errors(data))
    of_another_type = {tuple(error.absolute_path) for error in errors if error.validator == "type"}
    kept = [error for error in errors if error.validator == "type" or tuple(error.absolute_path) not in of_another_type]
    findings = list(dict.fromkeys(finding for error in kept for finding in explain_schema_error(error, node, kind)))
    at_anchors = {(finding.code, finding.span) for finding in findings}
    findings = [f for f in findings if f.span is None or f.span.anchor is None or (f.code, f.span.anchor) not in at_anchors]
    return Validation(tuple(findings), tuple(dict.fromkeys(tuple(error.absolute_path) for error in kept)))


@cache
def _validator(definition: str, kind: DocumentKind, own: frozenset[str]) -> Any:
    """A validator of jsonschema, which is slow to import and only needed for documents that do not conform."""
    require_packages(f"explaining the schema errors of a {kind}", "jsonschema")
    from jsonschema import Draft7Validator
    from jsonschema.validators import extend

    document = without_operations(without_refusals(schema_document(kind)), own)
    chosen = {"$ref": f"#/definitions/{definition}", "definitions": document["definitions"]} if definition else document
    definitions = document["definitions"]

    def descend_to(validator: Any, reference: str, instance: object, schema: dict[str, Any]) -> Iterator[ValidationError]:
        """`$ref`, which jsonschema would resolve as a URL for each of thousands of errors."""
        yield from validator.descend(instance, definitions[reference.removeprefix("#/definitions/")])

    validator: Any = extend(Draft7Validator, {"allOf": _all_of, "$ref": descend_to})  # type: ignore[no-untyped-call]
    return validator(chosen)


def _all_of(validator: Any, members: list[Any], instance: object, schema: dict[str, Any]) -> Iterator[ValidationError]:
    """`allOf` of the operation part: the member about this `op`; a bare word counts as `op`."""
    member = member_for(instance, members)
    if member is not None:
        yield from validator.descend({"op": instance} if isinstance(instance, str) else instance, member)
