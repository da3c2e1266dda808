"""From an opened data set to batches: what is held in memory, what workers read, what is held out.

Goes in: `Data`, a recipe, a `Preparation` whose statistics may be missing. Comes out: `Feeds`, with the statistics filled in.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray

from resnet_spec._system.machine import available_memory
from resnet_spec.data import BadImage, Data, Split
from resnet_spec.data.dataset import Pixels
from resnet_spec.data.duplicates import duplicate_notes
from resnet_spec.data.holding import hold, holdable
from resnet_spec.data.listing import Listed
from resnet_spec.data.preparation import Preparation
from resnet_spec.data.statistics import channel_statistics
from resnet_spec.diagnostics import Diagnostic, SpecError
from resnet_spec.training.batches import EvaluationBatches, ImageReader, Skipped, TrainingBatches, refuse_bad_image
from resnet_spec.training.images import Each, bordered
from resnet_spec.training.randomness import held_out
from resnet_spec.training.recipe import Recipe
from resnet_spec.training.world import World, processes_here

HELD_SHARE = 0.5  # of the free memory, for images held as bytes


@dataclass(frozen=True, slots=True)
class Machine:
    """Where a run takes place: nothing here changes what is computed, but for the device's own rounding."""

    device: torch.device
    world: World
    workers: int | None  # processes that read images; None: as many as make sense
    skip_bad: bool
    hold: frozenset[str] | None = None  # splits that are held in memory, and no others; None: those that fit


@dataclass(frozen=True, slots=True)
class Feeds:
    """The batches of a run; `skipped` are the images that could not be read, `held` whether training images lie in memory.

    `held_splits` are those that were read whole at the start: what cannot be read of them does not count as an image.
    """

    training: TrainingBatches
    validation: EvaluationBatches | None
    test: EvaluationBatches | None
    preparation: Preparation
    skipped: Skipped
    held: bool
    held_splits: frozenset[str]


def workers_of(machine: Machine) -> int:
    """Processes that read and augment images."""
    return min(4, os.cpu_count() or 1) if machine.workers is None else machine.workers


def held_budget() -> int:
    """Bytes of memory that the images of this process may take."""
    return int(HELD_SHARE * (available_memory() or 2**32) / processes_here())


def with_held_out(data: Data, part: float, seed: int) -> Data:
    """The data with a part of the training images as validation split, where there is none; ValueError for an empty one."""
    if data.train is None or data.validation is not None or not part:
        return data
    stays, out = held_out(seed, len(data.train), part)
    if not len(stays) or not len(out):
        raise ValueError(f"holding out {part:g} of {len(data.train)} images leaves a split without any")
    train, validation = subset(data.train, stays), subset(data.train, out)
    notes = data.notes
    if data.root is not None:
        listed = [
            Listed(what, [some.name(i) for i in range(len(some))], [0] * len(some))
            for what, some in (("train", train), ("held out", validation))
        ]
        notes += duplicate_notes(data.root, listed)
    return replace(data, train=train, validation=validation, notes=notes)


@dataclass(frozen=True, slots=True)
class _Chosen:
    """Reads some images of a split; an object and not a closure, so that it can go to a worker."""

    split: Split
    indices: NDArray[np.int64]

    def read(self, i: int) -> Pixels:
        return self.split.read(int(self.indices[i]))

    def name(self, i: int) -> str:
        return self.split.name(int(self.indices[i]))


def subset(split: Split, indices: Sequence[int] | NDArray[np.int64]) -> Split:
    """Some images of a split, in the order of `indices`."""
    chosen = np.asarray(indices, dtype=np.int64)
    some = _Chosen(split, chosen)
    return Split(split.labels[chosen], some.read, some.name, None if split.pixels is None else split.pixels[chosen])


