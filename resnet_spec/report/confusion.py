"""The confusion matrix of a network on some images, and the scores of each class."""

from __future__ import annotations

import math
from dataclasses import dataclass
from heapq import nsmallest

from resnet_spec.report.csv_text import text_cell, write_csv


@dataclass(frozen=True, slots=True)
class ConfusionMatrix:
    """`counts[i][j]` images of class `i` were predicted as class `j`. Shares are 0 to 1, or NaN if there are no images."""

    classes: tuple[str, ...]
    counts: tuple[tuple[int, ...], ...]

    def __post_init__(self) -> None:
        n = len(self.classes)
        if not n or len(self.counts) != n or any(len(row) != n for row in self.counts):
            raise ValueError("the counts do not have one row and one column for each of one or more classes")

    @property
    def images(self) -> int:
        return sum(map(sum, self.counts))

    @property
    def correct(self) -> int:
        return sum(row[i] for i, row in enumerate(self.counts))

    @property
    def accuracy(self) -> float:
        return _share(self.correct, self.images)

    @property
    def balanced_accuracy(self) -> float:
        """The mean recall of the classes that have images, so that each class counts alike (Brodersen et al. 2010)."""
        return _mean([self.recall(i) for i in range(len(self.classes))])

    @property
    def macro_f1(self) -> float:
        """The mean F1 of the classes that have images or are predicted."""
        return _mean([self.f1(i) for i in range(len(self.classes))])

    def recall(self, i: int) -> float:
        """The share of the images of class `i` that are predicted correctly."""
        return _share(self.counts[i][i], sum(self.counts[i]))

    def precision(self, i: int) -> float:
        """The share of the images predicted as class `i` that belong to it."""
        return _share(self.counts[i][i], self.predicted(i))

    def f1(self, i: int) -> float:
        """The harmonic mean of recall and precision."""
        return _share(2 * self.counts[i][i], sum(self.counts[i]) + self.predicted(i))

    def predicted(self, i: int) -> int:
        """The number of images predicted as class `i`."""
        return sum(row[i] for row in self.counts)

    def mistakes(self, most: int) -> list[tuple[int, int, int]]:
        """The most frequent mistakes, the most frequent first: true class, predicted class, images."""
        wrong = ((-n, i, j) for i, row in enumerate(self.counts) for j, n in enumerate(row) if n and i != j)
        return [(i, j, -n) for n, i, j in nsmallest(most, wrong)]

    def per_class_csv(self) -> str:
        """A row for each class, in the order of the network's outputs; an undefined share is an empty cell."""
        header = ("index", "class", "images", "predicted", "correct", "recall", "precision", "f1")
        body = [
            (
                *(str(i), text_cell(name)),
                *(str(n) for n in (sum(self.counts[i]), self.predicted(i), self.counts[i][i])),
                *("" if math.isnan(share) else repr(share) for share in (self.recall(i), self.precision(i), self.f1(i))),
            )
            for i, name in enumerate(self.classes)
        ]
        return write_csv([header, *body])

    def confusion_csv(self) -> str:
        """The matrix: a row for each true class, a column for each predicted one."""
        names = [text_cell(name) for name in self.classes]
        body = [[name, *map(str, row)] for name, row in zip(names, self.counts, strict=True)]
        return write_csv([["true / predicted", *names], *body])


def _mean(shares: list[float]) -> float:
    """The mean of the shares that are defined; NaN if none is."""
    known = [share for share in shares if not math.isnan(share)]
    return math.fsum(known) / len(known) if known else math.nan


def _share(part: int, whole: int) -> float:
    return part / whole if whole else math.nan
