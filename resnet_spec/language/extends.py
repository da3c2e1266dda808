"""The files that a spec or a recipe extends, in the order in which they are merged."""

from __future__ import annotations

import os
import posixpath
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from resnet_spec.diagnostics import (
    Applicability,
    ArgumentError,
    Diagnostic,
    DocumentKind,
    Label,
    ResnetSpecError,
    Source,
    Span,
    closest,
    document_error,
)
from resnet_spec.diagnostics.suggestions import list_known, show_suggestion
from resnet_spec.diagnostics.text import join_words
from resnet_spec.language.editing import insert_first_line, replace_value
from resnet_spec.language.files import SUFFIXES, decode, display_name, read_file
from resnet_spec.language.fixes import Fixes, propose, propose_word
from resnet_spec.language.library import (
    ambiguous_names,
    is_file,
    is_folder,
    shipped_mixins,
    shipped_name,
    shipped_names,
    shipped_path,
    shipped_root,
)
from resnet_spec.language.nodes import MappingNode, ScalarNode, SequenceNode, YamlNode
from resnet_spec.language.punctuation import find_full_width
from resnet_spec.language.reader import MAX_BYTES, MAX_EXPANDED, MAX_NODES, DocumentSize, parse, parse_again
from resnet_spec.language.revisions import Revision

MAX_CHAIN = 64
MAX_FILES = 256
_OTHER: dict[DocumentKind, DocumentKind] = {"spec": "recipe", "recipe": "spec"}


@dataclass(frozen=True, slots=True)
class Location:
    """Where a file is: the folder that relative paths start from, and the one that they may not leave.

    Without a root, as for standard input, no file is read: `extends` takes the names of shipped specs only.
    """

    folder: Path
    root: Path | None
    revision: Revision | None = None  # both are then paths from the top of a repository


@dataclass(frozen=True, slots=True)
class ExtendsChain:
    """A document and those it extends, in the order in which they are merged: `documents[-1]` is the one that was read.

    `leads`: for each shipped file that is extended, the place that leads there, in a file of the user or the document itself.
    """

    documents: tuple[MappingNode, ...]
    warnings: tuple[Diagnostic, ...]
    leads: dict[Source, Span]


@dataclass(frozen=True, slots=True)
class ExtendedBase:
    """A document that another one extends without naming it; `lead` is the place that does, on the command line."""

    source: Source
    location: Location | None
    lead: Span


def read_chain(source: Source, kind: DocumentKind, location: Location | None, base: ExtendedBase | None = None) -> ExtendsChain:
    """Read a document and everything it extends; `location` is where relative paths start; None disallows `extends`.

    Args:
        base: a document that is merged first, with everything it extends.

    Raises:
        SpecError, RecipeError: at the first document that cannot be read, or that extends what it may not.
    """
    reader = _ChainReader(kind, source)
    reader.size.bytes = _bytes(source) + (0 if base is None else _bytes(base.source))
    if base is not None:
        if base.source.origin == "shipped":
            reader.leads[base.source] = base.lead
        reader.collect(reader.read(base.source), base.location, ())
    reader.collect(reader.read(source), location, ())
    return ExtendsChain(tuple(reader.documents), tuple(reader.warnings), reader.leads)


def require_mapping(node: YamlNode, kind: DocumentKind) -> MappingNode:
    """Return `node` if it is a mapping, as every document must be; raises SpecError or RecipeError."""
    if isinstance(node, MappingNode):
        return node
    if found := find_full_width(node.span.source):
        raise document_error(kind)(found)
    if isinstance(node, SequenceNode):
        what, help = "a list", f"write `{kind}: 1` and the other keys without dashes before them"
    else:
        what, help = "a single value", f"write `{kind}: 1` first"
    from resnet_spec.language.glued import separate_lines  # only documents with this mistake need it

    source = node.span.source
    fixes = separate_lines(source, range(1, len(source.lines) + 1)) if isinstance(node, ScalarNode) else ()
    help = fixes[0].title if fixes else help
    message = f"a {kind} must be a mapping, but this is {what}"
    raise document_error(kind)([Diagnostic("wrong-type", message, node.span, help=help, fixes=fixes)])


def _sure(version: YamlNode) -> Applicability:
    """Whether a version that is not supported is 1 written in another way: in quotes, or with a semicolon behind it."""
    return "safe" if isinstance(version, ScalarNode) and version.text.strip(" ;,.v") in ("1", "1.0") else "likely"


