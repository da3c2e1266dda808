"""From an opened data set to the batches of a run: which images are held in memory, and which are streamed.

Training images are fed in one of three ways, the first that is possible:

held      all of them are in memory as the network takes them; whole batches are cropped and flipped at once
resized   torchvision's transforms change them one by one, so workers apply these to images held in memory, resized
streamed  workers read, resize and transform each image when it is needed

Images of evaluation are held or streamed. Every way gives the same batches, bit for bit.
"""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass, replace

import torch

from resnet_spec._system.machine import available_memory
from resnet_spec.data import BadImage, Data, Split
from resnet_spec.data.holding import fits_in, hold
from resnet_spec.data.preparation import Preparation
from resnet_spec.data.statistics import channel_statistics
from resnet_spec.diagnostics import DataError, Diagnostic
from resnet_spec.training.batches import EvaluationBatches, TrainingBatches
from resnet_spec.training.class_weights import weigh_classes
from resnet_spec.training.images import Each, bordered
from resnet_spec.training.reading import ImageReader, Skipped, refuse_bad_image
from resnet_spec.training.recipe import Recipe
from resnet_spec.training.sources import HeldImages, ImageSource, StreamedImages
from resnet_spec.training.world import World, processes_here

HELD_SHARE = 0.5  # of the free memory, for images held as bytes


@dataclass(frozen=True, slots=True)
class Machine:
    """Where a run takes place. Nothing here changes what is computed, apart from the rounding of the device."""

    device: torch.device
    world: World
    workers: int | None  # processes that read images; None: as many as are useful
    skip_bad: bool
    hold: frozenset[str] | None = None  # splits to hold in memory, and no others; None: those that fit


@dataclass(frozen=True, slots=True)
class Feeds:
    """The batches of a run; `skipped` are the images that could not be read.

    `held` is whether training images are in memory as the network takes them. `held_splits` are the splits that were read
    whole at the start, so that an image of theirs that cannot be read does not count as one.
    """

    training: TrainingBatches
    validation: EvaluationBatches | None
    test: EvaluationBatches | None
    preparation: Preparation
    skipped: Skipped
    held: bool
    held_splits: frozenset[str]

    def close(self) -> None:
        """End the processes that read images."""
        for batches in (self.training, self.validation, self.test):
            if batches is not None:
                batches.images.close()


def workers_of(machine: Machine) -> int:
    """Processes that read and augment images."""
    return min(4, os.cpu_count() or 1) if machine.workers is None else machine.workers


def held_budget() -> int:
    """Bytes of memory that the images of this process may take."""
    return int(HELD_SHARE * (available_memory() or 2**32) / processes_here())


def feed(data: Data, recipe: Recipe, preparation: Preparation, machine: Machine, least: int) -> Feeds:
    """Make the batches of a run; statistics that `preparation` lacks are taken from the training images.

    `least` is how many images each part of a batch must have. Raises DataError where there is nothing to train on or an image
    cannot be read, RecipeError where the batch size does not fit or class weights name other classes.
    """
    if data.train is None:
        raise DataError([Diagnostic("data-split", f"{data.text} has no training images", None)])
    parts = recipe.accumulate * machine.world.size
    if parts > recipe.batch_size:
        message = f"a batch of {recipe.batch_size} images cannot be cut into {parts} parts ({recipe.accumulate} a process)"
        help = f"use a batch of at least {parts}, or fewer processes"
        raise recipe.refuse("recipe-batch", message, "batch_size", help=help)
    holder = _Holder(machine, Skipped(), held_budget())
    evaluations: dict[str, EvaluationBatches | None] = {"validation": None, "test": None}
    try:
        chosen = _choose_images(data.train, data.size, recipe, preparation, holder)
        preparation = _with_statistics(preparation, chosen, machine.skip_bad)
        for name, split in (("validation", data.validation), ("test", data.test)):
            if split is not None:
                sizes = (recipe.eval_batch_size, recipe.channels_last)
                evaluations[name] = _evaluation(name, split, *sizes, preparation, holder)
    except BadImage as bad:
        raise refuse_bad_image(bad) from None
    training = TrainingBatches(
        labels=chosen.split.labels,
        classes=len(data.classes),
        preparation=preparation,
        augment=recipe.augment,
        batch_size=recipe.batch_size,
        accumulate=recipe.accumulate,
        seed=recipe.seed,
        world=machine.world,
        device=machine.device,
        channels_last=recipe.channels_last,
        least=least,
        images=chosen.source(recipe, holder),
        class_weights=weigh_classes(recipe, data.classes, chosen.split.labels),
    )
    if not training.steps_per_epoch:
        message = f"{len(chosen.split):,} training images are too few for a batch"
        if least > 1:
            message += f": batch norm needs at least {least} images" + (f" in each of {parts} parts" if parts > 1 else "")
        raise recipe.refuse("recipe-batch", message, "batch_size", help=f"train on {least * parts} images or more")
    whole = {name for name, batches in evaluations.items() if batches is not None and isinstance(batches.images, HeldImages)}
    whole |= {"training"} if chosen.in_memory else set()
    skipped, held = holder.skipped, chosen.in_memory and chosen.each is None
    return Feeds(training, evaluations["validation"], evaluations["test"], preparation, skipped, held, frozenset(whole))


