"""Where the images of a split come from: held in memory, or streamed. Both give the same pixels."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from resnet_spec.data.dataset import Pixels
from resnet_spec.training.images import bordered, cut
from resnet_spec.training.reading import ImageReader, Indices
from resnet_spec.training.recipe import Augment


class ImageSource(Protocol):
    """The images of a split.

    For each list of indices, it gives bytes `(n, H, W, C)` and the indices of the n images that could be read.
    """

    def augmented(
        self, epoch: int, parts: Sequence[Indices], draws: NDArray[np.float64], augment: Augment
    ) -> Iterator[tuple[Pixels, Indices]]:
        """Training images, cropped and flipped. Row i of `draws` are the random numbers of image i in this epoch."""

    def plain(self, parts: Sequence[Indices]) -> Iterator[tuple[Pixels, Indices]]:
        """Images as they are evaluated. Each list of indices is a range."""

    def close(self) -> None:
        """Give back what reading them takes; it is opened again where they are read again."""


@dataclass(frozen=True, slots=True)
class HeldImages:
    """All images of a split in one array `(N, H, W, C)`; those of training with the border that random crops reach into."""

    pixels: Pixels

    def augmented(
        self, epoch: int, parts: Sequence[Indices], draws: NDArray[np.float64], augment: Augment
    ) -> Iterator[tuple[Pixels, Indices]]:
        for part in parts:
            yield cut(self.pixels, part, draws[part], augment), part

    def plain(self, parts: Sequence[Indices]) -> Iterator[tuple[Pixels, Indices]]:
        for part in parts:
            yield self.pixels[part[0] : part[-1] + 1], part

    def close(self) -> None:
        pass


@dataclass(frozen=True, slots=True)
class StreamedImages:
    """Images that are read when they are needed, one by one: from files, or from resized ones held in memory."""

    reader: ImageReader

    def augmented(
        self, epoch: int, parts: Sequence[Indices], draws: NDArray[np.float64], augment: Augment
    ) -> Iterator[tuple[Pixels, Indices]]:
        read = self.reader.read([[(epoch, int(index)) for index in part] for part in parts])
        for part, (pixels, indices) in zip(parts, read, strict=True):
            if augment.mixes and len(indices) and indices[0] != part[0]:  # it is bad: the next one is mixed with itself
                pixels, indices = np.concatenate([pixels[:1], pixels]), np.concatenate([indices[:1], indices])
            yield cut(bordered(pixels, augment), np.arange(len(indices)), draws[indices], augment), indices

    def plain(self, parts: Sequence[Indices]) -> Iterator[tuple[Pixels, Indices]]:
        return self.reader.read([[(0, int(index)) for index in part] for part in parts])

    def close(self) -> None:
        self.reader.close()
