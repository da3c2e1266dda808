"""Counts the images of a data set, and computes the mean and deviation of its channels."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import numpy as np

from resnet_spec import compiler
from resnet_spec.data import BadImage, Data, open_data
from resnet_spec.data.decode import to_channels
from resnet_spec.data.statistics import channel_statistics
from resnet_spec.diagnostics import DataError, Diagnostic, printable
from resnet_spec.training.reading import refuse_bad_image
from resnet_spec.training.recipe import RecipeLike, read_recipe


@dataclass(frozen=True, slots=True)
class DataSummary:
    """Mean and deviation of each channel over the training images, and the images of each class in each split."""

    data: Data
    mean: tuple[float, ...]
    std: tuple[float, ...]
    counts: dict[str, tuple[int, ...]]


def summarize_data(
    data: str, recipe: RecipeLike = "quick", input: str | tuple[int, int, int] = (3, 32, 32), *, skip_bad: bool = False
) -> DataSummary:
    """Open a data set and measure its training images.

    Args:
        data: as for `train`.
        recipe: how a data set without splits is split.
        input: the size of synthetic images, (C, H, W) in pixels or such as `"3x32x32"`.
        skip_bad: leave out images that cannot be read.

    Returns:
        DataSummary: mean and standard deviation are of pixel values in 0 to 1.

    Raises:
        ArgumentError: `data` names no data set, or one whose files are missing.
        DataError: the data set has no training images, or holds an image that cannot be read.
    """
    split = read_recipe(recipe).split
    opened = open_data(data, input=compiler.parse_size(input), split=split, skip_bad=skip_bad)
    if opened.train is None:
        raise DataError([Diagnostic("data-split", f"{printable(data)} has no training images", None)])
    try:
        prepare = None if opened.channels is not None else partial(to_channels, channels=3)
        mean, std = channel_statistics(opened.train, prepare, skip_bad=skip_bad)
    except BadImage as bad:
        raise refuse_bad_image(bad) from None
    except ValueError:
        raise DataError([Diagnostic("bad-image", f"no training image of {printable(data)} can be read", None)]) from None
    splits = {"train": opened.train, "validation": opened.validation, "test": opened.test}
    counts = {
        name: tuple(np.bincount(each.labels, minlength=len(opened.classes)).tolist())
        for name, each in splits.items()
        if each is not None
    }
    return DataSummary(opened, mean, std, counts)
