"""An opened data set: splits of labeled images, and the names of the classes.

An image is a numpy array of bytes, `(H, W, C)`. C is 1 (gray) or 3 (red, green, blue); only synthetic images may have another
number of channels. A data set that fits into memory holds all images of a split in one array, any other reads one at a time.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

Pixels = NDArray[np.uint8]
Labels = NDArray[np.int64]


class BadImage(Exception):  # noqa: N818 - some lists hold it as a value
    """An image that cannot be read: its name, and why."""

    def __init__(self, name: str, why: str) -> None:
        super().__init__(f"{name}: {why}")
        self.name = name
        self.why = why


@dataclass(frozen=True, slots=True)
class Split:
    """Labeled images.

    Attributes:
        labels: the number of each image's class, `(N,)`.
        read: returns image `i` as `(H, W, C)`; raises BadImage where it cannot be read.
        name: returns the name of image `i` in messages: a path, or "image 17 of train".
        pixels: all images as `(N, H, W, C)`, if they have one size and are already in memory.
        read_with: returns another `read`, for levels (see `read_image`), if the images are files.
    """

    labels: Labels
    read: Callable[[int], Pixels] = field(repr=False)
    name: Callable[[int], str] = field(repr=False)
    pixels: Pixels | None = field(default=None, repr=False)
    read_with: Callable[[tuple[float, float]], Callable[[int], Pixels]] | None = field(default=None, repr=False)

    def __len__(self) -> int:
        return len(self.labels)


@dataclass(frozen=True, slots=True)
class Data:
    """An opened data set.

    Attributes:
        kind: the part of the `--data` argument before the colon.
        text: the whole argument.
        classes: their names, in the order of the labels.
        train, validation, test: the splits; None for one that the data set does not have.
        channels: the number of channels of every image, or None where it varies.
        size: the (height, width) of every image in pixels, or None where it varies.
        notes: notes for the user, such as duplicates across splits.
        root: the folder that the names of images are relative to, if images are files and duplicates are searched for.
        files: the same, if duplicates are not searched for.
        version: the version of the rules by which the data were read and divided (see `dividing`); 1 where no rule was needed.
        divided: the splits that such a rule held out, since the data do not have them: "validation", "test".
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
    files: Path | None = None
    version: int = 1
    divided: tuple[str, ...] = ()

    @property
    def home(self) -> Path | None:
        """The folder that the names of images are relative to; None if images are not files."""
        return self.root or self.files


def make_split(pixels: Pixels, labels: Labels, what: str) -> Split | None:
    """Make a split whose images `(N, H, W, C)` are in memory; None for no images. `what` is train, validation or test."""
    if not len(labels):
        return None
    return Split(labels, pixels.__getitem__, lambda i: f"image {i} of {what}", pixels)
