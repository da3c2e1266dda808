"""A patch applied to a tree, by RFC 7396 (JSON merge patch) with three rules of the language.

A mapping with `op` replaces the entry. A patch or a `null` for something that does not exist is an error, because its name is
most likely misspelled. A new entry may name the sibling that it follows or precedes. Whether the result is valid is not checked
here.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal

from resnet_spec.diagnostics import Diagnostic, DocumentKind, Label, Source, Span, closest
from resnet_spec.diagnostics.suggestions import show_suggestion
from resnet_spec.language.editing import remove_entry, remove_field, replace_text
from resnet_spec.language.fixes import Fixes, Help, is_misspelling, propose, propose_word
from resnet_spec.language.nodes import Entry, MappingNode, ScalarNode, SequenceNode, YamlNode, key_paths

_STAGE = re.compile(r"(?:stage|block|group|conv|res|s|l)_?([0-9]+)")  # names that others give to stages

# The documents that every document of a kind implicitly extends.
DEFAULTS: dict[DocumentKind, Source] = {
    "spec": Source("the language's defaults", "norm: batch_norm\nact: relu\n", "library"),
    "recipe": Source("the defaults of recipes", "optimizer: {op: SGD, lr: 0.1}\nschedule: constant\n", "library"),
}

# What a place in the tree contains; `operation` places take a bare word or a mapping with `op`.
DocumentPlace = Literal[
    "root", "recipe", "operations", "stages", "operation", "entry of stages", "stage block", "block", "data"
]
_ROLES: dict[str, DocumentPlace] = {"norm": "operation", "act": "operation", "roles": "operations"}
_CHILDREN: dict[DocumentPlace, dict[str, DocumentPlace]] = {
    "root": {
        "stem": "operations",
        "stages": "stages",
        "head": "operations",
        "norm": "operation",
        "act": "operation",
        "roles": "operations",
        "block": "operation",
    },
    "recipe": {"optimizer": "operation", "schedule": "operation"},
    "operation": {"ops": "operations", **_ROLES},
    "entry of stages": {"ops": "operations", "block": "stage block", "stages": "stages", **_ROLES},
    "stage block": _ROLES,
    "block": {"branch": "operations", "shortcut": "operations", "after": "operations", "join": "operation", **_ROLES},
}

_POSITIONS = {"before": "insert_before", "after": "insert_after"}  # words that are tried, and the keys that are meant


# Values of recipes of which `null` means off. Anywhere else it deletes an entry.
_NULL_IS_OFF = ("save.minutes", "save.steps")


def _child(place: DocumentPlace, key: str) -> DocumentPlace:
    if place == "operations":
        return "operation"
    if place == "stages":
        return "entry of stages"
    return _CHILDREN.get(place, {}).get(key, "data")


def _no_hint() -> Help:
    return "", ()


@dataclass(frozen=True, slots=True, eq=False)
class TreeMerger:
    """Applies patches, and gathers findings instead of stopping at the first.

    `replaced` maps the place of a value to the value of an earlier file that it overrides. `strict` is for `--set`, which
    changes only what exists. `find_hint` returns the help for a patch of something that does not exist, and its fixes; it is
    called where there is one.
    """

    findings: list[Diagnostic] = field(default_factory=list)
    places: set[Span | None] = field(default_factory=set)  # of the findings
    replaced: dict[Span, YamlNode] = field(default_factory=dict)
    strict: bool = False
    find_hint: Callable[[], Help] = _no_hint

    def merge(self, base: MappingNode, patch: MappingNode, place: DocumentPlace, within: str = "") -> MappingNode:
        """`base` with `patch` applied. `within` is the dotted path to them, for messages."""
        entries = dict(base.entries)
        inserts: list[_Insert] = []
        for key, entry in patch.entries.items():
            if self.strict and place in ("operations", "stages"):
                key, entry = _longest_match(key, entry, entries)
            path = f"{within}.{key}" if within else key
            value, position = entry.value, None
            if isinstance(value, MappingNode) and place in ("operations", "stages"):
                value, position = self._take_position(self._without_wrong_position(key, value, entries))
            child = "entry of stages" if _is_group(value) and place == "operations" else _child(place, key)
            merged = self._entry(entries.get(key), Entry(entry.key, value), child, path, base)
            if merged is None:
                entries.pop(key, None)
            elif position is None:
                entries[key] = merged
            elif key in entries:
                message = f"`{position.side}` is for new entries, but `{path}` already exists"
                here, help = (Label(entries[key].key, "here"),), f"remove `{position.side}`: an existing entry keeps its place"
                fixes = propose(help, remove_field(entry.key, position.side), "safe")
                self.report("position-taken", message, position.sibling.span, help, here, fixes)
            else:
                inserts.append(_Insert(key, merged, position))
        return MappingNode(self._insert(entries, inserts) if inserts else entries, patch.span)

    def report(
        self, code: str, message: str, span: Span, help: str = "", related: tuple[Label, ...] = (), fixes: Fixes = ()
    ) -> None:
        self._add(Diagnostic(code, message, span, related=related, help=help, fixes=fixes))

    def _add(self, finding: Diagnostic) -> None:
        self.findings.append(finding)
        self.places.add(finding.span)

    def _entry(self, old: Entry | None, new: Entry, place: DocumentPlace, path: str, parent: MappingNode) -> Entry | None:
        """Merge one entry of the patch with the existing one; None if the entry is deleted or rejected."""
        match new.value:
            case ScalarNode(value=None) as off if off.text and path in _NULL_IS_OFF:
                self._remember(old, off)
                return Entry(new.key, off)
            case ScalarNode(value=None):
                if old is None:
                    self._report_nothing_to_delete(new, path, parent)
                return None
            case MappingNode() as patch if old is not None and "op" not in patch.entries:
                merged: YamlNode = self.merge(_as_mapping(old.value, place, patch.span), patch, place, path)
            case MappingNode() as whole:
                if "op" not in whole.entries and (place == "operation" or (self.strict and place != "stage block")):
                    self._report_new_patch(new, whole, path, parent)
                    return None
                if old is None and place == "entry of stages" and not _is_group(whole):
                    message = f"`{path}` is patched here, but it does not exist"
                    if _is_misspelled(new.key, path, whole, parent):
                        self._report_nothing("nothing-to-patch", message, new.key, path, parent)
                        return None
                    if (meant := _same_number(path, whole, parent)) is not None and not self.strict:
                        help = f"did you mean `{meant}`?"
                        self.report(
                            "nothing-to-patch", message, new.key, help, fixes=propose(help, replace_text(new.key, meant))
                        )
                        return None
                merged = self.merge(MappingNode({}, whole.span), whole, place, path)
            case ScalarNode() | SequenceNode() as merged:
                if old is None and self.strict and path.startswith("params."):
                    message = f"there is no param `{path.removeprefix('params.')}` to set"
                    self._report_nothing("nothing-to-patch", message, new.key, path, parent)
                self._remember(old, merged)
        if old is not None and new.key.source.origin == "command line":
            return Entry(old.key, merged)  # findings show the key in the file
        return Entry(new.key, merged)

    def _remember(self, old: Entry | None, new: ScalarNode | SequenceNode) -> None:
        """Record what a value overrides, for findings about it, except the language's own defaults."""
        if old is None or isinstance(old.value, MappingNode) or old.value.span.source in DEFAULTS.values():
            return
        if not (isinstance(new, ScalarNode) and isinstance(old.value, ScalarNode) and new.text == old.value.text):
            self.replaced[new.span] = old.value

    # --- what does not exist ---------------------------------------------------------------------------------------------

    def _report_nothing_to_delete(self, new: Entry, path: str, parent: MappingNode) -> None:
        from resnet_spec.language.nothing import explain_deletion  # only documents with this mistake need it

        hint = self.find_hint()[0]
        message, help = f"`{path}` is deleted here, but it does not exist", hint or "remove the line"
        if not self.strict and (found := explain_deletion(new, path)) is not None:
            near = closest(path.rpartition(".")[2], parent.entries)
            if found.code != "nothing-to-delete" or (near is None and not hint):
                if found.span not in self.places:
                    self._add(found)
                return
            message, help = found.message, found.help
        self._report_nothing("nothing-to-delete", message, new.key, path, parent, help)

    def _report_new_patch(self, new: Entry, body: MappingNode, path: str, parent: MappingNode) -> None:
        from resnet_spec.language.nothing import explain_patch  # only documents with this mistake need it

        hint = self.find_hint()[0]
        if not (self.strict or hint) and (found := explain_patch(new, body, path, parent.entries)) is not None:
            if found.span not in self.places:
                self._add(found)
            return
        message, help = f"`{path}` is patched here, but it does not exist", "name the operation: `{op: ...}`"
        self._report_nothing("nothing-to-patch", message, new.key, path, parent, hint or help)

    def _report_nothing(self, code: str, message: str, key: Span, path: str, parent: MappingNode, help: str = "") -> None:
        """Report a patch or a `null` for nothing, with the sibling that was most likely meant, else `help`."""
        name = path.rpartition(".")[2]
        meant = closest(name, parent.entries)
        near = show_suggestion(meant, parent.entries, most=12 if self.strict and "." in path else 0)
        hint, hint_fixes = self.find_hint()
        if hint and meant is None:
            fixes = hint_fixes
        elif meant is not None:
            fixes = propose_word(key, meant, name)
        else:
            fixes = propose("remove the line", remove_entry(key)) if code == "nothing-to-delete" else ()
        if self.strict and "." not in path and (paths := key_paths(parent).get(path)):
            near = f"did you mean `{paths[0]}{key.source.text.removeprefix(path)}`?"
        if self.strict and not near:
            help = "`--set` changes only what exists; add new entries to the file"
        self.report(code, message, key, near or help, fixes=fixes)

    # --- the order of entries ---------------------------------------------------------------------------------------------

    def _without_wrong_position(self, key: str, value: MappingNode, siblings: Mapping[str, Entry]) -> MappingNode:
        """Report `before` and `after` with the name of a sibling: as a field or an argument, they would be an unknown name."""
        for word, meant in _POSITIONS.items():
            entry = value.entries.get(word)
            named = entry.value if entry is not None else None
            if entry is not None and isinstance(named, ScalarNode) and named.value in siblings:
                message = f"a new entry is placed with `{meant}`, not with `{word}`"
                exists = key in siblings
                help = f"remove `{word}`: an existing entry keeps its place" if exists else f"write `{meant}: {named.text}`"
                edits = remove_entry(entry.key) if exists else replace_text(entry.key, meant)
                self.report("unknown-field", message, entry.key, help, fixes=propose(help, edits, "safe"))
                value = value.without([word])
        return value

    def _take_position(self, value: MappingNode) -> tuple[MappingNode, _Position | None]:
        """Remove `insert_before` or `insert_after` from an entry; returns the entry, and its position if there was one."""
        found = [key for key in ("insert_before", "insert_after") if key in value.entries]
        if not found:
            return value, None
        sibling = value.entries[found[0]].value
        if len(found) > 1 or not isinstance(sibling, ScalarNode) or sibling.value is None:
            message = "an entry is inserted either before or after one sibling"
            self.report("wrong-type", message, sibling.span, "write `insert_after: NAME`")
            return value.without(found), None
        return value.without(found), _Position(found[0], sibling)

    def _insert(self, entries: dict[str, Entry], inserts: list[_Insert]) -> dict[str, Entry]:
        """Insert new entries at their positions; several after one sibling keep their order."""
        order = list(entries)
        behind: dict[str, int] = {}  # how many new entries already follow a sibling
        for insert in inserts:
            side, sibling = insert.position.side, insert.position.sibling
            target = sibling.text
            if target not in entries:
                message = f"`{side}: {target}`: there is no entry `{target}` here"
                near = closest(target, order)
                fixes = propose_word(sibling.span, near, target)
                self.report("unknown-name", message, sibling.span, show_suggestion(near, order), fixes=fixes)
                continue
            at = order.index(target)
            if side == "insert_after":
                behind[target] = behind.get(target, 0) + 1
                at += behind[target]
            order.insert(at, insert.key)
            entries[insert.key] = insert.entry
        return {key: entries[key] for key in order}


