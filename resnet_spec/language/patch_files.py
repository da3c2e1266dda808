"""Files that are only patches, such as `specs/mixins/d.yaml`: which files are, and what can be known of one without its base.

A patch changes what a base defines, so a name that it does not define itself may be the base's. What is checked is its form,
and the parts that are whole: entries with an `op`, its own blocks, and patches of blocks of the library.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from resnet_spec.diagnostics import Diagnostic, Source, SpecError, closest
from resnet_spec.diagnostics.suggestions import Vocabulary, show_suggestion
from resnet_spec.language.library import library_block_names
from resnet_spec.language.merge import Resolved, merge_onto_defaults, merge_patch_blocks
from resnet_spec.language.nodes import Entry, MappingNode, ScalarNode, YamlNode, to_data
from resnet_spec.language.reader import parse
from resnet_spec.language.schemas import schema_document
from resnet_spec.language.validation import validate_file

_OPERATIONS = ("stem", "head")
_PATCHED = ("norm", "act", "init", "block", "params", "blocks", "classes", "recipe")
_POSITIONS = ("insert_before", "insert_after")


@dataclass(frozen=True, slots=True)
class PatchFile:
    """A patch. `whole` are the parts that can be checked without a base, as a document; `needed` the blocks of its base that it
    patches; `findings` those about its form."""

    whole: Resolved
    needed: tuple[str, ...]
    findings: tuple[Diagnostic, ...]
    warnings: tuple[Diagnostic, ...]


def read_patch(source: Source) -> PatchFile | None:
    """Read a file that is only a patch; None for any other, and for one that cannot be read."""
    try:
        document, warnings = parse(source)
    except SpecError:
        return None
    if not isinstance(document, MappingNode) or to_data(document.get("spec") or document) != 1 or not _is_patch(document):
        return None
    blocks, needed, findings = merge_patch_blocks(document.get("blocks"))
    findings = [*validate_file(document).findings, *findings, *_block_names(document)]
    merged = merge_onto_defaults(_whole_part(document))
    return PatchFile(Resolved(source, merged, blocks, False, (), {}), tuple(needed), tuple(findings), warnings)


def _is_patch(document: MappingNode) -> bool:
    """Whether a file cannot be meant as a network of its own that lacks its `input`.

    It changes or deletes entries that it does not define, or defines nothing that could be built.
    """
    known = schema_document()["properties"]
    if any(closest(key, ("extends", "input")) for key in document.entries if key not in known or key in ("extends", "input")):
        return False
    operations = [document.get(part) for part in _OPERATIONS]
    entries = [entry.value for part in operations if isinstance(part, MappingNode) for entry in part.entries.values()]
    if any(_is_change(value) for value in entries):
        return True
    if "head" not in document.entries and "stages" not in document.entries:
        return any(key in document.entries for key in (("blocks",) if "stem" in document.entries else _PATCHED))
    return not ("stem" in document.entries and "head" in document.entries) and _changes_stages(document)


def _is_change(value: YamlNode) -> bool:
    """Whether an entry of operations deletes, patches or positions something."""
    if isinstance(value, ScalarNode):
        return value.value is None
    return isinstance(value, MappingNode) and ("op" not in value.entries or any(key in value.entries for key in _POSITIONS))


def _changes_stages(document: MappingNode) -> bool:
    """Whether a stage does not name its block, nor does the document."""
    stages = document.get("stages")
    if not isinstance(stages, MappingNode) or "block" in document.entries:
        return False
    values = [entry.value for entry in stages.entries.values()]
    return any(isinstance(value, MappingNode) and not {"op", "block"} & value.entries.keys() for value in values)


def _whole_part(document: MappingNode) -> MappingNode:
    """The document without what changes a base: only with whole entries. What the base has for sure is filled in."""
    kept: dict[str, Entry] = {}
    for key, entry in document.entries.items():
        if key in (*_OPERATIONS, "stages"):
            if isinstance(entry.value, MappingNode):
                kept[key] = Entry(entry.key, _whole_entries(entry.value))
        elif key in ("norm", "act"):
            if not _is_change(entry.value):
                kept[key] = entry
        elif key not in ("block", "blocks") and not (isinstance(entry.value, ScalarNode) and entry.value.value is None):
            kept[key] = entry
    for key, text in (("input", "3x224x224"), ("classes", "1000")):
        value = ScalarNode(1000 if key == "classes" else text, document.span, text)
        kept.setdefault(key, Entry(document.span, value))
    return MappingNode(kept, document.span)


def _whole_entries(part: MappingNode) -> MappingNode:
    kept: dict[str, Entry] = {}
    for name, entry in part.entries.items():
        if isinstance(entry.value, MappingNode) and "op" in entry.value.entries:
            kept[name] = Entry(entry.key, entry.value.without(_POSITIONS))
        elif isinstance(entry.value, ScalarNode) and isinstance(entry.value.value, str):
            kept[name] = entry
    return MappingNode(kept, part.span)


def _block_names(document: MappingNode) -> Iterator[Diagnostic]:
    """A finding for each stage whose block has almost the name of one that is known; any other may be the base's."""
    own = document.get("blocks")
    known = dict.fromkeys([*(own.entries if isinstance(own, MappingNode) else ()), *library_block_names()])
    vocabulary = Vocabulary(known)
    stages = document.get("stages")
    parts = [entry.value for entry in stages.entries.values()] if isinstance(stages, MappingNode) else []
    choices = [part.get("block") for part in parts if isinstance(part, MappingNode)] + [document.get("block")]
    for choice in choices:
        node = choice.get("op") if isinstance(choice, MappingNode) else choice
        if isinstance(node, ScalarNode) and node.text not in known and (near := closest(node.text, vocabulary)) is not None:
            help = show_suggestion(near, vocabulary)
            yield Diagnostic("unknown-block", f"there is no block `{node.text}`", node.span, help=help)
