"""Whether probabilities mean what they say: of the images predicted with 80%, about 80% should be predicted correctly.

The expected calibration error and the reliability diagram are those of Guo et al. 2017, "On Calibration of Modern Neural
Networks": predictions are grouped by their confidence, the probability of the predicted class, in bins of equal width.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

BINS = 15  # as in Guo et al. 2017


@dataclass(frozen=True, slots=True)
class Reliability:
    """Predictions by their confidence: bin m of M holds those in ((m - 1) / M, m / M].

    Attributes:
        images: the number of images in each bin.
        confidence: the sum of their confidences.
        correct: how many of them are predicted correctly.
    """

    images: tuple[int, ...]
    confidence: tuple[float, ...]
    correct: tuple[int, ...]

    @property
    def error(self) -> float:
        """The expected calibration error, 0 to 1: the mean over images of the gap of their bin. NaN without images."""
        gaps = (abs(right - sure) for sure, right in zip(self.confidence, self.correct, strict=True))
        return sum(gaps) / sum(self.images) if sum(self.images) else math.nan

    @property
    def bins(self) -> tuple[tuple[int, float, float] | None, ...]:
        """Of each bin the images, their mean confidence and their accuracy, 0 to 1; None for one without images."""
        rows = zip(self.images, self.confidence, self.correct, strict=True)
        return tuple((n, sure / n, right / n) if n else None for n, sure, right in rows)

    def rows(self) -> list[dict[str, float]]:
        """The bins that have images, as plain data."""
        width = 1 / len(self.images)
        return [
            {"above": i * width, "to": (i + 1) * width, "images": each[0], "confidence": each[1], "accuracy": each[2]}
            for i, each in enumerate(self.bins)
            if each is not None
        ]


def reliability_of(sums: Sequence[Sequence[float]]) -> Reliability:
    """A Reliability from three rows of sums over the bins: images, confidences, correct images."""
    images, confidence, correct = sums
    return Reliability(tuple(map(round, images)), tuple(confidence), tuple(map(round, correct)))
