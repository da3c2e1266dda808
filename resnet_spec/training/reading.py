"""Reading images one by one: in this process, or in worker processes that read ahead."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils.data import DataLoader, Dataset

from resnet_spec.data import BadImage, Split
from resnet_spec.data.dataset import Pixels
from resnet_spec.data.preparation import Preparation
from resnet_spec.diagnostics import DataError, Diagnostic, printable
from resnet_spec.training.images import Each
from resnet_spec.training.stop import leave_signals_to_parent


@dataclass(slots=True)
class Skipped:
    """Images that could not be read and were left out, by name."""

    names: dict[str, str] = field(default_factory=dict)

    def add(self, bad: BadImage) -> None:
        self.names[bad.name] = bad.why


MOST_BAD_IN_A_ROW = 1000  # more images in a row that cannot be read are a folder that is gone
SampleKey = tuple[int, int]  # epoch and index
Indices = NDArray[np.int64]
ReadImage = tuple[Pixels | None, int, str, str]  # image, index, "", ""; or None, index, name of the image and why


class _Images(Dataset[ReadImage]):
    """The images of a split one by one, as workers read them."""

    def __init__(self, split: Split, preparation: Preparation, each: Each | None) -> None:
        self.read, self.count = split.read, len(split)  # no names: they may be closures, which cannot be pickled
        self.preparation, self.each = preparation, each

    def __getitem__(self, key: SampleKey) -> ReadImage:
        epoch, index = key
        try:
            image = self.read(index)
        except BadImage as bad:
            return None, index, bad.name, bad.why
        if self.each is None:
            return self.preparation.apply(image), index, "", ""
        raw = self.each.augment.resized_crop is not None
        image = self.preparation.convert_channels(image) if raw else self.preparation.resize_only(image)
        return self.each(image, epoch, index), index, "", ""

    def prepare(self, index: int) -> Pixels:
        """An image as it is in evaluation. Raises BadImage."""
        return self.preparation.apply(self.read(index))

    def __len__(self) -> int:
        return self.count


class _Keys:
    """The keys that workers read next: they stay from epoch to epoch, and the keys change."""

    def __init__(self) -> None:
        self.batches: Sequence[Sequence[SampleKey]] = ()

    def __iter__(self) -> Iterator[Sequence[SampleKey]]:
        return iter(self.batches)

    def __len__(self) -> int:
        return len(self.batches)


def _begin_worker(number: int) -> None:
    leave_signals_to_parent()


def _as_list(items: list[ReadImage]) -> list[ReadImage]:
    return items


def refuse_bad_image(bad: BadImage) -> DataError:
    """The error for an image that cannot be read."""
    message = f"cannot read the image {printable(bad.name)}: {printable(bad.why)}"
    help = "replace it, or start the run with `--skip-bad` to leave such images out"
    return DataError([Diagnostic("bad-image", message, None, help=help)])


class ImageReader:
    """Reads images of a split by index, prepared, as bytes `(n, H, W, C)`: in this process, or ahead of time in workers.

    `each` are the transforms of single images, None in evaluation. Images that cannot be read are counted in `skipped`, or are
    an error where it is None. Workers stay from one epoch to the next: a new one that is not forked imports torch again.
    """

    def __init__(
        self, split: Split, preparation: Preparation, each: Each | None, workers: int, skipped: Skipped | None
    ) -> None:
        self.images = _Images(split, preparation, each)
        self.workers = workers
        self.skipped = skipped
        self.bad_in_a_row = 0
        self._keys = _Keys()
        self._loader: DataLoader[ReadImage] | None = None

    def read(self, keys: Sequence[Sequence[SampleKey]]) -> Iterator[tuple[Pixels, Indices]]:
        """For each list of keys the images and their indices, without those that cannot be read."""
        if self.workers == 0:
            for batch in keys:
                yield self._stacked([self.images[key] for key in batch])
            return
        if self._loader is None:
            self._loader = DataLoader(
                self.images,
                batch_sampler=self._keys,  # type: ignore[arg-type]
                num_workers=self.workers,
                collate_fn=_as_list,
                worker_init_fn=_begin_worker,
                prefetch_factor=4,
                persistent_workers=True,
                generator=torch.Generator(),  # else it draws from torch's own
            )
        self._keys.batches = keys
        for items in self._loader:
            yield self._stacked(items)

    def close(self) -> None:
        """End the workers. Without it they may stay until a collection of garbage, which waits seconds for each of them."""
        self._loader = None

    def _stacked(self, items: list[ReadImage]) -> tuple[Pixels, Indices]:
        good: list[Pixels] = []
        indices: list[int] = []
        for image, index, name, why in items:
            if image is not None:
                good.append(image)
                indices.append(index)
            elif self.skipped is None:
                raise refuse_bad_image(BadImage(name, why))
            else:
                self.skipped.add(BadImage(name, why))
            self.bad_in_a_row = self.bad_in_a_row + 1 if image is None else 0
            if self.bad_in_a_row == MOST_BAD_IN_A_ROW:
                message = f"{MOST_BAD_IN_A_ROW:,} images in a row cannot be read, such as {printable(name)}: {printable(why)}"
                raise DataError([Diagnostic("bad-image", message, None, help="check that the data are still in their place")])
        shape = (0, *self.images.preparation.size, self.images.preparation.channels)
        return np.stack(good) if good else np.zeros(shape, np.uint8), np.array(indices, dtype=np.int64)