def feed(data: Data, recipe: Recipe, preparation: Preparation, machine: Machine, least: int) -> Feeds:
    """Make the batches. `least` is how many images a part of a batch must have.

    Raises SpecError where there is nothing to train on, or an image cannot be read.
    """
    if data.train is None:
        raise SpecError([Diagnostic("data-split", f"{data.text} has no training images", None)])
    skipped = Skipped()
    parts = recipe.accumulate * machine.world.size
    if parts > recipe.batch_size:
        message = f"a batch of {recipe.batch_size} images cannot be cut into {parts} parts ({recipe.accumulate} a process)"
        raise recipe.refuse("recipe-batch", message, "batch_size", help=f"a batch of {parts} at least, or fewer processes")
    workers = workers_of(machine)
    budget = held_budget()
    augment = recipe.augment
    border = augment.crop or 0
    each = Each(augment, preparation, recipe.seed) if augment.each else None
    fixed_resize = isinstance(preparation.resize, tuple) or (preparation.resize is None and data.size is not None)
    base: Split | None = None
    try:
        if each is None:
            base = _held("training", data.train, preparation, budget, machine, skipped, border)
        elif augment.resized_crop is None and fixed_resize:
            size = preparation.resize if isinstance(preparation.resize, tuple) else data.size
            assert size is not None
            only_resized = replace(preparation, crop=None, size=size)
            base = _held("training", data.train, only_resized, budget, machine, skipped)
        if not preparation.mean or not preparation.std:
            missing = preparation if base is None else replace(preparation, resize=None)  # what is still to be done
            mean, std = _statistics(data.train if base is None else base, missing, machine.skip_bad)
            std = tuple(value if value > 0 else 1.0 for value in std)  # a channel that is the same everywhere
            preparation = replace(preparation, mean=preparation.mean or mean, std=preparation.std or std)
        left = budget - _taken(data.train, base, border if each is None else 0)
        evaluations: list[EvaluationBatches | None] = []
        for name, split in (("validation", data.validation), ("test", data.test)):
            made = None
            if split is not None:
                sizes = (recipe.eval_batch_size, recipe.channels_last)
                made = evaluation(name, split, *sizes, preparation, machine, left, skipped)
                left -= 0 if made.held is None or made.held is split.pixels else made.held.nbytes
            evaluations.append(made)
    except BadImage as bad:
        raise refuse_bad_image(bad) from None
    train = data.train if base is None else base
    held = base is not None and each is None
    reader = None
    if not held:
        shown = replace(preparation, resize=None) if base is not None else preparation
        each = None if each is None else Each(augment, shown, recipe.seed)
        reader = ImageReader(train, shown, each, workers, skipped if machine.skip_bad else None)
    assert train.pixels is not None or not held
    training = TrainingBatches(
        labels=train.labels,
        classes=len(data.classes),
        preparation=preparation,
        augment=augment,
        batch_size=recipe.batch_size,
        accumulate=recipe.accumulate,
        seed=recipe.seed,
        world=machine.world,
        device=machine.device,
        channels_last=recipe.channels_last,
        least=least,
        held=bordered(train.pixels, augment) if held and train.pixels is not None else None,
        reader=reader,
    )
    if not training.steps_per_epoch:
        message = f"{len(train):,} training images are too few for a batch"
        if least > 1:
            message += f": batch norm needs at least {least} images" + (f" in each of {parts} parts" if parts > 1 else "")
        raise recipe.refuse("recipe-batch", message, "batch_size", help=f"train on {least * parts} images or more")
    there = {"training": base, "validation": evaluations[0], "test": evaluations[1]}
    whole = frozenset(name for name, each in there.items() if isinstance(each, Split) or (each and each.held is not None))
    return Feeds(training, evaluations[0], evaluations[1], preparation, skipped, held, whole)


def _held(
    name: str, split: Split, preparation: Preparation, budget: int, machine: Machine, skipped: Skipped, border: int = 0
) -> Split | None:
    """A split in memory as the network takes it; None where it does not fit, with its copy in a border if it gets one."""
    if machine.hold is not None:
        budget = sys.maxsize if name in machine.hold else 0
    shape = (*preparation.size, preparation.channels)
    wide = (preparation.size[0] + 2 * border, preparation.size[1] + 2 * border, preparation.channels)
    if _is_prepared(split, preparation):
        return split if not border or holdable(len(split), wide, budget) else None
    if not holdable(len(split) * (2 if border else 1), wide, budget):
        return None
    found, bad = hold(split, preparation.fixed, shape, max(1, workers_of(machine)), machine.skip_bad)
    for each in bad:
        skipped.add(each)
    return found


def _is_prepared(split: Split, preparation: Preparation) -> bool:
    """Whether a split lies in memory just as the network takes it."""
    if split.pixels is None:
        return False
    _, height, width, channels = split.pixels.shape
    return channels == preparation.channels and not preparation.changes(height, width)


def _taken(split: Split, held: Split | None, border: int) -> int:
    """Bytes of memory that holding a split has taken, and its copy in a border will."""
    if held is None or held.pixels is None:
        return 0
    count, height, width, channels = held.pixels.shape
    copy = count * (height + 2 * border) * (width + 2 * border) * channels if border else 0
    return copy + (0 if held.pixels is split.pixels else held.pixels.nbytes)


def _statistics(split: Split, preparation: Preparation, skip_bad: bool) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and deviation of each channel over the images of a split, each as `preparation` makes it."""
    try:
        return channel_statistics(split, None if _is_prepared(split, preparation) else preparation.fixed, skip_bad=skip_bad)
    except ValueError:  # none is left
        raise SpecError([Diagnostic("bad-image", f"none of the {len(split):,} training images can be read", None)]) from None


def evaluation(
    name: str,
    split: Split,
    batch_size: int,
    channels_last: bool,
    preparation: Preparation,
    machine: Machine,
    budget: int,
    skipped: Skipped,
) -> EvaluationBatches:
    """The batches in which a split is evaluated. Raises BadImage where one of it cannot be read, unless they are skipped."""
    held = _held(name, split, preparation, budget, machine, skipped)
    reader = None
    if held is None:
        reader = ImageReader(split, preparation, None, workers_of(machine), skipped if machine.skip_bad else None)
    pixels = None if held is None else held.pixels
    labels = split.labels if held is None else held.labels
    return EvaluationBatches(labels, preparation, batch_size, machine.world, machine.device, channels_last, pixels, reader)
