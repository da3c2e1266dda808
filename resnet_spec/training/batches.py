"""Batches for training and for evaluation: normalized images `(n, C, H, W)` on the device, with their labels."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from resnet_spec.data.dataset import Pixels
from resnet_spec.data.preparation import Preparation, normalize
from resnet_spec.training.images import COLUMNS, erase
from resnet_spec.training.randomness import draws, mixing, order
from resnet_spec.training.reading import Indices
from resnet_spec.training.recipe import Augment
from resnet_spec.training.sources import ImageSource
from resnet_spec.training.world import World


@dataclass(frozen=True, slots=True)
class Batch:
    """Images `(n, C, H, W)`, labels `(n,)` and targets: the labels, or shares of each class `(n, classes)`.

    `indices` are the positions of the images in their split, in evaluation. `weight` is the sum of the class weights over the
    whole batch of the optimizer, of which this may be a part; 0 without class weights.
    """

    images: Tensor
    labels: Tensor
    targets: Tensor
    indices: Indices | None = field(default=None, kw_only=True)
    weight: float = field(default=0.0, kw_only=True)

    @property
    def dominant(self) -> Tensor:
        """The class that each image has the largest share of, `(n,)`: its label, unless more of another image is mixed in."""
        return self.targets.argmax(1) if self.targets.is_floating_point() else self.labels


@dataclass(frozen=True, slots=True)
class TrainingBatches:
    """The batches of training, of images from `images`.

    A batch of the optimizer is cut into `accumulate` parts for each process, one after the other in the order of the epoch. A
    last batch that is too small for that is left out; `steps_per_epoch` does not count it. `class_weights` has one for each
    class, or is None.
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
    least: int  # images that a part must have: two under a batch norm over one value per channel
    images: ImageSource
    class_weights: NDArray[np.float64] | None = None

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
        """The parts of this process for each step of an epoch (from 0), beginning at its step `first`."""
        sequence = order(self.seed, epoch, len(self.labels))
        table = draws(self.seed, epoch, len(self.labels), COLUMNS)
        steps = range(first, self.steps_per_epoch)
        parts = [part for step in steps for part in self._parts(sequence, step)]
        found = self.images.augmented(epoch, parts, table, self.augment)
        for step in steps:
            weight = self._weight(sequence, step)
            yield [self._batch(*next(found), table, epoch, step, weight) for _ in range(self.accumulate)]

    def _weight(self, sequence: Indices, step: int) -> float:
        """The sum of the class weights over the batch of a step, of all processes.

        Mixing does not change it: an image gives as much of itself to the one after it as it gets from the one before.
        """
        if self.class_weights is None:
            return 0.0
        batch = sequence[step * self.batch_size : (step + 1) * self.batch_size]
        return float(self.class_weights[self.labels[batch]].sum())

    def _parts(self, sequence: Indices, step: int) -> list[Indices]:
        """The indices of this process's parts of a step; where images are mixed, led by the one before the first."""
        batch = sequence[step * self.batch_size : (step + 1) * self.batch_size]
        pieces = self.accumulate * self.world.size
        bounds = [len(batch) * piece // pieces for piece in range(pieces + 1)]
        found = []
        for piece in range(self.world.rank * self.accumulate, (self.world.rank + 1) * self.accumulate):
            here = np.arange(bounds[piece], bounds[piece + 1])
            found.append(batch[np.concatenate([[bounds[piece] - 1], here]) if self.augment.mixes else here])  # -1 is the last
        return found

    def _batch(
        self, pixels: Pixels, indices: Indices, table: NDArray[np.float64], epoch: int, step: int, weight: float
    ) -> Batch:
        x = normalize(pixels, self.preparation, self.device, self.channels_last)
        x = erase(x, table[indices], self.augment)
        labels = torch.from_numpy(self.labels[indices]).to(self.device, non_blocking=True)
        if not self.augment.mixes:
            return Batch(x, labels, labels, weight=weight)
        return replace(mix(x, labels, self.classes, self.augment, mixing(self.seed, epoch, step)), weight=weight)


def mix(x: Tensor, labels: Tensor, classes: int, augment: Augment, random: np.random.Generator) -> Batch:
    """Mixup (Zhang et al. 2018) or CutMix (Yun et al. 2019) of each image with the one before it.

    `x` is `(1 + n, C, H, W)`: the first image is mixed into the second and does not appear itself.
    """
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
    """The batches of evaluation: every image once, over all processes, without padding. `name` returns that of an image."""

    labels: NDArray[np.int64]
    preparation: Preparation
    batch_size: int
    world: World
    device: torch.device
    channels_last: bool
    images: ImageSource
    name: Callable[[int], str] = str

    @property
    def rounds(self) -> int:
        """The largest number of batches that a process has."""
        batches = -(-len(self.labels) // self.batch_size)
        return -(-batches // self.world.size)

    def __iter__(self) -> Iterator[Batch]:
        starts = range(0, len(self.labels), self.batch_size)
        ranges = [np.arange(start, min(start + self.batch_size, len(self.labels))) for start in starts]
        for pixels, indices in self.images.plain(ranges[self.world.rank :: self.world.size]):
            if len(indices):
                labels = torch.from_numpy(self.labels[indices]).to(self.device, non_blocking=True)
                yield Batch(
                    normalize(pixels, self.preparation, self.device, self.channels_last), labels, labels, indices=indices
                )
