"""Small recipes and data sets, for the tests of what trains."""

from __future__ import annotations

from collections.abc import Collection

import numpy as np
import torch

from resnet_spec.data import BadImage, Data, Split
from resnet_spec.data.dataset import Pixels, make_split
from resnet_spec.training.feeding import Machine
from resnet_spec.training.recipe import Recipe, read_recipe
from resnet_spec.training.world import World
from tests.data.conftest import noise

CPU = torch.device("cpu")


def recipe(**fields: object) -> Recipe:
    """A recipe of one epoch, plain but for `fields`."""
    return read_recipe({"epochs": 1, "normalize": {"mean": "half", "std": "half"}, **fields})


def machine(workers: int = 0, skip_bad: bool = False, world: World | None = None) -> Machine:
    return Machine(CPU, world or World(), workers, skip_bad)


def labels(count: int, classes: int = 5) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    return np.arange(count, dtype=np.int64) * 7 % classes


def in_memory(count: int, height: int = 8, width: int = 6, channels: int = 3, seed: int = 0) -> Split:
    """Images of noise in one array."""
    split = make_split(noise(seed, count, height, width, channels), labels(count), "train")
    assert split is not None
    return split


class FromFiles:
    """Reads images of noise of many sizes, some of which are bad; an object that a worker can be given."""

    def __init__(self, bad: Collection[int] = (), channels: int = 3, least: int = 8) -> None:
        self.bad, self.channels, self.least = frozenset(bad), channels, least

    def __call__(self, i: int) -> Pixels:
        if i in self.bad:
            raise BadImage(f"image {i}", "damaged")
        return noise(i, self.least + i % 5, self.least + i % 3, self.channels)


def from_files(count: int, bad: Collection[int] = (), channels: int = 3, least: int = 8) -> Split:
    return Split(labels(count), FromFiles(bad, channels, least), lambda i: f"image {i}")


def one_by_one(split: Split) -> Split:
    """The images of a split in memory, read one after the other as from files."""
    assert split.pixels is not None
    return Split(split.labels, split.read, split.name)


def data(
    train: Split | None,
    validation: Split | None = None,
    test: Split | None = None,
    channels: int | None = 3,
    size: tuple[int, int] | None = (8, 6),
) -> Data:
    names = tuple(f"class {number}" for number in range(5))
    return Data("folder", "folder:somewhere", names, train, validation, test, channels, size)
