"""Explains why a document does not conform to its schema: a finding for each error of jsonschema, with a suggested fix."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from resnet_spec.diagnostics import SYNONYMS, Diagnostic, DocumentKind, Span, closest
from resnet_spec.diagnostics.arguments import likely_size
from resnet_spec.diagnostics.effort import may_edit
from resnet_spec.diagnostics.suggestions import Vocabulary, show_suggestion
from resnet_spec.diagnostics.text import join_words
from resnet_spec.language.block_keys import PARTS_OF_BLOCKS, WORDS, explain_key_of_block
from resnet_spec.language.editing import indent_under_sibling, remove_entry, replace_text, replace_value, set_field, set_path
from resnet_spec.language.elsewhere import find_place
from resnet_spec.language.extra_fields import explain_extra_field
from resnet_spec.language.fixes import Fixes, is_misspelling, propose, propose_word, together
from resnet_spec.language.forms import explain_form
from resnet_spec.language.nodes import MappingNode, ScalarNode, SequenceNode, YamlNode, key_paths
from resnet_spec.language.nothing import OP_WORDS
from resnet_spec.language.punctuation import find_full_width
from resnet_spec.language.recipe_words import WORDS as RECIPE_WORDS
from resnet_spec.language.recipe_words import explain_setting, find_setting, plain_word
from resnet_spec.language.schemas import operation_fields

if TYPE_CHECKING:
    from jsonschema import ValidationError

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


def explain_schema_error(error: ValidationError, root: YamlNode, kind: DocumentKind) -> Iterator[Diagnostic]:
    """Make the findings for one error of the schema, at their places in the tree."""
    node, key = _walk(root, list(error.absolute_path))
    if error.validator == "additionalProperties":
        yield from _unknown_keys(error, node, key, _dotted(list(error.absolute_path)), kind)
    elif error.validator != "required":
        yield _finding(error, root, kind)
    elif missing := _missing(error):
        yield _missing_fields(error, root, missing)


def _finding(error: ValidationError, root: YamlNode, document: DocumentKind) -> Diagnostic:
    path = list(error.absolute_path)
    node, key = _walk(root, path)
    name = _dotted(path)
    written: Any = error.instance
    expected: Any = error.validator_value
    match error.validator:
        case "propertyNames" | "pattern" if isinstance(written, str) and node is not None:
            return _bad_text(written, node, name)
        case "type":
            if name == "input" and isinstance(node, ScalarNode | SequenceNode):
                return _bad_text(node.text if isinstance(node, ScalarNode) else str(written), node, name)
            kind = f"the fraction {written}" if isinstance(written, float) else _KINDS.get(type(written), "nothing")
            message = f"`{name}` must be {_expected(expected)}, but this is {kind}"
            help, text = _help_for_type(error, name)
            fixes = propose(help, replace_value(node, text), "safe") if node is not None and text else ()
            if node is not None and key is not None and may_edit((key, name)):
                form = explain_setting(node, name) if document == "recipe" else explain_form(node, key, name, root)
                help, fixes = form or (help, fixes)
            return Diagnostic("wrong-type", message, _place(node, key), help=help, fixes=fixes)
        case "minimum" | "maximum":
            bound = "at least" if error.validator == "minimum" else "at most"
            help = f"use {expected} or {'more' if error.validator == 'minimum' else 'less'}"
            message = f"`{name}` is {written}, but must be {bound} {expected}"
            text = str(expected)
            if expected == 1 and error.validator == "maximum":  # a percentage: a probability of 1 is hardly meant
                text = f"{written / 100:g}" if 5 <= written <= 100 else ""
                help = f"write `{text}`, a fraction of 1" if text else help
            fixes = propose(f"write {text}", replace_value(node, text)) if node is not None and text else ()
            return Diagnostic("out-of-range", message, _place(node, key), help=help, fixes=fixes)
        case "enum":
            words = [word for word in expected if isinstance(word, str)]
            message = f"`{name}` cannot be `{written}`"
            synonyms = {str(written).lower(): meant} if (meant := _other_word(str(written), document)) is not None else {}
            near = closest(str(written), words, synonyms)
            fixes = propose_word(node.span, near, str(written)) if node is not None else ()
            help = show_suggestion(near, words)
            return Diagnostic("unknown-word", message, _place(node, key), help=help, fixes=fixes)
        case "minItems" | "maxItems":
            schema: Any = error.schema
            exact = schema.get("minItems") == schema.get("maxItems")
            bound = "" if exact else "at least " if error.validator == "minItems" else "at most "
            message = f"`{name}` has {len(written)} values, but takes {bound}{expected}"
            pair = exact and expected == 2 and "integer" in schema.get("type", ())
            help = "write one number for both, or `[height, width]`" if pair else ""
            return Diagnostic("wrong-length", message, _place(node, key), help=help)
        case "uniqueItems":
            return Diagnostic("duplicate-value", f"`{name}` has the same value twice", _place(node, key))
        case "const":
            fixes = propose(f"write `{expected}`", replace_value(node, str(expected))) if node is not None else ()
            return Diagnostic("unknown-word", f"`{name}` must be {expected}", _place(node, key), fixes=fixes)
        case "minLength":
            return Diagnostic("wrong-type", f"`{name}` is empty", _place(node, key))
    raise AssertionError(f"the schema uses `{error.validator}`, which has no message")


def _missing_fields(error: ValidationError, root: YamlNode, missing: Sequence[str]) -> Diagnostic:
    path = list(error.absolute_path)
    _, key = _walk(root, path)
    name = _dotted(path)
    written: Any = error.instance
    fields: Any = error.schema
    what = f"`{name}` ({written['op']})" if "op" in written else f"`{name}`" if name else "the document"
    message = f"{what} needs {join_words([f'`{field}`' for field in missing], 'and')}"
    values = {field: _example(fields["properties"].get(field)) for field in missing}
    added = ", ".join(f"{field}: {value}" for field, value in values.items())
    return Diagnostic("missing-field", message, key, help=f"add `{added}`", fixes=_add_fields(key, values, written))


def _other_word(written: str, document: DocumentKind) -> str | None:
    """What another library's word for the value of a field is called here."""
    return (
        RECIPE_WORDS.get(plain_word(written)) or WORDS.get(written.lower())
        if document == "recipe"
        else WORDS.get(written.lower())
    )


