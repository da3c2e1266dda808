"""Divides the images of a data set without splits: which are held out, by a hash of their names.

Version 2 of the rules divides each class by itself: its images with the greatest hashes are for validation, those with the
smallest for testing, as many as the fractions say. So a class has its share of every split, and adding an image moves at most
one other of its class into or out of each split: one in all where one split is held out, and where both are, two in about
2 * validation * test of all additions (a new image may replace one of the test split just when the validation split grows).

No rule can promise one in all where both are held out and every split grows. By Ramsey's theorem there are arbitrarily many
names among which the rule decides by their ranks alone: n of them have the splits w(n)[0], ..., w(n)[n - 1] in the order of
the names. Taking one name out may change one of the others, so u = w(n + 1) without any one of its entries differs from w(n)
in one place at most. Without its first, and without its last entry, u differs from itself in as many places as its neighbors
differ, so in two at most: u is three blocks, one for each split. Without an entry of the first, the middle and the last
block, these are three words; w(n) is one change from each only if it is the second. So only the split of the middle block
ever grows. (`tests/data/test_dividing.py` looks for such a rule and finds none.)

Version 1, of resnet-spec 0.1.0, decides about each image alone. Runs and weights without a version were made by it.
"""

from __future__ import annotations

import hashlib
import math
import os
import sys
from collections.abc import Sequence
from typing import Literal

import numpy as np
from numpy.typing import NDArray

DATA_VERSION = 2  # of the rules by which data are read and divided; recorded with runs and weights
SplitKind = Literal["train", "validation", "test"]
SPLITS: tuple[SplitKind, ...] = ("train", "validation", "test")


def divide(names: Sequence[str], fractions: tuple[float, float], version: int = DATA_VERSION) -> NDArray[np.int8]:
    """The split of each image of a class, as a number in SPLITS, `(N,)`. `fractions` are those of validation and test."""
    if version == 1:
        return np.array([SPLITS.index(split_of(name, fractions)) for name in names], np.int8)
    splits = np.zeros(len(names), np.int8)
    validation, test = shares(len(names), fractions)
    if validation or test:
        order = _order(names)
        splits[order[len(names) - validation :]] = SPLITS.index("validation")
        splits[order[:test]] = SPLITS.index("test")
    return splits


def choose_held_out(names: Sequence[str], labels: NDArray[np.int64], fraction: float, seed: int) -> NDArray[np.bool_]:
    """Which images are held out, `(N,)`: of each class those whose names have the smallest hashes with the seed."""
    chosen = np.zeros(len(names), np.bool_)
    by_class = np.argsort(labels, kind="stable")
    for indices in np.split(by_class, np.flatnonzero(np.diff(labels[by_class])) + 1):
        count, _ = shares(len(indices), (fraction, 0.0))
        if count:
            order = _order([f"{seed}:{names[i]}" for i in indices.tolist()])
            chosen[indices[order[:count]]] = True
    return chosen


def shares(count: int, fractions: tuple[float, float]) -> tuple[int, int]:
    """How many of `count` images are for validation and for testing, if the fractions of these are `fractions`.

    The first image is for training. When `count` grows by one, exactly one split does (Webster's method: the j-th image of a
    split of fraction f is the one at (j - 1/2) / f in the order of all), and each has its fraction, rounded, as nearly as that
    allows.
    """
    validation, test = fractions
    parts = [(validation, 0.5), (test, 0.5), (1 - validation - test, 1.0)]  # training rounds up, so that it has the first image
    if not count:
        return 0, 0
    start = max(0, count - 4)
    found = [max(0, math.floor(fraction * start + offset - 1e-9)) for fraction, offset in parts]
    found[2] = max(1, found[2])
    while sum(found) < count:
        due = [
            (number + 1 - offset) / fraction if fraction > 0 else math.inf
            for number, (fraction, offset) in zip(found, parts, strict=True)
        ]
        found[due.index(min(due))] += 1
    return found[0], found[1]


def split_of(name: str, split: tuple[float, float]) -> SplitKind:
    """The split of an image in version 1, which depends only on its name. The test split is chosen first, so changing the
    fraction for validation does not change it.
    """
    validation, test = split
    place = int.from_bytes(hashlib.sha256(os.fsencode(name)).digest()[:8], "big") / 2**64
    return "test" if place < test else "validation" if place < test + validation else "train"


def _order(names: Sequence[str]) -> NDArray[np.int64]:
    """The indices of names in the order of their hashes, equal ones in the order of `names`."""
    digest = hashlib.sha256
    coding, errors = sys.getfilesystemencoding(), sys.getfilesystemencodeerrors()  # as in os.fsencode, which takes longer
    hashes = b"".join([digest(name.encode(coding, errors)).digest()[:8] for name in names])
    return np.argsort(np.frombuffer(hashes, ">u8").astype(np.uint64), kind="stable")
