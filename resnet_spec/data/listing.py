"""Lists the folders and images below a folder. No image is decoded."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import numpy as np

from resnet_spec.data.dataset import Pixels, Split
from resnet_spec.data.decode import SUFFIXES, read_image
from resnet_spec.data.refusal import refuse
from resnet_spec.diagnostics import printable
from resnet_spec.diagnostics.text import join_first

DEEPEST = 32  # folders below a class folder


@dataclass(slots=True)
class Listing:
    """Lists what is below `root`, as names relative to it, separated by `/`.

    Links are followed, each folder once, except links to a folder that contains them. Names that begin with a dot, and files
    without the suffix of an image, are left out. Folders and links that cannot be read are collected in `unreadable`.
    """

    root: Path
    unreadable: list[str] = field(default_factory=list)

    def folders(self, place: str = "") -> list[str]:
        """The names of the folders in `place`, sorted."""
        return sorted(entry.name for entry in self._entries(place) if os.path.isdir(entry.path))

    def images(self, place: str, nested: bool = True) -> list[str]:
        """The images in `place`, and with `nested` in the folders below it; sorted."""
        home = (self.root / place).resolve()
        seen = {_identity(folder) for folder in (home, *home.parents)}
        found: list[str] = []
        waiting = [(place, 0)]
        while waiting:
            folder, depth = waiting.pop()
            for entry in self._entries(folder):
                name = f"{folder}/{entry.name}" if folder else entry.name
                if os.path.isdir(entry.path):  # of a link to itself, `entry.is_dir()` raises OSError
                    if nested and depth < DEEPEST and (identity := _identity(Path(entry.path))) not in seen:
                        seen.add(identity)
                        waiting.append((name, depth + 1))
                elif os.path.splitext(entry.name)[1].lower() in SUFFIXES:
                    if os.path.isfile(entry.path):
                        found.append(name)
                    elif entry.is_symlink():
                        self.unreadable.append(f"`{printable(name)}` (a broken link)")
        return sorted(found)

    def _entries(self, place: str) -> list[os.DirEntry[str]]:
        try:
            with os.scandir(self.root / place) as entries:
                return sorted((entry for entry in entries if not entry.name.startswith(".")), key=lambda entry: entry.name)
        except OSError as error:
            self.unreadable.append(f"`{printable(place or str(self.root))}` ({error.strerror})")
            return []

    def check(self, skip_bad: bool) -> tuple[str, ...]:
        """Raise ArgumentError if something could not be read; with `skip_bad`, return a note on it."""
        if not self.unreadable:
            return ()
        shown = join_first(list(dict.fromkeys(self.unreadable)))
        if skip_bad:
            return (f"left out because they cannot be read: {shown}",)
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
        return Split(np.array(self.labels, np.int64), partial(_read, root, self.names), self.names.__getitem__)


def _read(root: Path, names: Sequence[str], i: int) -> Pixels:
    return read_image(root / names[i], names[i])


def _identity(folder: Path) -> tuple[int, int]:
    try:
        found = os.stat(folder)
    except OSError:
        return (0, 0)
    return (found.st_dev, found.st_ino)