def _add_fields(key: Span | None, values: Mapping[str, str], written: Mapping[str, Any]) -> Fixes:
    """Fixes that add the missing fields of an operation, with values that suit those that are written."""
    if key is None or "..." in values.values():
        return ()
    candidates = [dict(values)]
    padding = written.get("padding")
    if "kernel_size" in values and isinstance(padding, int) and not isinstance(padding, bool):
        candidates.insert(0, {**values, "kernel_size": str(2 * padding + 1)})
    elif "kernel_size" in values and padding is None:
        candidates.append({**values, "kernel_size": "1"})
    if "out_channels" in values:
        candidates += [{**each, "out_channels": width} for each in tuple(candidates) for width in ("width", "channels")]
    fixes: Fixes = ()
    for candidate in candidates:
        added = ", ".join(f"{field}: {value}" for field, value in candidate.items())
        fixes += propose(f"add `{added}`", together(*(set_field(key, field, text) for field, text in candidate.items())))
    return fixes


def _help_for_type(error: ValidationError, name: str) -> tuple[str, str]:
    """The suggested fix for a value of the wrong type, and the text to write instead, if it is only that."""
    written: Any = error.instance
    expected: Any = error.validator_value
    last = name.rpartition(".")[2]
    if isinstance(written, list) and last == "depth" and (depths := _digits(written)):
        rest = ", ".join(depths[1:])
        return f"each stage has its own depth: write `depth: {depths[0]}` here, and {rest} in the next stages", ""
    if isinstance(written, list) and "object" in expected and "integer" not in expected:
        what = (
            "a stage needs a name: `layer1: {width: 64, depth: 2}`" if name == "stages" else "write `name: ...` for each entry"
        )
        return f"{what}, without dashes or square brackets", ""
    if isinstance(written, list) and len(written) == 1 and not isinstance(written[0], dict | list):
        return f"write `{_plain(written[0])}` without the brackets", _plain(written[0])
    if "boolean" in expected and written in (0, 1):
        return f"write `{str(bool(written)).lower()}`", str(bool(written)).lower()
    if isinstance(written, dict) and last == "args":
        return (
            f"list the names of the required arguments: `args: [{', '.join(written)}]`; default values go into `defaults`",
            "",
        )
    if expected in ("array", ["array", "null"]) and not isinstance(written, dict | list):
        return f"write a list: `{last}: [{_plain(written)}]`", f"[{_plain(written)}]"
    if isinstance(written, str) and last in ("stem", "head", "branch", "shortcut", "after", "ops"):
        value = f"{{{_name_for(written)}: {written}}}"
        return f"give it a name: `{last}: {value}`", value
    if type(written) is int and name.startswith("stages.") and name.count(".") == 1:
        return f"name the field that the number is for: `{last}: {{depth: {written}}}`", f"{{depth: {written}}}"
    if isinstance(written, float) and written.is_integer() and "integer" in expected and abs(written) < 1e15:
        return f"write `{int(written)}`", str(int(written))
    example = _example(error.schema)
    return (f"for example `{last}: {example}`" if example != "..." else ""), ""


