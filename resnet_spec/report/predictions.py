"""Writes `predictions.csv`: what a network predicts for each image, with the probability of each class.

Rows are written as they come, so that the file may be larger than the memory; it appears under its name once it is complete.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from resnet_spec._system.files import open_atomically
from resnet_spec.report.csv_text import text_cell


@dataclass(frozen=True, slots=True)
class Predicted:
    """What a network predicts for some images of a split.

    Attributes:
        indices: their positions in the split, `(n,)`.
        labels: the numbers of their classes, `(n,)`.
        predictions: the numbers of the most probable classes, `(n,)`.
        probabilities: of each class, `(n, classes)`, in 0 to 1.
    """

    indices: NDArray[np.int64]
    labels: NDArray[np.int64]
    predictions: NDArray[np.int64]
    probabilities: NDArray[np.float32]


class PredictionWriter:
    """Writes rows of predictions, each with the name of its image."""

    def __init__(self, file: io.TextIOBase, classes: Sequence[str], before: Sequence[str]) -> None:
        """Write the header; `before` are the columns before `prediction`."""
        self._names = [text_cell(name) for name in classes]
        self._rows = csv.writer(file, lineterminator="\n")
        probabilities = [f"probability of {name}" for name in self._names]
        self._rows.writerow([*before, "prediction", *probabilities])

    def write(self, before: Sequence[str], prediction: int, probabilities: NDArray[np.float32]) -> None:
        """Write the row of an image. `before` are its cells before the prediction, which are safe to open."""
        self._rows.writerow([*before, self._names[prediction], *map(probability_text, probabilities.tolist())])

    def write_without(self, before: Sequence[str]) -> None:
        """Write the row of an image that cannot be predicted: its other cells are empty."""
        self._rows.writerow([*before, "", *("" for _ in self._names)])


def probability_text(value: float) -> str:
    """A probability with up to six decimals: `0.25`, `1`, and `0` for less than half a millionth."""
    text = f"{value:.6f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


@contextmanager
def writing_predictions(path: Path, classes: Sequence[str], before: Sequence[str]) -> Iterator[PredictionWriter]:
    """Write a file of predictions, whole or not at all. Raises OSError with the name of `path`."""
    with open_atomically(path) as raw:
        file = io.TextIOWrapper(raw, encoding="utf-8", errors="backslashreplace", newline="", write_through=False)
        yield PredictionWriter(file, classes, before)
        file.flush()
        file.detach()
