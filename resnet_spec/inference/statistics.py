"""Counts the images of a data set, and computes the mean and deviation of its channels."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial

import numpy as np

from resnet_spec import compiler
from resnet_spec.data import BadImage, Data, Split
from resnet_spec.data.dataset import Pixels
from resnet_spec.data.decode import to_channels
from resnet_spec.data.levels import note_levels, sample_images
from resnet_spec.data.listing import ReportCount
from resnet_spec.data.opening import open_some_data
from resnet_spec.data.statistics import channel_statistics
from resnet_spec.diagnostics import DataError, Diagnostic, printable
from resnet_spec.training.reading import refuse_bad_image
from resnet_spec.training.recipe import RecipeLike, read_recipe
from resnet_spec.training.splits import note_nothing_held_out

_EVERY = 256  # images between two reports of progress


@dataclass(frozen=True, slots=True)
class DataSummary:
    """Mean and deviation of each channel, and the images of each class in each split.

    They are of the images of the split `measured`, "train" where there is one.
    """

    data: Data
    mean: tuple[float, ...]
    std: tuple[float, ...]
    counts: dict[str, tuple[int, ...]]
    measured: str = "train"


def summarize_data(
    data: str,
    recipe: RecipeLike = "quick",
    input: str | tuple[int, int, int] = (3, 32, 32),
    *,
    skip_bad: bool = False,
    progress: ReportCount | None = None,
) -> DataSummary:
    """Open a data set and measure its training images; those of another split where there are none.

    Args:
        data: as for `train`.
        recipe: how a data set without splits is split.
        input: the size of synthetic images, (C, H, W) in pixels or such as `"3x32x32"`.
        skip_bad: leave out images that cannot be read.
        progress: is called now and then, as `progress("listing", images, None)` and `progress("reading", images, of)`.

    Returns:
        DataSummary: mean and standard deviation are of pixel values in 0 to 1.

    Raises:
        ArgumentError: `data` names no data set, or one whose files are missing.
        DataError: the data set has no images, or holds an image that cannot be read.
    """
    split = read_recipe(recipe).split
    opened = open_some_data(data, input=compiler.parse_size(input), split=split, skip_bad=skip_bad, progress=progress)
    splits = {"train": opened.train, "validation": opened.validation, "test": opened.test}
    measured, images = next(((name, split) for name, split in splits.items() if split is not None), ("", None))
    if images is None:
        raise DataError([Diagnostic("data-split", f"{printable(data)} has no images", None)])
    notes = (*note_nothing_held_out(opened).notes, *note_levels(sample_images(opened)))
    opened = replace(opened, notes=notes)
    try:
        prepare = None if opened.channels is not None else partial(to_channels, channels=3)
        read = images if progress is None else _reporting(images, progress)
        mean, std = channel_statistics(read, prepare, skip_bad=skip_bad)
    except BadImage as bad:
        raise refuse_bad_image(bad) from None
    except ValueError:
        raise DataError([Diagnostic("bad-image", f"no {measured} image of {printable(data)} can be read", None)]) from None
    counts = {
        name: tuple(np.bincount(each.labels, minlength=len(opened.classes)).tolist())
        for name, each in splits.items()
        if each is not None
    }
    return DataSummary(opened, mean, std, counts, measured)


def _reporting(split: Split, progress: ReportCount) -> Split:
    """A split that reports which of its images is read."""

    def read(i: int) -> Pixels:
        if i % _EVERY == 0:
            progress("reading", i, len(split))
        return split.read(i)

    return replace(split, read=read)