def _plain(value: object) -> str:
    """A single value as it is written in YAML."""
    return str(value).lower() if isinstance(value, bool) else str(value)


def _name_for(operation: str) -> str:
    """A name to suggest for an operation."""
    return {"act": "relu", "norm": "bn"}.get(operation, operation)


def _unknown_keys(
    error: ValidationError, node: YamlNode | None, use: Span | None, name: str, kind: DocumentKind
) -> Iterator[Diagnostic]:
    """A finding for each key that a mapping cannot have. `use` is the key of the mapping."""
    schema: Any = error.schema
    written: Any = error.instance
    general = ("op", "if", "else", "from", "init")  # listed after the operation's own fields
    known = [key for key in schema["properties"] if not key.startswith("insert_")]
    known.sort(key=lambda key: "op" in written and key in general)
    at_top = not name and any(word in schema.get("required", ()) for word in ("spec", "recipe"))
    paths = key_paths(node) if at_top and isinstance(node, MappingNode) else {}
    words = Vocabulary(known)
    synonyms = {**SYNONYMS, **PARTS_OF_BLOCKS} if not name else SYNONYMS
    unknown = [key for key in written if key not in schema["properties"]]
    meant = {key: closest(key, words, synonyms) for key in unknown}
    times = Counter(meant.values())
    for extra in unknown:
        owner = (written.get("op") or name) if name else ""
        what = f"`{owner}` has no field `{extra}`" if owner else f"a {kind if at_top else 'block'} has no key `{extra}`"
        at = node.entries[extra].key if isinstance(node, MappingNode) and extra in node.entries else None
        help = _NEVER_WRITTEN.get(extra) if "op" in written else None
        fixes: Fixes = ()
        if at is not None and help is not None:
            fixes = propose(help, remove_entry(at), "safe")
        elif at is not None and "op" in written and isinstance(node, MappingNode) and not _is_near_spelling(extra, words):
            if (found := explain_extra_field(extra, use, node)) is not None:
                help, fixes = found
            elif extra.lower() in OP_WORDS and node.entries["op"].key.source is not at.source:  # that `op` is inherited
                help = "an operation is named with `op`: did you mean that?"
                fixes = propose(help, replace_text(at, "op"), "safe")
        elif at is not None and at_top and isinstance(node, MappingNode):
            help, fixes = _help_elsewhere(extra, at, node, paths[extra], kind, written[extra])
        if help is None:
            near = meant[extra]
            help = show_suggestion(near, words, most=len(known) if at_top else 12)
            if near is not None and times[near] > 1:
                help = f"{help} There is one `{near}`"  # two keys, both of which would become it
                if near == "shortcut":
                    help += "; add others to the branch: `{op: add, from: [NAME, NAME]}` with `from: input` where they begin"
            elif at is not None:
                fixes = _rename_key(at, near, extra, node)
            if not name and not at_top and at is not None and isinstance(node, MappingNode) and near is None:
                help, fixes = explain_key_of_block(extra, node) or (help, fixes)
        yield Diagnostic("unknown-field", what, at, help=help, fixes=fixes)


def _is_near_spelling(word: str, known: Vocabulary) -> bool:
    """Whether a word is a known one but for a few letters."""
    near = closest(word, known)
    return near is not None and is_misspelling(word, near)


def _rename_key(at: Span, near: str | None, extra: str, node: YamlNode | None) -> Fixes:
    """The fix that writes the key that was meant, unless the same file has that key already."""
    there = node.entries.get(near) if near is not None and isinstance(node, MappingNode) else None
    return () if there is not None and there.key.source is at.source else propose_word(at, near, extra)


