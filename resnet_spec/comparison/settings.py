"""What differs between two specs, after everything that they extend was merged: settings that are changed, added or removed."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from typing import Literal

from resnet_spec.language.library import library_block
from resnet_spec.language.merge import BlockText, Resolved
from resnet_spec.language.nodes import Entry, MappingNode, ScalarNode, SequenceNode, YamlNode, to_data

SettingKind = Literal["changed", "added", "removed", "renamed", "moved"]
Path = tuple[str, ...]
ABOUT_THE_FILE = ("spec", "name", "about", "source", "weights", "expect")  # what does not describe the network
ORDERED = ("stem", "stages", "head", "branch", "shortcut", "after", "ops")  # mappings whose entries run in order
DEFINITIONS = ("params", "roles", "blocks")  # mappings of what other settings refer to by name
_MIRRORED: dict[SettingKind, SettingKind] = {"added": "removed", "removed": "added"}


@dataclass(frozen=True, slots=True)
class Setting:
    """A setting that differs. `path` leads to it in the first spec, or in the second one if it was added.

    `before` and `after` are plain data. They are the names of an entry that is `renamed` (its `path` has the first one), and
    lists of names in a mapping in which entries have `moved`.
    """

    path: Path
    kind: SettingKind
    before: object
    after: object
    entry: Entry | None = field(default=None, compare=False, repr=False)  # in the second spec
    order: tuple[str, ...] = field(default=(), compare=False, repr=False)  # the names around it in the second spec

    @property
    def defines(self) -> bool:
        """Whether it is a definition that only one of the specs has. Alone it changes nothing, or cannot be left out."""
        return len(self.path) == 2 and self.path[0] in DEFINITIONS and self.kind in ("added", "removed")

    def mirrored(self) -> Setting:
        """The setting as it differs from the second spec to the first one."""
        path = (*self.path[:-1], str(self.after)) if self.kind == "renamed" else self.path
        return Setting(path, _MIRRORED.get(self.kind, self.kind), self.after, self.before)


def compare_settings(first: Resolved, second: Resolved) -> tuple[Setting, ...]:
    """The settings in which two merged specs differ, in the order of a spec. Names, descriptions and `expect` do not count."""
    roots = _whole(first, second.blocks), _whole(second, first.blocks)
    return tuple(sorted(compare_mappings((), *roots), key=lambda setting: _rank(setting.path)))


def apply_settings(first: Resolved, settings: Iterable[Setting], second: Resolved) -> Resolved:
    """The first spec with some of the settings of the second one."""
    root = _whole(first, second.blocks)
    for setting in sorted(settings, key=lambda setting: (setting.kind == "renamed", setting.kind == "moved")):
        root = _applied(root, setting.path, setting)
    blocks: dict[str, BlockText] = {}
    bodies = root.get("blocks")
    for name, entry in bodies.entries.items() if isinstance(bodies, MappingNode) else ():
        known = first.blocks.get(name) or second.blocks.get(name)
        if known is not None and isinstance(entry.value, MappingNode):
            blocks[name] = replace(known, body=entry.value)
    empty = {name for name in DEFINITIONS if isinstance(node := root.get(name), MappingNode) and not node.entries}
    kept = {name: entry for name, entry in first.root.entries.items() if name in ABOUT_THE_FILE}
    merged = root.without({"blocks", *empty})
    return replace(first, root=replace(merged, entries={**kept, **merged.entries}), blocks=blocks)


_SECTIONS = ("input", "classes", "params", "norm", "act", "roles", "block", "blocks", "stem", "stages", "head", "outputs")


def _rank(path: Path) -> int:
    return _SECTIONS.index(path[0]) if path[0] in _SECTIONS else len(_SECTIONS)


def _whole(resolved: Resolved, others: Iterable[str]) -> MappingNode:
    """The root of a spec with its blocks; also with those of the library that only the other spec patches."""
    root = resolved.root
    bodies = {name: Entry(block.key, block.body.without(("about",))) for name, block in resolved.blocks.items()}
    for name in others:
        if name not in bodies and (body := library_block(name)) is not None:
            bodies[name] = Entry(body.span, body.without(("about",)))
    nothing = {name: Entry(root.span, MappingNode({}, root.span)) for name in DEFINITIONS}
    entries = {**nothing, **root.entries, "blocks": Entry(root.span, MappingNode(bodies, root.span))}
    return MappingNode(entries, root.span).without(ABOUT_THE_FILE)


# --- comparing --------------------------------------------------------------------------------------------------------------


def _compare(path: Path, one: Entry, other: Entry, order: tuple[str, ...]) -> Iterator[Setting]:
    first, second = one.value, other.value
    if isinstance(first, MappingNode) and isinstance(second, MappingNode) and _op(first) == _op(second):
        yield from compare_mappings(path, first, second)
    elif not _equal(first, second):
        yield Setting(path, "changed", to_data(first), to_data(second), other, order)


def compare_mappings(path: Path, first: MappingNode, second: MappingNode) -> Iterator[Setting]:
    """The settings in which two mappings differ; those of a recipe have an empty `path`."""
    ordered = bool(path) and path[-1] in ORDERED
    order = tuple(second.entries)
    common = [key for key in first.entries if key in second.entries]
    in_order = common == [key for key in order if key in first.entries]
    renamed = dict(_find_renamed(path, first, second)) if ordered and in_order else {}
    for key, entry in first.entries.items():
        here = (*path, key)
        if key in second.entries:
            yield from _compare(here, entry, second.entries[key], order)
        elif key in renamed:
            yield Setting(here, "renamed", key, renamed[key])
            yield from _compare(here, entry, second.entries[renamed[key]], order)
        else:
            yield Setting(here, "removed", to_data(entry.value), None)
    for key, entry in second.entries.items():
        if key not in first.entries and key not in renamed.values():
            yield Setting((*path, key), "added", None, to_data(entry.value), entry, order)
    if ordered and not in_order:
        yield Setting(path, "moved", list(first.entries), list(second.entries), None, order)


def _find_renamed(path: Path, first: MappingNode, second: MappingNode) -> Iterator[tuple[str, str]]:
    """Pairs of names: of stages at the same place among the others, and of other entries there with equal values."""
    gaps = [list(_gaps(one, other)) for one, other in ((first, second), (second, first))]
    for before, after in zip(*gaps, strict=True):
        if path == ("stages",) and len(before) == len(after):
            yield from zip(before, after, strict=True)
        else:
            left = list(after)
            for name in before:
                same = [each for each in left if _equal(first.entries[name].value, second.entries[each].value)]
                if same:
                    yield name, same[0]
                    del left[: left.index(same[0]) + 1]


def _gaps(one: MappingNode, other: MappingNode) -> Iterator[list[str]]:
    """The names that only `one` has, between those that both have."""
    gap: list[str] = []
    for key in one.entries:
        if key in other.entries:
            yield gap
            gap = []
        else:
            gap.append(key)
    yield gap


def _op(node: MappingNode) -> object:
    op = node.get("op")
    return op.value if isinstance(op, ScalarNode) else None


def _equal(first: YamlNode, second: YamlNode) -> bool:
    """Whether two values are equal; a word is equal to the operation that it is short for."""
    match first, second:
        case ScalarNode(), ScalarNode():
            return type(first.value) is type(second.value) and first.value == second.value
        case SequenceNode(), SequenceNode():
            return len(first.items) == len(second.items) and all(map(_equal, first.items, second.items))
        case MappingNode(), MappingNode():
            return list(first.entries) == list(second.entries) and all(
                _equal(first.entries[key].value, second.entries[key].value) for key in first.entries
            )
        case ScalarNode(), MappingNode():
            return list(second.entries) == ["op"] and first.value == _op(second)
        case MappingNode(), ScalarNode():
            return _equal(second, first)
    return False


# --- applying ---------------------------------------------------------------------------------------------------------------


def _applied(node: MappingNode, path: Path, setting: Setting) -> MappingNode:
    """The tree with one setting of the other spec."""
    entries = node.entries
    if not path:  # its entries have moved
        names = [*(name for name in setting.order if name in entries), *(name for name in entries if name not in setting.order)]
        return replace(node, entries={name: entries[name] for name in names})
    key, *rest = path
    here = entries.get(key)
    if rest or setting.kind == "moved":
        inside = MappingNode({}, node.span) if here is None else here.value
        if not isinstance(inside, MappingNode):
            return node
        entry = Entry(node.span if here is None else here.key, _applied(inside, tuple(rest), setting))
        return replace(node, entries={**entries, key: entry})
    if setting.kind == "renamed":
        new = str(setting.after)
        return replace(node, entries={new if name == key else name: entry for name, entry in entries.items()})
    if setting.kind == "removed" or setting.entry is None:
        return node.without((key,))
    if key in entries:
        return replace(node, entries={**entries, key: setting.entry})
    before = setting.order[: setting.order.index(key)]
    place = max((at + 1 for at, name in enumerate(entries) if name in before), default=0)
    items = list(entries.items())
    return replace(node, entries=dict([*items[:place], (key, setting.entry), *items[place:]]))
