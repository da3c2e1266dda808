"""Batches for training and for evaluation.

Goes in: a split, how its images are prepared, which process of how many this is. Comes out: batches of normalised images on the
device. Splits that fit are held in memory as bytes and cut in whole batches; others are read by workers.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from resnet_spec.data import BadImage, Split
from resnet_spec.data.dataset import Pixels
from resnet_spec.data.preparation import Preparation, normalized
from resnet_spec.diagnostics import Diagnostic, SpecError, printable
from resnet_spec.training.images import COLUMNS, Each, bordered, cut, erase
from resnet_spec.training.randomness import draws, mixing, order
from resnet_spec.training.recipe import Augment
from resnet_spec.training.stop import leave_signals_to_parent
from resnet_spec.training.world import World


@dataclass(frozen=True, slots=True)
class Batch:
    """Images `(n, C, H, W)`, their labels, and what they are trained towards: labels `(n,)`, or shares `(n, classes)`."""

    images: Tensor
    labels: Tensor
    targets: Tensor


@dataclass(slots=True)
class Skipped:
    """Images that could not be read and were left out, by name."""

    names: dict[str, str] = field(default_factory=dict)

    def add(self, bad: BadImage) -> None:
        self.names[bad.name] = bad.why


MOST_BAD_IN_A_ROW = 1000  # images that may be passed over: more are a folder that has gone away
SampleKey = tuple[int, int]  # epoch and index
ReadImage = tuple[Pixels | None, int, str, str]  # the image, or None and why not


class _Images(Dataset[ReadImage]):
    """Images of a split one by one, as the workers see them."""

    def __init__(self, split: Split, preparation: Preparation, each: Each | None) -> None:
        self.read, self.count = split.read, len(split)  # and no names: they may be closures, which no worker can be given
        self.preparation, self.each = preparation, each

    def __getitem__(self, key: SampleKey) -> ReadImage:
        epoch, index = key
        try:
            image = self.read(index)
        except BadImage as bad:
            return None, index, bad.name, bad.why
        if self.each is None:
            return self.preparation.fixed(image), index, "", ""
        raw = self.each.augment.resized_crop is not None
        image = self.preparation.with_channels(image) if raw else self.preparation.resized(image)
        return self.each(image, epoch, index), index, "", ""

    def __len__(self) -> int:
        return self.count


class _Keys:
    """What the workers are to read: another list each time, for workers that stay."""

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


def refuse_bad_image(bad: BadImage) -> SpecError:
    """The error for an image that cannot be read."""
    message = f"cannot read the image {printable(bad.name)}: {printable(bad.why)}"
    mend = "replace it, or leave such images out from the start: `--skip-bad`"
    return SpecError([Diagnostic("bad-image", message, None, help=mend)])


class ImageReader:
    """Images of a split by index, prepared, as bytes `(n, H, W, C)`: from memory, or read by workers ahead of time.

    Workers stay from one epoch to the next: where they are not forked, each start imports torch anew.
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

    def read(self, keys: Sequence[Sequence[SampleKey]]) -> Iterator[tuple[Pixels, NDArray[np.int64]]]:
        """For each list of keys the images and their indices; a bad image is left out and counted, or an error."""
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

    def _stacked(self, items: list[ReadImage]) -> tuple[Pixels, NDArray[np.int64]]:
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
                raise SpecError([Diagnostic("bad-image", message, None, help="are the data still where they were?")])
        shape = (0, *self.images.preparation.size, self.images.preparation.channels)
        return np.stack(good) if good else np.zeros(shape, np.uint8), np.array(indices, dtype=np.int64)


