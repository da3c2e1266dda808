"""Lists the folders and images below a folder. No image is decoded."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from resnet_spec.data.dataset import Pixels, Split
from resnet_spec.data.decode import SUFFIXES_1, Levels, image_suffixes, read_image
from resnet_spec.data.dividing import DATA_VERSION
from resnet_spec.data.refusal import refuse
from resnet_spec.diagnostics import printable
from resnet_spec.diagnostics.text import join_first, quote_first

DEEPEST = 1000  # folders in folders: paths have at most 4,096 bytes on most systems
_EVERY = 4096  # images between two reports of progress
# What file managers and archives leave between images; like names that begin with a dot, in lower case.
_LEFT_BY_OTHERS = frozenset(("thumbs.db", "ehthumbs.db", "desktop.ini", "__macosx", "@eadir", "$recycle.bin", "lost+found"))
# The files by which a folder is known as that of a run: a run may be in the folder of its data, and its pictures are no images.
RUN_FILES = frozenset(("run.json", "recipe.yaml"))

ReportCount = Callable[[str, int, int | None], None]  # what is done, how many images so far, and of how many if that is known


@dataclass(frozen=True, slots=True)
class Contents:
    """What is in a folder and below it.

    Attributes:
        images: the names of all images, sorted.
        loose: how many of them are in the folder itself.
        folders: the folders directly in it that have images, with their number; sorted by name.
        unread: how many files of each suffix are not read; "" for files without one.
        example: the name of one of these files.
    """

    images: list[str]
    loose: int
    folders: dict[str, int]
    unread: Counter[str]
    example: str = ""


@dataclass(slots=True)
class Listing:
    """Lists what is below `root`, as names relative to it, separated by `/`.

    Links are followed, each folder once, except links to a folder that contains them. Hidden files and folders (names that
    begin with a dot, and what file managers leave), and files without the suffix of an image, are left out. Folders and links
    that cannot be read are collected in `unreadable`, folders of runs, which are left out, in `runs`. `version` is that of the
    rules by which data are read.
    """

    root: Path
    version: int = DATA_VERSION
    progress: ReportCount | None = None
    deepest: int = DEEPEST  # folders below the one that is listed
    unreadable: list[str] = field(default_factory=list)
    runs: list[str] = field(default_factory=list)
    listed: int = 0  # images
    _is_image: dict[str, bool] = field(default_factory=dict)  # by suffix, as it is written

    def __post_init__(self) -> None:
        self._is_image.update(dict.fromkeys(SUFFIXES_1 if self.version == 1 else image_suffixes(), True))

    def folders(self, place: str = "") -> list[str]:
        """The names of the folders in `place`, sorted."""
        try:
            with os.scandir(self.root / place) as entries:
                return sorted(entry.name for entry in entries if not self._is_hidden(entry.name) and _is_folder(entry))
        except OSError as error:
            self._note_unreadable(place, error)
            return []

    def images(self, place: str, nested: bool = True) -> list[str]:
        """The images in `place`, and with `nested` in the folders below it; sorted."""
        return self.scan(place, nested).images

    def scan(self, place: str, nested: bool = True) -> Contents:
        """What is in `place`, and with `nested` in the folders below it."""
        home = (self.root / place).resolve()
        seen = {_identity(folder) for folder in (home, *home.parents)}
        unread: Counter[str] = Counter()
        example = ""
        parts: list[list[str]] = []  # the images of each folder
        counts: Counter[str] = Counter()  # of images, by the folder in `place`
        waiting = [(place, "", 0)]
        while waiting:
            folder, top, depth = waiting.pop()
            images, others = self._entries(folder)
            for entry, suffix in others:
                name = f"{folder}/{entry.name}" if folder else entry.name
                if _is_folder(entry):
                    if nested and depth < self.deepest and (identity := _identity(Path(entry.path))) not in seen:
                        seen.add(identity)
                        waiting.append((name, top or entry.name, depth + 1))
                elif self._suffix_is_of_image(suffix):
                    if os.path.isfile(entry.path):
                        images.append(name)
                    elif entry.is_symlink():
                        self.unreadable.append(f"`{printable(name)}` (a broken link)")
                elif os.path.isfile(entry.path):
                    unread[suffix.lower()] += 1
                    example = example or name
            if images:
                parts.append(images)
                counts[top] += len(images)
        found = parts[0] if len(parts) == 1 else [name for part in parts for name in part]
        found.sort()
        loose = counts.pop("", 0)
        return Contents(found, loose, dict(sorted(counts.items())), unread, example)

    def _entries(self, folder: str) -> tuple[list[str], list[tuple[os.DirEntry[str], str]]]:
        """The images in a folder that are plain files, by name; and everything else that is not hidden, with its suffix."""
        images: list[str] = []
        others: list[tuple[os.DirEntry[str], str]] = []
        known, prefix, report = self._is_image, f"{folder}/" if folder else "", self.progress
        try:
            with os.scandir(self.root / folder) as entries:
                for entry in entries:
                    name = entry.name
                    if name[0] == ".":
                        continue
                    dot = name.rfind(".")
                    suffix = name[dot:] if dot > 0 else ""
                    is_image = known.get(suffix)
                    if is_image is None:
                        is_image = self._suffix_is_of_image(suffix)
                    if is_image and entry.is_file(follow_symlinks=False):
                        images.append(prefix + name)
                        if report is not None and len(images) % _EVERY == 0:
                            report("listing", self.listed + len(images), None)
                    elif not self._is_hidden(name):
                        others.append((entry, suffix))
        except OSError as error:
            self._note_unreadable(folder, error)
        if self.version > 1 and len(RUN_FILES.intersection(entry.name for entry, _ in others)) == len(RUN_FILES):
            self.runs.append(folder)
            return [], []
        self.listed += len(images)
        if report is not None:
            report("listing", self.listed, None)
        return images, sorted(others, key=lambda other: other[0].name)

    def _suffix_is_of_image(self, suffix: str) -> bool:
        if suffix not in self._is_image and len(self._is_image) < 10_000:
            self._is_image[suffix] = self._is_image.get(suffix.lower(), False)
        return self._is_image.get(suffix, False)

    def _is_hidden(self, name: str) -> bool:
        return name.startswith(".") or (self.version > 1 and name.lower() in _LEFT_BY_OTHERS)

    def _note_unreadable(self, place: str, error: OSError) -> None:
        why = "it disappeared while the folder was listed" if isinstance(error, FileNotFoundError) else error.strerror
        self.unreadable.append(f"`{printable(place or str(self.root))}` ({why})")

    def check(self, skip_bad: bool) -> tuple[str, ...]:
        """Raise ArgumentError if something could not be read; return notes on what is left out."""
        runs = list(dict.fromkeys(self.runs))
        notes = (f"folders of runs are left out: {quote_first(runs)}",) if runs else ()
        if not self.unreadable:
            return notes
        shown = join_first(list(dict.fromkeys(self.unreadable)))
        if skip_bad:
            return (*notes, f"left out because they cannot be read: {shown}")
        raise refuse("unreadable-file", f"cannot be read: {shown}", "`--skip-bad` leaves them out")


@dataclass(frozen=True, slots=True)
class Listed:
    """The images of a split: names relative to the root, and the numbers of their classes. `what` is the split's name."""

    what: str
    names: Sequence[str]
    labels: Sequence[int]

    def split(self, root: Path) -> Split | None:
        """The split, which reads its images from below `root`; None for no images."""
        if not self.names:
            return None
        reader = _Reader(root, self.names)
        return Split(np.array(self.labels, np.int64), reader, self.names.__getitem__, read_with=reader.with_levels)


@dataclass(frozen=True, slots=True)
class _Reader:
    """Reads image files by number; an object and not a closure, so that it can be pickled for workers."""

    root: Path
    names: Sequence[str]
    levels: Levels | None = None

    def __call__(self, i: int) -> Pixels:
        return read_image(self.root / self.names[i], self.names[i], self.levels)

    def with_levels(self, levels: Levels) -> _Reader:
        return replace(self, levels=levels)


def _is_folder(entry: os.DirEntry[str]) -> bool:
    """Whether an entry is a folder or a link to one; of a link to itself, `entry.is_dir()` would raise OSError."""
    return entry.is_dir(follow_symlinks=False) or (entry.is_symlink() and os.path.isdir(entry.path))


def _identity(folder: Path) -> tuple[int, int]:
    try:
        found = os.stat(folder)
    except OSError:
        return (0, 0)
    return (found.st_dev, found.st_ino)
