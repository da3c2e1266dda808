"""Explains a patch or a `null` for something that does not exist, where a slip in the text is the reason."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cache

from resnet_spec.diagnostics import SYNONYMS, Diagnostic, closest
from resnet_spec.diagnostics.effort import may_edit
from resnet_spec.language.editing import Edits, cut, is_flow, locate, remove_entry, replace_text, set_field
from resnet_spec.language.fixes import DIGITS, Fixes, propose
from resnet_spec.language.glued import find_glued_key
from resnet_spec.language.nodes import Entry, MappingNode, ScalarNode, YamlNode
from resnet_spec.language.punctuation import find_full_width
from resnet_spec.language.restructuring import indent_following
from resnet_spec.language.schemas import operation_fields, operation_names, schema_document

OP_WORDS = ("type", "layer", "kind", "module", "class", "_target_", "operation", "operator", "func", "fn", "layer_type")
_GENERAL = ("op", "if", "else", "from", "init", "insert_before", "insert_after")


def explain_deletion(new: Entry, path: str) -> Diagnostic | None:
    """The finding for an entry without a value that is the result of a slip; None if there is no idea."""
    located = locate(new.key)
    if located is None:
        return None
    if found := find_full_width(new.key.source):
        return found[0]
    if (glued := find_glued_key(located.parent)) is not None:
        return glued
    name = located.name
    if is_flow(located.parent) and isinstance(new.value, ScalarNode) and not new.value.text:
        found_list = _list_without_brackets(located.parent, name)
        if found_list is not None:
            return found_list
    if isinstance(new.value, ScalarNode) and new.value.text:
        return None
    message = f"`{path}` has no value: nothing follows the colon, and nothing is indented below it"
    names = list(located.parent.entries)
    following = names[names.index(name) + 1 :]
    title = f"indent what belongs to `{name}`"
    fixes: Fixes = ()
    known = schema_document()["properties"]
    if following and "." not in path and following[0] not in known:
        fixes = propose(title, indent_following(new.key, stop=known), "safe", is_help=True)
    elif following and (following[0] in ("op", "width", "depth", "block", "branch") or following[0] in _field_names()):
        only = {*_field_names(), "width", "depth", "block", "branch", "shortcut", "join", "after", "args", "defaults"}
        fixes = propose(title, indent_following(new.key, only=only), "safe", is_help=True)
    fixes += propose("remove the line", remove_entry(new.key))
    help = f"give `{name}` a value, or remove the line"
    return Diagnostic("nothing-to-delete", message, new.key, help=help, fixes=fixes)


@cache
def _field_names() -> frozenset[str]:
    return operation_fields() | {"op", "if", "else", "from", "init"}


def _list_without_brackets(parent: MappingNode, name: str) -> Diagnostic | None:
    """A list without its brackets: `{from: a, b}` is an entry `from`, and an entry `b` without a value."""
    names = list(parent.entries)
    key = parent.entries[name].key
    if key.source.line(key.line)[key.end_column - 1 :].lstrip().startswith(":"):
        return None
    at = names.index(name)
    while at > 0 and _is_bare(parent.entries[names[at - 1]].value):
        at -= 1
    if not at:
        return None
    first, rest = parent.entries[names[at - 1]], [names[at]]
    for other in names[at + 1 :]:
        if not _is_bare(parent.entries[other].value):
            break
        rest.append(other)
    value, last = first.value, parent.entries[rest[-1]].key
    if not isinstance(value, ScalarNode) or not value.text or not value.unquoted:
        return None
    text = f"[{', '.join([value.text, *rest])}]"
    help = f"write `{names[at - 1]}: {text}`"
    span = value.span
    edits: Edits = cut(span, (span.line, span.column), (last.end_line, last.end_column), text)
    message = f"inside `{{...}}` a comma ends the value, so `{rest[0]}` is an entry of its own, without a value"
    return Diagnostic("unquoted-call", message, parent.entries[rest[0]].key, help=help, fixes=propose(help, edits, "safe"))


def _is_bare(value: YamlNode) -> bool:
    return isinstance(value, ScalarNode) and value.value is None and not value.text and value.unquoted


def explain_patch(key: Entry, body: MappingNode, path: str, siblings: Mapping[str, Entry]) -> Diagnostic | None:
    """The finding for an entry without `op` that is new; None if there is no idea.

    `siblings` are the entries that exist already.
    """
    if found := find_full_width(key.key.source):
        return found[0]
    if not may_edit(key.key):
        return None
    if (glued := find_glued_key(body)) is not None:
        return glued
    name = path.rpartition(".")[2]
    for word, entry in body.entries.items():
        named = isinstance(entry.value, ScalarNode) and isinstance(entry.value.value, str)
        if named and (word.lower() in OP_WORDS or word.lower() == "op"):
            message, help = f"an operation is named with `op`, not with `{word}`", "did you mean `op`?"
            fixes = propose(help, replace_text(entry.key, "op"), "safe")
            return Diagnostic("unknown-field", message, entry.key, help=help, fixes=fixes)
    message = f"`{path}` is patched here, but it does not exist"
    fixes = ()
    given = set(body.entries) - set(_GENERAL)
    takers = [each for each, entry in siblings.items() if given and given <= _fields(_op_of(entry.value))]
    if takers and closest(name, siblings) is None:
        help = f"did you mean `{takers[-1]}`? It has {_listed(given)}"
        return Diagnostic(
            "nothing-to-patch", message, key.key, help=help, fixes=propose(help, replace_text(key.key, takers[-1]))
        )
    guesses = list(dict.fromkeys(_guess(name, given)))
    if not guesses or closest(name, siblings) is not None:
        return None
    help = f"name the operation: `op: {guesses[0]}`"
    for guess in guesses:
        fixes += propose(f"name the operation: `op: {guess}`", _name_first(key, body, guess), is_help=True)
    return Diagnostic("nothing-to-patch", message, key.key, help=help, fixes=fixes)


def _name_first(key: Entry, body: MappingNode, op: str) -> Edits:
    """Write `op` before the other fields."""
    if not body.entries or body.span.anchor is not None:
        return set_field(key.key, "op", op)
    first = next(iter(body.entries.values())).key
    if is_flow(body):
        return cut(first, (first.line, first.column), (first.line, first.column), f"op: {op}, ")
    indent = " " * (first.column - 1)
    return cut(first, (first.line, first.column), (first.line, first.column), f"op: {op}\n{indent}")


def _guess(name: str, given: set[str]) -> Iterator[str]:
    """The operations that an entry most likely is, by its name and its fields."""
    names = operation_names()
    word = name.lower().rstrip(f"_{DIGITS}")
    by_name = {"conv": "conv2d", "bn": "batch_norm", "pool": "max_pool2d", "fc": "linear", "maxpool": "max_pool2d"}
    meant = by_name.get(word) or SYNONYMS.get(word) or (word if word in names else closest(word, sorted(names)))
    candidates = [meant] if meant in names else []
    candidates += ["conv2d", "linear", "adaptive_avg_pool2d", "max_pool2d", "batch_norm", "dropout"]
    for op in candidates:
        if op is not None and given and given <= _fields(op) and _required(op) <= given:
            yield op


@cache
def _schemas() -> dict[str, dict[str, object]]:
    members = schema_document()["definitions"]["operation"]["allOf"]
    return {member["if"]["properties"]["op"]["const"]: member["then"] for member in members}


def _fields(op: str) -> frozenset[str]:
    properties = _schemas().get(op, {}).get("properties", {})
    return frozenset(properties if isinstance(properties, dict) else ()) - frozenset(_GENERAL)


def _required(op: str) -> frozenset[str]:
    required = _schemas().get(op, {}).get("required", ())
    return frozenset(each for each in required if isinstance(each, str)) if isinstance(required, list) else frozenset()


def _op_of(value: YamlNode) -> str:
    op = value.get("op") if isinstance(value, MappingNode) else value
    return op.text if isinstance(op, ScalarNode) else ""


def _listed(names: set[str]) -> str:
    return " and ".join(f"`{name}`" for name in sorted(names)[:3])