def _help_elsewhere(
    extra: str, at: Span, root: MappingNode, paths: list[str], kind: DocumentKind, written: object
) -> tuple[str | None, Fixes]:
    """The help for a key at the top of a document that belongs elsewhere, and its fixes; `paths` are its places below."""
    full = next((path for path in paths if path.partition(".")[0] != extra), "")
    if full and at.source.origin == "command line":
        return f"did you mean `{full}{at.source.text.removeprefix(extra)}`?", ()
    if kind == "recipe":
        if (found := find_setting(extra, root)) is not None:
            return found
        if not full:
            return None, ()
        title = f"did you mean `{full}`?"
        if isinstance(written, dict | list):
            return title, ()
        return title, propose(title, together(remove_entry(at), set_path(at.source, full.split("."), _plain(written))))
    if not may_edit(at):
        return None, ()
    above, edits = indent_under_sibling(at)
    if above:
        return f"indent it under `{above}:`", propose(f"indent it under `{above}:`", edits, "safe")
    if (place := find_place(extra, root, paths)) is not None:
        return place
    if extra in operation_fields():
        return "if it is a field of the operation above, indent it like the other fields", ()
    return None, ()


def _missing(error: ValidationError) -> list[str]:
    """The required fields that are missing and not misspelled; misspelled ones are reported as such."""
    schema: Any = error.schema
    written: Any = error.instance
    known = schema.get("properties", {})
    words = Vocabulary(known)
    meant = {closest(key, words, SYNONYMS) for key in written if key not in known}
    return [field for field in schema["required"] if field not in written and field not in meant]


def _bad_text(written: str, node: YamlNode, name: str) -> Diagnostic:
    """The finding for a malformed name or input size."""
    if isinstance(node, MappingNode) and written in node.entries:
        if not written.isascii() and (found := find_full_width(node.span.source)):
            return found[0]
        message = f"`{written}` is not a valid name"
        help = "a name consists of letters, digits and underscores, or is an integer"
        valid = re.sub(r"[^A-Za-z0-9_.]+", "_", written).strip("_")
        squeezed = re.sub(r"[^A-Za-z0-9]+", "", written)
        valid = squeezed if squeezed in node.entries else valid  # an entry that is inherited
        if valid != written and valid.isidentifier() and "." not in written:
            help = f"{help}: `{valid}`"
        first, dot, _ = written.partition(".")
        if dot:
            help = f"a dot in a key of the state_dict comes from nesting: `{first}: {{op: sequential, ops: {{...}}}}`"
        at = node.entries[written].key
        fixes: Fixes = propose(f"write `{valid}`", replace_text(at, valid)) if valid.isidentifier() and not dot else ()
        if not dot and ":" in written:
            help = "write a space after the colon"
            fixes = propose(help, replace_text(at, written.replace(":", ": ")), "safe")
        return Diagnostic("invalid-name", message, at, help=help, fixes=fixes)
    if found := find_full_width(node.span.source):
        return found[0]
    if name.startswith("expect.accepts"):
        ends = [*re.findall(r"[1-9][0-9]{0,8}", written)[-2:], "96"]
        help = f"write height x width in pixels: `{ends[0]}x{ends[1] if len(ends) > 2 else ends[0]}`"
        return Diagnostic("invalid-input", f"`{written}` is not a size", node.span, help=help)
    if name == "input":
        help = f"write channels x height x width in pixels: `input: {_size_in(written)}`"
        fixes = propose(help, replace_value(node, _size_in(written)), "safe")
        return Diagnostic("invalid-input", f"`{written}` is not a size", node.span, help=help, fixes=fixes)
    help = "a name consists of letters, digits and underscores"
    return Diagnostic("invalid-name", f"`{written}` is not a valid name", node.span, help=help)


def _digits(written: list[object]) -> list[str]:
    """The depths that `[3, 4, 6, 3]` or `[3463]` most likely mean."""
    numbers = [str(each) for each in written if isinstance(each, int) and not isinstance(each, bool)]
    found = list(numbers[0]) if len(numbers) == 1 and 3 <= len(numbers[0]) <= 4 else numbers
    return found if len(found) > 1 and len(numbers) == len(written) else []


def _size_in(written: str) -> str:
    """The size that was most likely meant by a text: `3x224x224` for `224`, `224x224`, or three numbers with any separators."""
    numbers = [int(each) for each in re.findall(r"[0-9]{1,9}", written) if not each.startswith("0")]
    return "x".join(map(str, likely_size(numbers)))


def _example(field: Any) -> str:
    """An example of a value of a field."""
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
    return join_words(words, "or")
