"""Chooses the images that a report shows: the worst mistakes, and some of each cell of the confusion matrix.

Images are offered batch by batch, and only those chosen so far are kept, as numbers: pixels are read when the report is
written.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from heapq import heappush, heappushpop

from resnet_spec.report.predictions import Predicted

WORST = 36  # mistakes that are shown first
PER_CELL = 12  # images of a cell


@dataclass(frozen=True, slots=True)
class Shown:
    """An image of a report.

    Attributes:
        index: its position in its split.
        name: that of the image.
        true, predicted: numbers of classes.
        probability: of the predicted class, 0 to 1.
        true_probability: of the true class.
    """

    index: int
    name: str
    true: int
    predicted: int
    probability: float
    true_probability: float

    @property
    def is_wrong(self) -> bool:
        return self.true != self.predicted


_Entry = tuple[float, int, Shown]  # how much it is worth showing, the index negated, and what is shown


class Gallery:
    """The images that are worth showing, of all that were offered.

    Of mistakes these are the most confident ones, and of images that are predicted correctly the least confident ones. Among
    equals the first image counts, so that the choice does not depend on batches.
    """

    def __init__(self, name: Callable[[int], str]) -> None:
        self.name = name
        self._worst: list[_Entry] = []
        self._cells: dict[tuple[int, int], list[_Entry]] = {}

    def add(self, predicted: Predicted) -> None:
        """Offer the images of a batch."""
        numbers = (each.tolist() for each in (predicted.indices, predicted.labels, predicted.predictions))
        rows = zip(*numbers, predicted.probabilities, strict=True)
        for index, true, guess, probabilities in rows:
            probability = float(probabilities[guess])
            worth = probability if guess != true else -probability
            cell = self._cells.setdefault((true, guess), [])
            is_shown = [
                guess != true and _is_better(self._worst, WORST, worth, index),
                _is_better(cell, PER_CELL, worth, index),
            ]
            if any(is_shown):
                shown = Shown(index, self.name(index), true, guess, probability, float(probabilities[true]))
                for chosen, most, wanted in zip((self._worst, cell), (WORST, PER_CELL), is_shown, strict=True):
                    if wanted:
                        (heappush if len(chosen) < most else heappushpop)(chosen, (worth, -index, shown))

    @property
    def worst(self) -> tuple[Shown, ...]:
        """The mistakes with the highest probability, the highest first."""
        return _in_order(self._worst)

    def cell(self, true: int, predicted: int) -> tuple[Shown, ...]:
        """The images of a cell of the confusion matrix: mistakes from the most confident one, others from the least."""
        return _in_order(self._cells.get((true, predicted), []))

    def in_turn(self) -> Iterator[Shown]:
        """Every image, in the order in which pictures are worth their space: the worst mistakes, then an image of each cell of
        mistakes, then another of each, and at last those that are predicted correctly.
        """
        yield from self.worst
        cells = [(true != guess, -len(chosen), (true, guess)) for (true, guess), chosen in self._cells.items()]
        for wrong in (True, False):
            lists = [self.cell(*cell) for is_wrong, _, cell in sorted(cells, key=lambda each: each[1:]) if is_wrong is wrong]
            for turn in range(PER_CELL):
                yield from (shown[turn] for shown in lists if turn < len(shown))


def _is_better(chosen: list[_Entry], most: int, worth: float, index: int) -> bool:
    return len(chosen) < most or (worth, -index) > chosen[0][:2]


def _in_order(chosen: list[_Entry]) -> tuple[Shown, ...]:
    return tuple(shown for _, _, shown in sorted(chosen, key=lambda entry: (-entry[0], -entry[1])))
