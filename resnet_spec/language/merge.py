"""A chain of patches to one document: the language's defaults, what `extends` names, the file, and `--set`.

Goes in: the source of a spec, and the folder that its `extends` may not leave. Comes out: `Resolved`, one tree in which every
value stands where it was written last, and the blocks the spec defines. Merging follows RFC 7396 with three rules of the
language: a mapping with `op` replaces, a patch or a `null` for nothing is an error, and a new entry may say where it goes.
What any of it means is not looked at here.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Literal

from resnet_spec.diagnostics import Diagnostic, Label, Source, Span, SpecError, suggestion
from resnet_spec.language.library import (
    DocumentKind,
    is_file,
    library_block,
    library_block_names,
    shipped_mixins,
    shipped_name,
    shipped_names,
    shipped_path,
    shipped_root,
)
from resnet_spec.language.reader import MAX_BYTES, Entry, MappingNode, ScalarNode, SequenceNode, YamlNode, parse, path_to

NOT_INHERITED = ("name", "about", "source", "expect")
RECIPE_NOT_INHERITED = ("name", "about", "source", "accuracy")
DEFAULTS: dict[DocumentKind, Source] = {
    "spec": Source("the language's defaults", "norm: batch_norm\nact: relu\n", "library"),
    "recipe": Source("the defaults of recipes", "optimizer: {op: SGD, lr: 0.1}\nschedule: constant\n", "library"),
}
MAX_CHAIN = 64
_OTHER: dict[DocumentKind, DocumentKind] = {"spec": "recipe", "recipe": "spec"}

# What a place in the tree holds; `operation` places take a bare word or a mapping with `op`.
DocumentPlace = Literal[
    "root", "recipe", "operations", "stages", "operation", "entry of stages", "stage block", "block", "data"
]
_CHILDREN: dict[DocumentPlace, dict[str, DocumentPlace]] = {
    "root": {
        "stem": "operations",
        "stages": "stages",
        "head": "operations",
        "norm": "operation",
        "act": "operation",
        "block": "operation",
    },
    "recipe": {"optimizer": "operation", "schedule": "operation"},
    "operation": {"ops": "operations"},
    "entry of stages": {"ops": "operations", "block": "stage block"},
    "block": {"branch": "operations", "shortcut": "operations", "after": "operations", "join": "operation"},
}


def _child(place: DocumentPlace, key: str) -> DocumentPlace:
    if place == "operations":
        return "operation"
    if place == "stages":
        return "entry of stages"
    return _CHILDREN.get(place, {}).get(key, "data")


@dataclass(frozen=True, slots=True)
class BlockText:
    """A block the spec defines, before anything in it is looked at.

    `everywhere`: it patches a library block under the library's own name, so other library blocks use it as well.
    """

    name: str
    key: Span
    body: MappingNode
    everywhere: bool


@dataclass(frozen=True, slots=True)
class Resolved:
    """One document: the merged root without `blocks`, and the blocks."""

    source: Source
    root: MappingNode
    blocks: dict[str, BlockText]
    overridden: bool  # by `--set`, so that `expect` does not speak of it
    warnings: tuple[Diagnostic, ...]
    replaced: dict[Span, YamlNode]  # where a value stands -> the value of a file below that it took the place of


def read_file(path: Path, name: str | None = None) -> Source:
    """A file as a source; raises SpecError where it is too large, not text, or not there."""
    shown = name if name is not None else display_name(path)
    try:
        if path.is_dir():
            raise SpecError([Diagnostic("unreadable-file", f"{shown} is a folder, not a spec", None)])
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise SpecError([Diagnostic("unreadable-file", f"cannot read {shown}: {error.strerror or error}", None)]) from None
    return decode(data, shown)


def decode(data: bytes, name: str) -> Source:
    """Bytes of a spec as a source; raises SpecError where they are not UTF-8."""
    try:
        return Source(name, data.decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        if len(data) > MAX_BYTES:
            return Source(name, data.decode("latin-1"))  # `parse` refuses it for its size
        before = data[: error.start].decode("utf-8", "replace")
        source = Source(name, data.decode("utf-8", "replace"))
        line, column = before.count("\n") + 1, len(before) - before.rfind("\n")
        message = f"{name} is not UTF-8: byte {error.start} is 0x{data[error.start]:02x}"
        span = Span(source, line, column, line, column + 1)
        raise SpecError([Diagnostic("not-utf-8", message, span, help="save the file as UTF-8")]) from None


def display_name(path: Path) -> str:
    """A path as the user would type it: relative to the working directory where it lies below."""
    try:
        return path.relative_to(Path.cwd()).as_posix() if path.is_absolute() else path.as_posix()
    except ValueError:
        return path.as_posix()


def spec_root(path: Path) -> Path:
    """The folder that `extends` may not leave, for the spec at `path`."""
    real, here = path.resolve(), Path.cwd().resolve()
    for root in (shipped_root().resolve(), shipped_root("recipe").resolve(), here):
        if real.is_relative_to(root):
            return root
    return real.parent


def resolve(source: Source, folder: Path | None, root: Path | None, patches: Iterable[MappingNode] = ()) -> Resolved:
    """Read a spec and everything it extends, and merge. `folder` is where relative `extends` start; None allows none.
    `patches` come last and may only touch what is there (`--set`, see `parse_set`).

    Raises SpecError with every finding of the merge.
    """
    chain = _ExtendsChain("spec")
    document = chain.read(source)
    chain.collect(document, None if folder is None or root is None else _Location(folder, root), ())
    merger = _Merger()
    merged = _defaults("spec")
    blocks: dict[str, BlockText] = {}
    for number, file in enumerate(chain.documents):
        if number:
            merged = _without(merged, NOT_INHERITED)
        blocks = merger.merge_blocks(blocks, file.get("blocks"))
        merged = merger.merge(merged, _without(file, ("blocks", "extends")), "root")
    overridden = False
    for patch in patches:
        if "extends" in patch.entries:
            message = "`--set` changes a spec, and cannot extend another one"
            where = patch.entries["extends"].key
            merger.findings.append(Diagnostic("extends-not-allowed", message, where, help="write a file with `extends`"))
            continue
        overridden = True
        merger.strict = True
        blocks = merger.merge_blocks(blocks, patch.get("blocks"), from_set=True)
        merged = merger.merge(merged, _without(patch, ("blocks",)), "root")
    if merger.findings:
        raise SpecError([*merger.findings, *chain.warnings])
    root_node = replace(merged, span=document.span)
    return Resolved(source, root_node, blocks, overridden, tuple(chain.warnings), merger.replaced)


def resolve_recipe(
    source: Source, folder: Path | None, root: Path | None, patches: Iterable[MappingNode] = ()
) -> tuple[MappingNode, tuple[Diagnostic, ...]]:
    """As `resolve`, for a recipe: the merged tree, and the warnings. `patches` (`--set-recipe`) may add what is not there."""
    chain = _ExtendsChain("recipe")
    document = chain.read(source)
    chain.collect(document, None if folder is None or root is None else _Location(folder, root), ())
    merger = _Merger()
    merged = _defaults("recipe")
    for number, file in enumerate(chain.documents):
        if number:
            merged = _without(merged, RECIPE_NOT_INHERITED)
        merged = merger.merge(merged, _without(file, ("extends",)), "recipe")
    for patch in patches:
        if "extends" in patch.entries:
            message = "`--set-recipe` changes a recipe, and cannot extend another one"
            where, mend = patch.entries["extends"].key, "write a file with `extends`"
            merger.findings.append(Diagnostic("extends-not-allowed", message, where, help=mend))
            continue
        merged = merger.merge(merged, patch, "recipe")
    if merger.findings:
        raise SpecError([*merger.findings, *chain.warnings])
    return replace(merged, span=document.span), tuple(chain.warnings)


@cache
def _defaults(kind: DocumentKind) -> MappingNode:
    return _mapping(parse(DEFAULTS[kind])[0], kind)


def parse_set(text: str, below: tuple[str, ...] = (), option: str = "--set") -> MappingNode:
    """`stages.layer3.depth=23` as a patch. The value is YAML; an empty one deletes. A single word goes `below`."""
    source = Source(option, text, "command line")
    path, equals, value = text.partition("=")
    keys = path.split(".")
    whole = Span(source, 1, 1, 1, len(text) + 1)
    if not equals or not all(key.strip() == key and key for key in keys):
        message = f"`{option}` takes key.path=value"
        example = "stages.layer1.depth=4" if option == "--set" else "optimizer.lr=0.05"
        raise SpecError([Diagnostic("set-syntax", message, whole, help=f"for example `{option} {example}`")])
    node: YamlNode = ScalarNode(None, whole.within(len(path), len(text)), "")
    if value.strip() and not value.lstrip().startswith("#"):
        node, _ = parse(source, " " * (len(path) + 1) + value)
    elif value.strip():
        message = f"`{option}` takes key.path=value, and YAML reads this value as a comment"
        raise SpecError([Diagnostic("set-syntax", message, whole, help="put the value in quotes twice: 'key=\"#value\"'")])
    stop = len(path)
    for key in reversed(keys):
        start = stop - len(key)
        node = MappingNode({key: Entry(whole.within(start, stop), node)}, whole)
        stop = start - 1
    for key in reversed(below if len(keys) == 1 else ()):
        node = MappingNode({key: Entry(whole, node)}, whole)
    return _mapping(node)


def _mapping(node: YamlNode, kind: DocumentKind = "spec") -> MappingNode:
    if isinstance(node, MappingNode):
        return node
    what = "a list" if isinstance(node, SequenceNode) else "a single value"
    mend = (
        f"write `{kind}: 1` and the other keys without dashes before them"
        if isinstance(node, SequenceNode)
        else f"write `{kind}: 1` first"
    )
    raise SpecError([Diagnostic("wrong-type", f"a {kind} is a mapping of keys, and this is {what}", node.span, help=mend)])


def _without(mapping: MappingNode, keys: Iterable[str]) -> MappingNode:
    return MappingNode({key: entry for key, entry in mapping.entries.items() if key not in keys}, mapping.span)


@dataclass(frozen=True, slots=True)
class _Location:
    """Where a file lies: the folder that relative paths start from, and the one that they may not leave."""

    folder: Path
    root: Path


def _files_beside(text: str, here: _Location) -> list[str]:
    """What `extends` could have named in the folder where it looked, as it would be written."""
    folder = here.folder / os.path.dirname(text)
    if not folder.is_dir() or not folder.resolve().is_relative_to(here.root.resolve()):
        return []
    return sorted(os.path.join(os.path.dirname(text), path.name) for path in folder.glob("*.yaml"))


class _ExtendsChain:
    """The files a spec extends, in the order in which they are laid on each other."""

    def __init__(self, kind: DocumentKind) -> None:
        self.kind = kind
        self.documents: list[MappingNode] = []
        self.warnings: list[Diagnostic] = []
        self.done: set[Path] = set()

    def read(self, source: Source) -> MappingNode:
        node, warnings = parse(source)
        self.warnings.extend(warnings)
        document = _mapping(node, self.kind)
        version = document.entries.get(self.kind)
        if version is None and (other := _OTHER[self.kind]) in document.entries:
            example = f"SPEC --recipe {source.name}" if other == "recipe" else f"{source.name} --recipe RECIPE"
            message, mend = f"{source.name} is a {other}, and a {self.kind} belongs here", f"use it with `train {example}`"
            raise SpecError([Diagnostic("other-document", message, document.entries[other].key, help=mend)])
        if version is None:
            message = f"{source.name} does not say which version of the language it is written in"
            mend = f"write `{self.kind}: 1` as its first line"
            raise SpecError([Diagnostic("missing-version", message, document.span, help=mend)])
        if not isinstance(version.value, ScalarNode) or version.value.value != 1 or isinstance(version.value.value, bool):
            message = "this compiler reads version 1 of the language"
            raise SpecError([Diagnostic("unknown-version", message, version.value.span, help=f"write `{self.kind}: 1`")])
        return document

    def collect(self, document: MappingNode, here: _Location | None, stack: tuple[tuple[Path, Span], ...]) -> None:
        """Append what `document` extends, then `document` itself."""
        for item in self._extends(document):
            path, name, root = self._find(item, here)
            real = path.resolve()
            if any(real == above for above, _ in stack):
                labels = tuple(Label(span, "extended here") for above, span in stack if str(span) != str(item.span))
                message = f"`extends: {item.text}` comes back to a file that is being read"
                mend = "remove one of these" if labels else "a file cannot extend itself: remove it"
                raise SpecError([Diagnostic("extends-cycle", message, item.span, related=labels, help=mend)])
            if real in self.done:
                continue
            if len(stack) >= MAX_CHAIN:
                raise SpecError([Diagnostic("too-deep", f"more than {MAX_CHAIN} files extend each other", item.span)])
            try:
                base = read_file(path, name)
            except SpecError as error:
                if error.diagnostics[0].span is not None:
                    raise
                raise SpecError([replace(error.diagnostics[0], span=item.span)]) from None
            self.collect(self.read(base), _Location(path.parent, root), (*stack, (real, item.span)))
            self.done.add(real)
        self.documents.append(document)

    def _extends(self, document: MappingNode) -> list[ScalarNode]:
        node = document.get("extends")
        items = () if node is None else node.items if isinstance(node, SequenceNode) and node.items else (node,)
        found: list[ScalarNode] = []
        for item in items:
            if not isinstance(item, ScalarNode) or not isinstance(item.value, str) or not item.value:
                message = f"`extends` takes a file or the name of a shipped {self.kind}, or a list of them"
                raise SpecError([Diagnostic("wrong-type", message, item.span)])
            found.append(item)
        return found

    def _find(self, item: ScalarNode, here: _Location | None) -> tuple[Path, str, Path]:
        """The file that one `extends` names, what it is called, and the folder that its own `extends` may not leave."""
        text = str(item.value)

        def refuse(code: str, message: str, mend: str = "") -> SpecError:
            return SpecError([Diagnostic(code, message, item.span, help=mend)])

        if here is None:
            raise refuse("extends-not-allowed", f"this {self.kind} may not extend another file")
        if os.path.isabs(text) or text.startswith(("/", "\\")) or "\x00" in text or (len(text) > 1 and text[1] == ":"):
            message = f"`{text}` is an absolute path, and `extends` takes one relative to this file"
            raise refuse("extends-absolute", message, f"write a relative path, or the name of a shipped {self.kind}")
        path = here.folder / text
        if is_file(path):
            if not path.resolve().is_relative_to(here.root.resolve()):
                mend = "move the file below that folder, or name a wider one with --spec-root"
                root = here.root.resolve()
                folder = "the working directory" if root == Path.cwd().resolve() else f"the folder {display_name(root)}"
                raise refuse("extends-outside", f"`{text}` lies outside of {folder}, which `extends` may not leave", mend)
            shipped_file = path.resolve().is_relative_to(shipped_root(self.kind).resolve())
            return path, shipped_name(path, self.kind) if shipped_file else display_name(path), here.root
        if (shipped := shipped_path(text, self.kind)) is not None:
            return shipped, shipped_name(shipped, self.kind), shipped_root(self.kind)
        ships = [*shipped_names(self.kind), *(shipped_mixins() if self.kind == "spec" else ())]
        mend = suggestion(text, [*_files_beside(text, here), *ships], most=0 if self.kind == "spec" else 12)
        shipped_too = "" if text.endswith((".yaml", ".yml")) else f", and no shipped {self.kind} `{text}`"
        raise refuse("missing-file", f"there is no file {display_name(path)}{shipped_too}", mend)


class _Merger:
    """Merge patches, gathering findings instead of stopping at the first."""

    def __init__(self) -> None:
        self.findings: list[Diagnostic] = []
        self.replaced: dict[Span, YamlNode] = {}
        self.strict = False  # for `--set`: what is not there cannot be entered
        self.forgotten = ""  # what a block that patches nothing most likely lacks

    def merge(self, base: MappingNode, patch: MappingNode, place: DocumentPlace, within: str = "") -> MappingNode:
        """`base` with `patch` laid on it. `within` is the dotted path, for messages."""
        entries = dict(base.entries)
        inserts: list[tuple[str, Entry, str, ScalarNode]] = []
        for key, entry in patch.entries.items():
            path = f"{within}.{key}" if within else key
            value, where = entry.value, None
            if isinstance(value, MappingNode) and place in ("operations", "stages"):
                value, where = self._take_position(value)
            merged = self._value(entries.get(key), Entry(entry.key, value), _child(place, key), path, base)
            if merged is None:
                entries.pop(key, None)
            elif where is None:
                entries[key] = merged
            elif key in entries:
                message = f"`{where[0]}` is for a new entry, and `{path}` stands already"
                here, mend = (Label(entries[key].key, "here"),), f"remove `{where[0]}`: an entry that stands keeps its place"
                self.findings.append(Diagnostic("position-taken", message, where[1].span, related=here, help=mend))
            else:
                inserts.append((key, merged, *where))
        return MappingNode(self._insert(entries, inserts), patch.span)

    def _value(self, old: Entry | None, new: Entry, place: DocumentPlace, path: str, parent: MappingNode) -> Entry | None:
        value = new.value
        if isinstance(value, ScalarNode) and value.value is None:
            if old is None:
                message, mend = f"`{path}` is deleted here, but nothing stands there", self.forgotten or "remove the line"
                if not value.text:
                    message = f"`{path}` is empty: nothing stands behind the colon, nor indented on the lines below"
                    mend = f"write what `{path.rpartition('.')[2]}` is, or remove the line"
                self._nothing("nothing-to-delete", message, new.key, path, parent, mend)
            return None
        if not isinstance(value, MappingNode):
            if old is None and self.strict and path.startswith("params."):
                self._nothing("nothing-to-patch", f"there is no param `{path[7:]}` to set", new.key, path, parent)
            self._remember(old, value)
            return self._placed(old, new)
        if "op" in value.entries or old is None:
            if "op" not in value.entries and (place == "operation" or (self.strict and place != "stage block")):
                message = f"`{path}` is patched here, but nothing stands there"
                mend = self.forgotten or "name the operation: `{op: ...}`"
                self._nothing("nothing-to-patch", message, new.key, path, parent, mend)
                return None
            fresh = self.merge(MappingNode({}, value.span), value, place, path)
            return self._placed(old, Entry(new.key, replace(fresh, span=value.span)))
        below = old.value
        if isinstance(below, ScalarNode) and place in ("operation", "entry of stages", "stage block"):
            below = MappingNode({"op": Entry(below.span, below)}, below.span)
        if not isinstance(below, MappingNode):
            below = MappingNode({}, value.span)
        return self._placed(old, Entry(new.key, self.merge(below, value, place, path)))

    def _remember(self, old: Entry | None, new: ScalarNode | SequenceNode) -> None:
        """What a value replaces, for findings about it."""
        if old is None or isinstance(old.value, MappingNode) or old.value.span.source in DEFAULTS.values():
            return
        if not (isinstance(new, ScalarNode) and isinstance(old.value, ScalarNode) and new.text == old.value.text):
            self.replaced[new.span] = old.value

    def _placed(self, old: Entry | None, new: Entry) -> Entry:
        """A merged entry; under `--set` its key stays where the file has it."""
        if old is not None and new.key.source.origin == "command line":
            return Entry(old.key, new.value)
        return new

    def _nothing(self, code: str, message: str, key: Span, path: str, parent: MappingNode, mend: str = "") -> None:
        """A patch or a `null` for nothing: the sibling that was meant, if any is near, else `mend`."""
        near = suggestion(path.rpartition(".")[2], list(parent.entries), most=12 if self.strict and "." in path else 0)
        if self.strict and "." not in path and (full := path_to(parent, path)):
            near = f"did you mean `{full}{key.source.text.removeprefix(path)}`?"
        if self.strict and not near:
            mend = "`--set` changes what the spec has; what it lacks goes into the file"
        self.findings.append(Diagnostic(code, message, key, help=near or mend))

    def _take_position(self, value: MappingNode) -> tuple[MappingNode, tuple[str, ScalarNode] | None]:
        """A new entry's `insert_before` or `insert_after`, and the entry without it."""
        found = [key for key in ("insert_before", "insert_after") if key in value.entries]
        if not found:
            return value, None
        where = value.entries[found[0]].value
        if len(found) > 1 or not isinstance(where, ScalarNode) or where.value is None:
            message = "an entry goes before one sibling, or after one"
            self.findings.append(Diagnostic("wrong-type", message, where.span, help="write `insert_after: NAME`"))
            return _without(value, found), None
        return _without(value, found), (found[0], where)

    def _insert(self, entries: dict[str, Entry], inserts: list[tuple[str, Entry, str, ScalarNode]]) -> dict[str, Entry]:
        order = list(entries)
        behind: dict[str, int] = {}  # how many new entries already follow a sibling
        for key, entry, side, sibling in inserts:
            target = sibling.text
            if target not in order:
                message = f"`{side}: {target}` names nothing that stands here"
                self.findings.append(Diagnostic("unknown-name", message, sibling.span, help=suggestion(target, order)))
                continue
            at = order.index(target)
            if side == "insert_after":
                behind[target] = behind.get(target, 0) + 1
                at += behind[target]
            order.insert(at, key)
            entries[key] = entry
        return {key: entries[key] for key in order}

    def merge_blocks(self, below: dict[str, BlockText], node: YamlNode | None, from_set: bool = False) -> dict[str, BlockText]:
        """The spec's own blocks after one more file. `extends` starts from a block as it stands below this file."""
        if node is None:
            return below
        if isinstance(node, ScalarNode) and node.value is None and below:
            return {}
        if not isinstance(node, MappingNode):
            self.findings.append(Diagnostic("wrong-type", "`blocks` is a mapping from names to blocks", node.span))
            return below
        result = dict(below)
        for name, entry in node.entries.items():
            body = entry.value
            if isinstance(body, ScalarNode) and body.value is None:
                if result.pop(name, None) is None:
                    message = f"`blocks.{name}` is deleted here, but the files below define none"
                    self.findings.append(Diagnostic("nothing-to-delete", message, entry.key))
            elif isinstance(body, MappingNode):
                made = self._block(name, entry.key, body, below, result, from_set)
                if made is not None:
                    result[name] = made
            else:
                message = f"`blocks.{name}` is a mapping with `branch` and more"
                self.findings.append(Diagnostic("wrong-type", message, body.span))
        return result

    def _block(
        self, name: str, key: Span, body: MappingNode, below: dict[str, BlockText], here: dict[str, BlockText], from_set: bool
    ) -> BlockText | None:
        starts = body.get("extends")
        parent = name
        if starts is None and name not in below and not (from_set and library_block(name)):
            if from_set:
                names = [*below, *library_block_names()]
                self.findings.append(
                    Diagnostic("unknown-block", f"there is no block `{name}`", key, help=suggestion(name, names))
                )
                return None
            if library_block(name) is not None:
                self.forgotten = f"write `extends: {name}` in the block, to patch the library's"
            fresh = self.merge(MappingNode({}, body.span), body, "block", f"blocks.{name}")
            self.forgotten = ""
            return BlockText(name, key, fresh, everywhere=False)
        if starts is not None:
            if not isinstance(starts, ScalarNode) or not isinstance(starts.value, str):
                self.findings.append(Diagnostic("wrong-type", "a block extends one other block, by name", starts.span))
                return None
            parent = starts.value
        base, everywhere = self._block_below(parent, below, here)
        if base is None:
            names = [*below, *library_block_names()]
            span = key if starts is None else starts.span
            self.findings.append(
                Diagnostic("unknown-block", f"there is no block `{parent}`", span, help=suggestion(parent, names))
            )
            return None
        merged = self.merge(base, _without(body, ("extends",)), "block", f"blocks.{name}")
        at = below[name].key if from_set and name in below else key
        return BlockText(name, at, replace(merged, span=body.span), everywhere and parent == name)

    def _block_below(
        self, name: str, below: dict[str, BlockText], here: dict[str, BlockText]
    ) -> tuple[MappingNode | None, bool]:
        """A block as it stands below this file: inherited, else the library's, else defined further up in this file."""
        if name in below:
            return below[name].body, below[name].everywhere
        if (body := library_block(name)) is not None:
            return body, True
        return (here[name].body, False) if name in here else (None, False)
