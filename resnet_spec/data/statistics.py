"""Computes the exact mean and standard deviation of each channel over all pixels of a split."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

import numpy as np

from resnet_spec.data.dataset import BadImage, Pixels, Split

_AT_ONCE = 1 << 24  # bytes


def channel_statistics(
    split: Split, prepare: Callable[[Pixels], Pixels] | None = None, *, skip_bad: bool = False
) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """The means and the standard deviations of the channels, each `(C,)`, for values in 0 to 1 (bytes / 255).

    The deviation is that of the population; it is 0 for a constant channel. `prepare` is applied to each image first.

    Raises BadImage for the first image that cannot be read, unless `skip_bad`; ValueError if images differ in their number of
    channels, or none can be read.
    """
    count = 0
    sums: list[int] = []
    squares: list[int] = []
    for pixels in _chunks(split, prepare, skip_bad):
        channels = pixels.shape[-1]
        sums, squares = sums or [0] * channels, squares or [0] * channels
        if len(sums) != channels:
            raise ValueError(f"some images have {len(sums)} channels and some {channels}")
        count += pixels.size // channels
        for c in range(channels):
            plane = pixels[..., c].ravel().astype(np.float64)
            sums[c] += int(plane.sum())  # integers below 2^53, so that no sum is rounded
            squares[c] += int(plane @ plane)
    if not count:
        raise ValueError("there are no images")
    means = tuple(total / (255 * count) for total in sums)
    deviations = tuple(
        math.sqrt(count * square - total * total) / (255 * count) for total, square in zip(sums, squares, strict=True)
    )
    return means, deviations


def _chunks(split: Split, prepare: Callable[[Pixels], Pixels] | None, skip_bad: bool) -> Iterator[Pixels]:
    if split.pixels is not None and prepare is None:
        step = max(1, _AT_ONCE // max(1, split.pixels[0].size))
        for start in range(0, len(split), step):
            yield split.pixels[start : start + step]
        return
    for i in range(len(split)):
        try:
            image = split.read(i)
        except BadImage:
            if not skip_bad:
                raise
            continue
        yield image if prepare is None else prepare(image)
