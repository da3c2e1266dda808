"""What the trainer knows of a data set: splits of labelled images, and the names of the classes.

Images are numpy arrays of bytes, `(H, W, C)` with C 1 (grey) or 3 (red, green, blue); only
drawn ones may have another number. A data set that fits holds all images of
a split as one array; any other reads one image at a time.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

Pixels = NDArray[np.uint8]
Labels = NDArray[np.int64]


class BadImage(Exception):  # noqa: N818 - it is a value of some lists, too
    """An image that cannot be read: its name, and why."""

    def __init__(self, name: str, why: str) -> None:
        super().__init__(f"{name}: {why}")
        self.name = name
        self.why = why


@dataclass(frozen=True, slots=True)
class Split:
    """Labelled images.

    `pixels` holds them all as `(N, H, W, C)` where they have one size and lie in memory already. `read(i)` gives one as
    `(H, W, C)`, and raises BadImage where it cannot. `name(i)` is what messages call it: a path, or "image 17 of train".
    """

    labels: Labels
    read: Callable[[int], Pixels] = field(repr=False)
    name: Callable[[int], str] = field(repr=False)
    pixels: Pixels | None = field(default=None, repr=False)

    def __len__(self) -> int:
        return len(self.labels)


@dataclass(frozen=True, slots=True)
class Data:
    """An opened data set. `kind` is the word before the colon of `--data`, `text` the whole argument.

    `channels` and `size` (height, width) are those of every image, or None where they vary. `test` and `validation` may be
    missing. `notes` are things the user should know, in plain words (duplicates across splits, classes without images).
    `root` is the folder that the names of images are relative to, where they are files of their own.
    """

    kind: str
    text: str
    classes: tuple[str, ...]
    train: Split | None
    validation: Split | None
    test: Split | None
    channels: int | None
    size: tuple[int, int] | None
    notes: tuple[str, ...] = ()
    root: Path | None = None


def held(pixels: Pixels, labels: Labels, what: str) -> Split | None:
    """A split whose images `(N, H, W, C)` lie in memory; None where there are none. `what` is train, validation or test."""
    if not len(labels):
        return None
    return Split(labels, pixels.__getitem__, lambda i: f"image {i} of {what}", pixels)
