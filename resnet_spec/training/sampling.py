"""Single images of a run, for its report: a sample of the training images is measured, and images of a split are shown."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from resnet_spec.data import BadImage
from resnet_spec.data.dataset import Pixels, Split
from resnet_spec.data.decode import read_image
from resnet_spec.data.statistics import channel_statistics
from resnet_spec.report.pictures import ImageStatistics
from resnet_spec.training.batches import EvaluationBatches, TrainingBatches
from resnet_spec.training.sources import HeldImages, ImageSource, StreamedImages

MOST_HELD, MOST_READ = 2000, 200  # images that are measured: reading one takes milliseconds


def measure_images(training: TrainingBatches) -> ImageStatistics | None:
    """Mean and standard deviation of the training images as the network gets them, before they are normalized and augmented.

    Of many images a sample is measured, evenly spread over the split. None if none of them can be read.
    """
    count = len(training.labels)
    most = MOST_HELD if isinstance(training.images, HeldImages) else MOST_READ
    chosen = np.arange(count) if count <= most else np.arange(most) * count // most
    border = training.augment.crop or 0

    def read(i: int) -> Pixels:
        return _prepared(training.images, int(chosen[i]), border)

    sample = Split(training.labels[chosen], read, str)
    try:
        mean, std = channel_statistics(sample, skip_bad=True)
    except ValueError:
        return None
    return ImageStatistics(mean, std, len(chosen), count)


def _prepared(images: ImageSource, index: int, border: int = 0) -> Pixels:
    """An image `(H, W, C)` of bytes as the network gets it; images held in memory have a border. Raises BadImage."""
    if isinstance(images, HeldImages):
        pixels: Pixels = images.pixels[index]
        return pixels[border : pixels.shape[0] - border, border : pixels.shape[1] - border]
    assert isinstance(images, StreamedImages)
    return images.reader.images.prepare(index)


@dataclass(frozen=True, slots=True)
class ImagesOfSplit:
    """The images of a split for people to look at: files as they are, others as the network gets them."""

    batches: EvaluationBatches
    home: Path | None  # the folder that names of images are relative to, where they are files

    def read(self, index: int) -> Pixels | None:
        """The pixels `(H, W, C)` of an image; None if it cannot be read."""
        if self.home is not None:
            with suppress(BadImage):  # it may need what only its data set knows
                return read_image(self.home / self.batches.name(index))
        try:
            return _prepared(self.batches.images, index)
        except BadImage:
            return None