@dataclass(frozen=True, slots=True)
class TrainingBatches:
    """The batches of training: `held` are all images as bytes, else `reader` reads them.

    A batch of the optimizer is cut into `accumulate` parts for each process, one after the other in the order of the epoch. A
    last batch that is too small for that is left out (`steps_per_epoch` does not count it).
    """

    labels: NDArray[np.int64]
    classes: int
    preparation: Preparation
    augment: Augment
    batch_size: int
    accumulate: int
    seed: int
    world: World
    device: torch.device
    channels_last: bool
    least: int  # images that a part must have: two under batch norm over one value a channel
    held: Pixels | None  # with their border
    reader: ImageReader | None

    @property
    def steps_per_epoch(self) -> int:
        """Steps of the optimizer in an epoch."""
        whole, rest = divmod(len(self.labels), self.batch_size)
        parts = self.accumulate * self.world.size
        return whole + (rest >= self.least * parts)

    @property
    def left_out(self) -> int:
        """Images at the end of each epoch's order that are too few for a batch."""
        return max(0, len(self.labels) - self.steps_per_epoch * self.batch_size)

    def epoch(self, epoch: int, first: int = 0) -> Iterator[list[Batch]]:
        """The parts of this process for each step of an epoch, from step `first` of it on."""
        sequence = order(self.seed, epoch, len(self.labels))
        table = draws(self.seed, epoch, len(self.labels), COLUMNS)
        steps = range(first, self.steps_per_epoch)
        parts = [self._parts(sequence, step) for step in steps]
        if self.held is not None and self.reader is None:
            for step, of_step in zip(steps, parts, strict=True):
                yield [
                    self._batch(cut(self.held, part, table[part], self.augment), part, table, epoch, step) for part in of_step
                ]
            return
        assert self.reader is not None
        read = self.reader.read([[(epoch, int(index)) for index in part] for of_step in parts for part in of_step])
        for step, of_step in zip(steps, parts, strict=True):
            made = []
            for asked in of_step:
                pixels, indices = next(read)
                if self.mixes and len(indices) and indices[0] != asked[0]:  # it is bad: the next lends to itself
                    pixels, indices = np.concatenate([pixels[:1], pixels]), np.concatenate([indices[:1], indices])
                whole = np.arange(len(indices))
                pixels = cut(bordered(pixels, self.augment), whole, table[indices], self.augment)
                made.append(self._batch(pixels, indices, table, epoch, step))
            yield made

    @property
    def mixes(self) -> bool:
        """Whether each image is mixed with the one before it, which is then read too."""
        return bool(self.augment.mixup or self.augment.cutmix)

    def _parts(self, sequence: NDArray[np.int64], step: int) -> list[NDArray[np.int64]]:
        """The indices of this process's parts of a step; where images are mixed, led by the one before the first."""
        batch = sequence[step * self.batch_size : (step + 1) * self.batch_size]
        pieces = self.accumulate * self.world.size
        bounds = [len(batch) * piece // pieces for piece in range(pieces + 1)]
        found = []
        for piece in range(self.world.rank * self.accumulate, (self.world.rank + 1) * self.accumulate):
            here = np.arange(bounds[piece], bounds[piece + 1])
            found.append(batch[np.concatenate([[bounds[piece] - 1], here]) if self.mixes else here])  # -1 is the last
        return found

    def _batch(self, pixels: Pixels, indices: NDArray[np.int64], table: NDArray[np.float64], epoch: int, step: int) -> Batch:
        x = normalized(pixels, self.preparation, self.device, self.channels_last)
        x = erase(x, table[indices], self.augment)
        labels = torch.from_numpy(self.labels[indices]).to(self.device, non_blocking=True)
        if not self.mixes:
            return Batch(x, labels, labels)
        return mix(x, labels, self.classes, self.augment, mixing(self.seed, epoch, step))


def mix(x: Tensor, labels: Tensor, classes: int, augment: Augment, random: np.random.Generator) -> Batch:
    """Mixup (Zhang et al. 2018) or CutMix (Yun et al. 2019) of each image with the one before it; the first only lends."""
    cutting = bool(augment.cutmix) and (not augment.mixup or random.random() < 0.5)
    alpha = augment.cutmix if cutting else augment.mixup
    share = float(random.beta(alpha, alpha))
    own, other = x[1:], x[:-1]
    if cutting:
        height, width = x.shape[2:]
        y, z = float(random.random()) * height, float(random.random()) * width
        half = (1 - share) ** 0.5 / 2
        top, bottom = max(0, round(y - half * height)), min(height, round(y + half * height))
        left, right = max(0, round(z - half * width)), min(width, round(z + half * width))
        images = own.clone()
        images[:, :, top:bottom, left:right] = other[:, :, top:bottom, left:right]
        share = 1 - (bottom - top) * (right - left) / (height * width)
    else:
        images = own * share + other * (1 - share)
    shares = torch.nn.functional.one_hot(labels, classes).to(torch.float32)
    return Batch(images, labels[1:], shares[1:] * share + shares[:-1] * (1 - share))


@dataclass(frozen=True, slots=True)
class EvaluationBatches:
    """The batches of evaluation: every image once, over all processes, without padding."""

    labels: NDArray[np.int64]
    preparation: Preparation
    batch_size: int
    world: World
    device: torch.device
    channels_last: bool
    held: Pixels | None
    reader: ImageReader | None

    @property
    def rounds(self) -> int:
        """The most batches that any process has."""
        batches = -(-len(self.labels) // self.batch_size)
        return -(-batches // self.world.size)

    def __iter__(self) -> Iterator[Batch]:
        starts = range(0, len(self.labels), self.batch_size)
        mine = [np.arange(start, min(start + self.batch_size, len(self.labels))) for start in starts]
        mine = mine[self.world.rank :: self.world.size]
        if self.held is not None:
            for indices in mine:
                yield self._batch(self.held[indices[0] : indices[-1] + 1], indices)
            return
        assert self.reader is not None
        for pixels, indices in self.reader.read([[(0, int(index)) for index in batch] for batch in mine]):
            if len(indices):
                yield self._batch(pixels, indices)

    def _batch(self, pixels: Pixels, indices: NDArray[np.int64]) -> Batch:
        labels = torch.from_numpy(self.labels[indices]).to(self.device, non_blocking=True)
        return Batch(normalized(pixels, self.preparation, self.device, self.channels_last), labels, labels)
