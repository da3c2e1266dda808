"""The files that the arguments of `check` name: files themselves, folders, and patterns such as `specs/**/*.yaml`."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

from resnet_spec.diagnostics import Diagnostic
from resnet_spec.diagnostics.text import count_text, shorten
from resnet_spec.language.document_kinds import find_kind
from resnet_spec.language.files import SUFFIXES
from resnet_spec.language.library import is_folder, is_readable, shipped_path
from resnet_spec.language.reader import MAX_BYTES

MOST_COLUMNS = 80  # of a name in a message
_WILD = re.compile(r"[*?\[]")


@dataclass(frozen=True, slots=True)
class Inputs:
    """What is checked. `names` are paths, names of shipped specs, or `-`.

    `skipped`: the YAML files in folders that are neither specs nor recipes. `folders`: those that were searched. `findings`:
    what is wrong with the arguments themselves.
    """

    names: tuple[str, ...]
    skipped: tuple[str, ...] = ()
    folders: tuple[str, ...] = ()
    findings: tuple[Diagnostic, ...] = ()


def find_inputs(arguments: Sequence[str]) -> Inputs:
    """Find the files that arguments name. Folders and patterns are searched for specs and recipes.

    Hidden files and folders, and links to folders, are left out.
    """
    if not any(_is_folder(argument) or _is_pattern(argument) for argument in arguments):
        return Inputs(tuple(arguments))
    search = _Search()
    for argument in arguments:
        if _is_folder(argument):
            search.add(search.walk(argument, None), f"the folder {shorten(argument, MOST_COLUMNS)}")
        elif _is_pattern(argument):
            search.add(search.matches(argument), f"`{shorten(argument, MOST_COLUMNS)}`")
        else:
            search.names[argument] = None
    return Inputs(tuple(search.names), tuple(search.skipped), tuple(search.folders), tuple(search.findings))


def _is_folder(argument: str) -> bool:
    """Whether an argument is a folder, and not the name of a shipped spec."""
    return argument != "" and is_folder(Path(argument)) and shipped_path(argument) is None


def _is_pattern(argument: str) -> bool:
    """Whether an argument is a pattern, and not the name of something that exists."""
    return _WILD.search(argument) is not None and "\n" not in argument and not is_readable(Path(argument))


class _Search:
    """Searches folders. Names are kept in order, each once."""

    def __init__(self) -> None:
        self.names: dict[str, None] = {}
        self.skipped: dict[str, None] = {}
        self.folders: dict[str, None] = {}
        self.findings: list[Diagnostic] = []

    def add(self, paths: Iterator[str], where: str) -> None:
        """Add the specs and recipes among files; an argument without any is an error."""
        problems, found, others = len(self.findings), False, 0
        for path in paths:
            if path in self.names or self._is_ours(path):
                found = True
                self.names[path] = None
            else:
                others += 1
                self.skipped[path] = None
        if not found and len(self.findings) == problems:
            rest = f", only {count_text(others, 'other YAML file')}" if others else ""
            help = "a spec begins with `spec: 1`, a recipe with `recipe: 1`; their names end in .yaml or .yml"
            self.findings.append(Diagnostic("missing-file", f"there is no spec in {where}{rest}", None, help=help))

    def walk(self, top: str, most: int | None) -> Iterator[str]:
        """The YAML files below a folder, sorted within each folder; `most` is the depth of the deepest folder to search."""
        pending = [(top, 0)]
        while pending:
            folder, depth = pending.pop()
            self.folders[folder] = None
            try:
                names = sorted(name for name in os.listdir(folder) if not name.startswith("."))
            except OSError as error:
                message = f"cannot read the folder {folder}: {error.strerror or error}"
                self.findings.append(Diagnostic("unreadable-file", message, None))
                continue
            paths = [os.path.join(folder, name) for name in names]
            yield from (path for path in paths if path.endswith(SUFFIXES) and os.path.isfile(path))
            if most is None or depth < most:
                below = [path for path in paths if os.path.isdir(path) and not os.path.islink(path)]
                pending.extend((path, depth + 1) for path in reversed(below))

    def matches(self, pattern: str) -> Iterator[str]:
        """The YAML files that match a pattern. `**` matches any number of folders."""
        parts = pattern.split("/")
        fixed = next(number for number, part in enumerate(parts) if _WILD.search(part))
        base, rest = "/".join(parts[:fixed]) or ("/" if fixed else ""), parts[fixed:]
        for path in self.walk(base or ".", None if "**" in rest else len(rest) - 1):
            name = os.path.relpath(path, base or ".")
            if _fits(name.split(os.sep), rest):
                yield path if base else name

    def _is_ours(self, path: str) -> bool:
        """Whether a file is a spec or a recipe; one that cannot be read is reported when it is checked."""
        try:
            with open(path, "rb") as file:
                text = file.read(MAX_BYTES).decode("utf-8", "replace")
        except OSError:
            return True
        return find_kind(text) is not None


def _fits(names: Sequence[str], parts: Sequence[str]) -> bool:
    """Whether the parts of a path match those of a pattern."""
    if not parts or not names:
        return not names and all(part == "**" for part in parts)
    if parts[0] == "**":
        return _fits(names, parts[1:]) or _fits(names[1:], parts)
    return fnmatchcase(names[0], parts[0]) and _fits(names[1:], parts[1:])