@dataclass(frozen=True, slots=True, eq=False)
class _Position:
    """`insert_before` or `insert_after` (`side`), and the sibling that it names."""

    side: str
    sibling: ScalarNode


@dataclass(frozen=True, slots=True, eq=False)
class _Insert:
    """A new entry, and its position."""

    key: str
    entry: Entry
    position: _Position


def _is_group(node: YamlNode) -> bool:
    """Whether an entry is a group of others, or changes one."""
    return isinstance(node, MappingNode) and "op" not in node.entries and isinstance(node.get("stages"), MappingNode)


def _longest_match(key: str, entry: Entry, entries: Mapping[str, Entry]) -> tuple[str, Entry]:
    """An entry of `--set`, whose path was split at every dot, under the longest existing key that begins the path."""
    found, name = (key, entry), key
    while isinstance(entry.value, MappingNode) and len(entry.value.entries) == 1:
        ((inner, entry),) = entry.value.entries.items()
        name = f"{name}.{inner}"
        if name in entries:
            found = name, entry
    return found


def _as_mapping(node: YamlNode, place: DocumentPlace, span: Span) -> MappingNode:
    """The mapping that a patch applies to: a bare word is short for `{op: word}`."""
    if isinstance(node, MappingNode):
        return node
    if isinstance(node, ScalarNode) and place in ("operation", "entry of stages", "stage block"):
        return MappingNode({"op": Entry(node.span, node)}, node.span)
    return MappingNode({}, span)


def _is_misspelled(key: Span, path: str, patch: MappingNode, parent: MappingNode) -> bool:
    """Whether a new stage is most likely a patch of an inherited one with its name misspelled: it does not say what it is made
    of, and its name is that of the other, but for a few letters. Another number at the end is another stage."""
    name = path.rpartition(".")[2]
    near = closest(name, parent.entries)
    if near is not None and re.sub("[-_]", "", near) == re.sub("[-_]", "", name):
        return True
    if key.source.origin != "spec" or {"block", "width"} & patch.entries.keys():
        return False
    return near is not None and is_misspelling(name, near)


def _same_number(path: str, patch: MappingNode, parent: MappingNode) -> str | None:
    """The inherited stage that a new one most likely patches, by another library's name for it: `stage3` is `layer3`."""
    found = _STAGE.fullmatch(path.rpartition(".")[2].lower())
    if found is None or {"block", "width", "type"} & patch.entries.keys():
        return None
    return name if (name := f"layer{found[1]}") in parent.entries else None
