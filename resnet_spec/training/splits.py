"""Parts of the training images: those held out for validation, and the single batch of `--overfit-batch`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from resnet_spec.data import Data, Split, open_data
from resnet_spec.data.dataset import Pixels
from resnet_spec.data.decode import Levels
from resnet_spec.data.dividing import DATA_VERSION, choose_held_out
from resnet_spec.data.duplicates import find_duplicates
from resnet_spec.data.listing import Listed
from resnet_spec.diagnostics import DataError, Diagnostic, printable
from resnet_spec.diagnostics.text import quote_first
from resnet_spec.training.randomness import held_out, order
from resnet_spec.training.recipe import Recipe


def open_training_data(
    text: str,
    recipe: Recipe,
    input: tuple[int, int, int],
    classes: int | None,
    *,
    skip_bad: bool,
    overfit_batch: bool,
    version: int = DATA_VERSION,
) -> Data:
    """Open a data set, and hold out what the recipe says; with `overfit_batch`, keep the first batch alone.

    `input` and `classes` are those of the network, which synthetic images follow. `version` is that of the rules by which
    images are divided. Raises DataError or RecipeError.
    """
    data = open_data(text, input=input, split=recipe.split, skip_bad=skip_bad, classes=classes, version=version)
    try:
        data = with_held_out(data, recipe.hold_out, recipe.seed, version)
    except ValueError as error:
        raise recipe.refuse("recipe-split", str(error), "hold_out") from None
    if data.train is None:
        raise DataError([Diagnostic("data-split", f"{printable(text)} has no training images", None)])
    if not overfit_batch:
        return note_nothing_held_out(data)
    chosen = order(recipe.seed, 0, len(data.train))[: recipe.batch_size]
    return replace(data, train=subset(data.train, chosen), validation=None, test=None)


def note_nothing_held_out(data: Data) -> Data:
    """The data with a note, if there is neither a validation nor a test split."""
    if data.validation is not None or data.test is not None:
        return data
    note = "nothing is held out, so nothing will show how good the network is: `hold_out: 0.1` in the recipe holds out a part"
    return replace(data, notes=(*data.notes, note))


def with_held_out(data: Data, part: float, seed: int, version: int = DATA_VERSION) -> Data:
    """The data with a part of the training images as its validation split, where it has none.

    Version 1 of the rules draws the images from all, later ones from each class (see `data.dividing`). Raises ValueError where
    that would leave a split without images.
    """
    if data.train is None or data.validation is not None or not part:
        return data
    train, notes = data.train, data.notes
    if version == 1:
        stays, out = held_out(seed, len(train), part)
    else:
        chosen = choose_held_out([train.name(i) for i in range(len(train))], train.labels, part, seed)
        stays, out = np.flatnonzero(~chosen), np.flatnonzero(chosen)
        none = np.setdiff1d(train.labels, train.labels[out])
        if len(out) and len(none):
            few = quote_first([data.classes[label] for label in none.tolist()])
            notes += (f"too few images of a class to hold out {part:g} of them: {few}",)
    if not len(stays) or not len(out):
        raise ValueError(f"holding out {part:g} of {len(train)} images leaves a split without any")
    train, validation = subset(train, stays), subset(train, out)
    if data.root is not None:
        listed = [
            Listed(what, [some.name(i) for i in range(len(some))], [0] * len(some))
            for what, some in (("train", train), ("held out", validation))
        ]
        notes += find_duplicates(data.root, listed)
    divided = (*data.divided, "validation")
    return replace(data, train=train, validation=validation, notes=notes, version=version, divided=divided)


@dataclass(frozen=True, slots=True)
class _Chosen:
    """Reads some images of a split; an object and not a closure, so that it can be pickled for workers."""

    split: Split
    indices: NDArray[np.int64]

    def read(self, i: int) -> Pixels:
        return self.split.read(int(self.indices[i]))

    def name(self, i: int) -> str:
        return self.split.name(int(self.indices[i]))

    def read_with(self, levels: Levels) -> Callable[[int], Pixels]:
        assert self.split.read_with is not None
        return _Chosen(replace(self.split, read=self.split.read_with(levels)), self.indices).read


def subset(split: Split, indices: Sequence[int] | NDArray[np.int64]) -> Split:
    """Some images of a split, in the order of `indices`."""
    chosen = np.asarray(indices, dtype=np.int64)
    some = _Chosen(split, chosen)
    pixels = None if split.pixels is None else split.pixels[chosen]
    return Split(split.labels[chosen], some.read, some.name, pixels, None if split.read_with is None else some.read_with)