def list_extended(source: Source, kind: DocumentKind, location: Location | None) -> tuple[Path, ...]:
    """The files that a document extends, directly or not, without the shipped ones; also those that do not exist, or are wrong.

    They are found as far as the documents can be read.
    """
    reader = _ChainReader(kind, source)
    with suppress(ResnetSpecError):
        reader.collect(reader.read(source), location, ())
    return tuple(dict.fromkeys(reader.named))


@dataclass(frozen=True, slots=True)
class _Found:
    """The file that an `extends` names: its path, its name in messages, the root of its own `extends`, whether the package
    ships it, and its real path, which is the same for all its names."""

    path: Path
    name: str
    root: Path | None
    shipped: bool
    real: Path
    revision: Revision | None = None


class _ChainReader:
    def __init__(self, kind: DocumentKind, main: Source) -> None:
        self.kind = kind
        self.main = main
        self.documents: list[MappingNode] = []
        self.warnings: list[Diagnostic] = []
        self.leads: dict[Source, Span] = {}
        self.named: list[Path] = []  # the files that an `extends` names, whether they exist or not
        self.found: dict[tuple[Location | None, str], _Found] = {}  # by where the `extends` is, and how it is written
        self.done: set[Path] = set()
        self.size = DocumentSize()

    def read(self, source: Source, again: bool = False) -> MappingNode:
        """Read one document, which must declare the version of the language; `again`: several others may extend it."""
        node, warnings = (parse_again if again else parse)(source, kind=self.kind, size=self.size)
        self.warnings.extend(warnings)
        document = require_mapping(node, self.kind)
        version = document.entries.get(self.kind)
        other = _OTHER[self.kind]
        declared = document.get(other)
        if version is None and isinstance(declared, ScalarNode) and declared.value == 1:
            example = f"SPEC --recipe {source.name}" if other == "recipe" else f"{source.name} --recipe RECIPE"
            message, help = f"{source.name} is a {other}, but a {self.kind} is expected here", f"use it with `train {example}`"
            raise self._refuse("other-document", message, document.entries[other].key, help)
        if version is None:
            message = f"{source.name} does not declare the version of the language"
            help = f"write `{self.kind}: 1` as its first line"
            fixes = propose(help, insert_first_line(source, f"{self.kind}: 1"), "safe")
            from resnet_spec.language.version_words import explain_version  # only documents with this mistake need it

            if (found := explain_version(self.kind, document)) is not None:
                at, title, fixes = found
                raise self._refuse("missing-version", message, at, title, fixes=fixes)
            if (near := closest(self.kind, list(document.entries)[:1])) is not None:
                at = document.entries[near].key
                raise self._refuse(
                    "missing-version", message, at, f"did you mean `{self.kind}`?", (), propose_word(at, self.kind, near)
                )
            raise self._refuse("missing-version", message, document.span, help, fixes=fixes)
        if not isinstance(version.value, ScalarNode) or version.value.value != 1 or isinstance(version.value.value, bool):
            message = "this version of the language is not supported, only version 1"
            help = f"write `{self.kind}: 1`"
            fixes = propose(help, replace_value(version.value, "1"), _sure(version.value))
            if _sure(version.value) == "safe" and isinstance(version.value, ScalarNode):
                message = f"the version of the language is the number 1, without anything around it: `{version.value.text}`"
            raise self._refuse("unknown-version", message, version.value.span, help, fixes=fixes)
        return document

    def collect(self, document: MappingNode, here: Location | None, stack: tuple[tuple[Path, Span], ...]) -> None:
        """Append what `document` extends, then `document` itself."""
        for item in self._extends(document):
            found = self._find_once(item, here)
            real = found.real
            if any(real == above for above, _ in stack):
                related = tuple(Label(span, "extended here") for above, span in stack if str(span) != str(item.span))
                message = f"`extends: {item.text}` leads back to a file that is being read"
                help = "remove one of these" if related else "remove it: a file cannot extend itself"
                raise self._refuse("extends-cycle", message, item.span, help, related)
            if real in self.done:
                continue
            if len(stack) >= MAX_CHAIN:
                raise self._refuse("too-deep", f"more than {MAX_CHAIN} files extend each other", item.span)
            extended = self._read_extended(found, item)
            if found.shipped and (lead := self._lead(item)) is not None:
                self.leads[extended.span.source] = lead
            self.collect(extended, Location(found.path.parent, found.root, found.revision), (*stack, (real, item.span)))
            self.done.add(real)
        self.documents.append(document)

    def _lead(self, item: ScalarNode) -> Span | None:
        """The place that leads to what `item` names, in a file of the user or the one that is read; None if none does."""
        source = item.span.source
        return self.leads.get(source) if source.origin == "shipped" and source is not self.main else item.span

    def _read_extended(self, found: _Found, item: ScalarNode) -> MappingNode:
        """Read the document that an `extends` names. All documents together have the limits of a single one."""
        name = found.name
        source = self._read_file(found, item)
        help = f"a {self.kind} and everything it extends together have the limits of a single file"
        if (count := _bytes(source)) <= MAX_BYTES:  # a larger one is refused for itself
            self.size.bytes += count
            if self.size.bytes > MAX_BYTES:
                message = f"with {name}, more than {MAX_BYTES:,} bytes are extended"
                raise self._refuse("too-large", message, item.span, help)
        document = self.read(source, again=True)
        if self.size.nodes > MAX_NODES:
            message = f"with {name}, there are more than {MAX_NODES:,} values"
            raise self._refuse("too-many-nodes", message, item.span, help)
        if self.size.expanded > MAX_EXPANDED:
            message = f"with {name}, there are more than {MAX_EXPANDED:,} values once aliases are followed"
            raise self._refuse("too-many-nodes", message, item.span, help)
        return document

    def _read_file(self, found: _Found, item: ScalarNode) -> Source:
        """Read the file that an `extends` names; if it cannot be read, the finding is at the `extends`."""
        if found.revision is not None:
            return decode(found.revision.read(found.path.as_posix()) or b"", found.name, self.kind)
        try:
            return read_file(found.path, found.name, self.kind, "shipped" if found.shipped else "spec")
        except ArgumentError as error:
            raise document_error(self.kind)([replace(error.diagnostics[0], span=item.span)]) from None

    def _extends(self, document: MappingNode) -> list[ScalarNode]:
        node = document.get("extends")
        items = () if node is None else node.items if isinstance(node, SequenceNode) and node.items else (node,)
        found: list[ScalarNode] = []
        for item in items:
            if not isinstance(item, ScalarNode) or not isinstance(item.value, str) or not item.value:
                message = f"`extends` takes a file or the name of a shipped {self.kind}, or a list of them"
                raise self._refuse("wrong-type", message, item.span)
            found.append(item)
        return found

    def _find_once(self, item: ScalarNode, here: Location | None) -> _Found:
        """What `_find` returns. Each name is looked up once, and only so many are."""
        key = (here, str(item.value))
        if key not in self.found:
            if len(self.found) == MAX_FILES:
                help = f"put several of them into one {self.kind}"
                raise self._refuse("too-many-files", f"more than {MAX_FILES} files are extended", item.span, help)
            self.found[key] = self._find(item, here)
        return self.found[key]

    def _find(self, item: ScalarNode, here: Location | None) -> _Found:
        """Find the file that an `extends` names."""
        text = str(item.value)
        if here is None:
            raise self._refuse("extends-not-allowed", f"this {self.kind} may not extend another file", item.span)
        if "\x00" in text:
            message = "there is no such file: the path contains a NUL character"
            help = f"write the path of a {self.kind}, or the name of a shipped one"
            raise self._refuse("missing-file", message, item.span, help)
        if _is_absolute(text):
            message = f"`{text}` is an absolute path, but `extends` takes one relative to this file"
            help = f"write a relative path, or the name of a shipped {self.kind}"
            raise self._refuse("extends-absolute", message, item.span, help)
        path = here.folder / text
        if here.revision is not None:
            path = Path(posixpath.normpath(path.as_posix()))
            if here.revision.has(path.as_posix()):
                return self._find_at_revision(path, here.root or Path(), here.revision, item)
        elif here.root is not None:
            self.named.append(path)
        if here.revision is None and here.root is not None and is_file(path):
            self._require_inside(path, here.root, item)
            real = path.resolve()
            shipped_file = real.is_relative_to(shipped_root(self.kind).resolve())
            name = shipped_name(path, self.kind) if shipped_file else display_name(path)
            return _Found(path, name, here.root, shipped_file, real)
        several = ambiguous_names(text, self.kind)
        neighbor = next((name for name in several if _folder_of(name, self.kind) == here.folder.resolve()), text)
        if (shipped := shipped_path(neighbor, self.kind)) is not None:
            return _Found(shipped, shipped_name(shipped, self.kind), shipped_root(self.kind), True, shipped.resolve())
        if several:
            message = f"`{item.text}` is the name of several shipped {self.kind}s"
            help = f"name one of them: {join_words([f'`{name}`' for name in several], 'or')}"
            fixes = tuple(fix for name in several for fix in propose(f"write `{name}`", replace_value(item, name), "hint"))
            raise self._refuse("ambiguous-name", message, item.span, help, fixes=fixes)
        names = [*shipped_names(self.kind), *(shipped_mixins() if self.kind == "spec" else ())]
        if here.root is None:
            near = closest(text, names)
            message = f"there is no shipped {self.kind} `{text}`, and what is read from a pipe may not extend files"
            help = show_suggestion(near, names, most=0) or "write `--spec-root .` to allow the files of the working directory"
            fixes = propose_word(item.span, near, text)
            raise self._refuse("extends-not-allowed", message, item.span, help, fixes=fixes)
        neighbors = [] if here.revision is not None else _neighboring_files(text, here.folder, here.root)
        last = text.replace("\\", "/").rpartition("/")[2].removesuffix(".yaml").removesuffix(".yml")
        exact = last if last != text and shipped_path(last, self.kind) is not None else None  # in another folder, or in none
        near = exact or closest(text, [*neighbors, *names]) or closest(last, names)
        help = f"did you mean `{near}`?" if near is not None else list_known(names, 12 if self.kind == "recipe" else 0)
        help = help or "`resnet-spec list` lists the shipped specs; a path is relative to this file"
        shipped_too = "" if text.endswith(SUFFIXES) else f", and no shipped {self.kind} `{text}`"
        name = display_name(path) if here.revision is None else here.revision.name(path.as_posix())
        message = f"there is no file {name}{shipped_too}"
        fixes = propose_word(item.span, near, text)
        raise self._refuse("missing-file", message, item.span, help, fixes=fixes)

    def _find_at_revision(self, path: Path, root: Path, revision: Revision, item: ScalarNode) -> _Found:
        """A file at the revision of the file that extends it, within the same limits."""
        name = revision.name(path.as_posix())
        if not path.is_relative_to(root):
            message = f"`{item.value}` is outside the folder {revision.name(root.as_posix())}, which `extends` may not leave"
            raise self._refuse("extends-outside", message, item.span, "move the file into that folder")
        if not path.name.endswith(SUFFIXES):
            message = f"`extends` reads .yaml and .yml files, but `{item.value}` is not one"
            raise self._refuse("extends-not-yaml", message, item.span, f"if it is a {self.kind}, rename it to end in .yaml")
        return _Found(path, name, root, False, Path(f"{revision.commit}:") / path, revision)

    def _require_inside(self, path: Path, root: Path, item: ScalarNode) -> None:
        """Refuse a file that `extends` may not read; a link counts as what it leads to."""
        real, text = path.resolve(), item.value
        if not real.is_relative_to(root.resolve()):
            here = root.resolve() == Path.cwd().resolve()
            folder = "the working directory" if here else f"the folder {display_name(root.resolve())}"
            message = f"`{text}` is outside {folder}, which `extends` may not leave"
            wider = ", or specify a wider one with --spec-root" if self.kind == "spec" else ""
            raise self._refuse("extends-outside", message, item.span, f"move the file into that folder{wider}")
        if not (path.name.endswith(SUFFIXES) and real.name.endswith(SUFFIXES)):
            message = f"`extends` reads .yaml and .yml files, but `{text}` is not one"
            if path.name.endswith(SUFFIXES):
                message = f"`extends` reads .yaml and .yml files, but `{text}` is a link to `{real.name}`"
            raise self._refuse("extends-not-yaml", message, item.span, f"if it is a {self.kind}, rename it to end in .yaml")

    def _refuse(
        self, code: str, message: str, span: Span, help: str = "", related: tuple[Label, ...] = (), fixes: Fixes = ()
    ) -> ResnetSpecError:
        return document_error(self.kind)([Diagnostic(code, message, span, related=related, help=help, fixes=fixes)])


def _bytes(source: Source) -> int:
    return len(source.text.encode("utf-8", "surrogatepass"))


def _folder_of(name: str, kind: DocumentKind) -> Path:
    """The folder of a shipped document."""
    return (shipped_root(kind) / name).parent.resolve()


def _is_absolute(text: str) -> bool:
    """Whether a path is absolute on any system."""
    return os.path.isabs(text) or text.startswith(("/", "\\")) or (len(text) > 1 and text[1] == ":")


def _neighboring_files(text: str, here: Path, root: Path) -> list[str]:
    """The files that `extends` could have named in the same folder, as they would be written."""
    folder = here / os.path.dirname(text)
    if not is_folder(folder) or not folder.resolve().is_relative_to(root.resolve()):
        return []
    names = [path.name for path in folder.iterdir() if path.name.endswith(SUFFIXES)]
    return sorted(os.path.join(os.path.dirname(text), name) for name in names)