@dataclass(slots=True)
class _Holder:
    """Reads splits into memory as long as they fit into what is left of the budget, in bytes."""

    machine: Machine
    skipped: Skipped
    budget: int

    def hold(self, name: str, split: Split, preparation: Preparation, border: int = 0) -> Split | None:
        """A split in memory as `preparation` makes it; None where it does not fit, with its copy in a border if it gets one."""
        budget = self.budget
        if self.machine.hold is not None:
            budget = sys.maxsize if name in self.machine.hold else 0
        shape = (*preparation.size, preparation.channels)
        wide = (preparation.size[0] + 2 * border, preparation.size[1] + 2 * border, preparation.channels)
        if _is_prepared(split, preparation):
            found: Split | None = split if not border or fits_in(len(split), wide, budget) else None
        elif fits_in(len(split) * (2 if border else 1), wide, budget):
            workers = max(1, workers_of(self.machine))
            found, bad = hold(split, preparation.apply, shape, workers, self.machine.skip_bad)
            for each in bad:
                self.skipped.add(each)
        else:
            found = None
        self._count(split, found, border)
        return found

    def _count(self, split: Split, held: Split | None, border: int) -> None:
        """Take what holding a split needs from the budget, and what its copy in a border will need."""
        if held is not None and held.pixels is not None:
            count, height, width, channels = held.pixels.shape
            self.budget -= count * (height + 2 * border) * (width + 2 * border) * channels if border else 0
            self.budget -= 0 if held.pixels is split.pixels else held.pixels.nbytes

    def reader(self, split: Split, preparation: Preparation, each: Each | None) -> ImageReader:
        """A reader for a split that is streamed."""
        skipped = self.skipped if self.machine.skip_bad else None
        return ImageReader(split, preparation, each, workers_of(self.machine), skipped)


@dataclass(frozen=True, slots=True)
class _TrainingImages:
    """How training images are fed: their split, and what is still to be done to its images.

    held: `in_memory` and nothing is left to do; resized: `in_memory` and `each`; streamed: not `in_memory`.
    """

    split: Split
    in_memory: bool
    preparation: Preparation
    each: Each | None

    def source(self, recipe: Recipe, holder: _Holder) -> ImageSource:
        if self.in_memory and self.each is None:
            assert self.split.pixels is not None
            return HeldImages(bordered(self.split.pixels, recipe.augment))
        return StreamedImages(holder.reader(self.split, self.preparation, self.each))


def _choose_images(
    split: Split, size: tuple[int, int] | None, recipe: Recipe, preparation: Preparation, holder: _Holder
) -> _TrainingImages:
    """The first of the three ways that is possible. `size` is that of every image, or None where they differ."""
    held: Split | None = None
    if not recipe.augment.each:
        held = holder.hold("training", split, preparation, recipe.augment.crop or 0)
    elif recipe.augment.resized_crop is None:
        resized = preparation.resize or size
        if isinstance(resized, tuple):  # all images have one size before they are changed
            held = holder.hold("training", split, replace(preparation, crop=None, size=resized))
    left = preparation if held is None else replace(preparation, resize=None)
    each = Each(recipe.augment, left, recipe.seed) if recipe.augment.each else None
    return _TrainingImages(split if held is None else held, held is not None, left, each)


def _is_prepared(split: Split, preparation: Preparation) -> bool:
    """Whether a split is in memory just as the network takes it."""
    if split.pixels is None:
        return False
    _, height, width, channels = split.pixels.shape
    return channels == preparation.channels and not preparation.changes(height, width)


def _with_statistics(preparation: Preparation, images: _TrainingImages, skip_bad: bool) -> Preparation:
    """The preparation with mean and deviation of the training images, where it has none. Raises BadImage or DataError."""
    if preparation.mean and preparation.std:
        return preparation
    prepare = None if _is_prepared(images.split, images.preparation) else images.preparation.apply
    try:
        mean, std = channel_statistics(images.split, prepare, skip_bad=skip_bad)
    except ValueError:  # none is left
        message = f"none of the {len(images.split):,} training images can be read"
        raise DataError([Diagnostic("bad-image", message, None)]) from None
    std = tuple(value if value > 0 else 1.0 for value in std)  # a channel that is the same everywhere
    return replace(preparation, mean=preparation.mean or mean, std=preparation.std or std)


def make_evaluation(
    name: str,
    split: Split,
    batch_size: int,
    channels_last: bool,
    preparation: Preparation,
    machine: Machine,
    skipped: Skipped,
) -> EvaluationBatches:
    """The batches in which a split is evaluated. Raises BadImage where one of it cannot be read, unless they are skipped."""
    return _evaluation(name, split, batch_size, channels_last, preparation, _Holder(machine, skipped, held_budget()))


def _evaluation(
    name: str, split: Split, batch_size: int, channels_last: bool, preparation: Preparation, holder: _Holder
) -> EvaluationBatches:
    held = holder.hold(name, split, preparation)
    images: ImageSource
    if held is not None and held.pixels is not None:
        images = HeldImages(held.pixels)
    else:
        images = StreamedImages(holder.reader(split, preparation, None))
    read, machine = split if held is None else held, holder.machine
    where = (machine.world, machine.device)
    return EvaluationBatches(read.labels, preparation, batch_size, *where, channels_last, images, read.name)
