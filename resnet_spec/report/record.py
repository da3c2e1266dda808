"""What is known of a run: a row and a timing for each epoch, and at the end who was taken for whom.

Goes in: numbers. Comes out: `Row`, `Timing`, `Confusion`, and text of them (JSON lines, CSV, a line for the terminal). Rows
hold only what a repeated run gives again, to the last bit; how long things took is kept apart, in timings.

Losses are as measured, so one that diverged is NaN or infinite. JSON has no such numbers: `metrics_jsonl` writes the strings
"NaN", "Infinity" and "-Infinity", which `read_rows` reads back, and null only for what was not measured.
"""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, fields
from heapq import nsmallest

from resnet_spec.diagnostics import printable


@dataclass(frozen=True, slots=True)
class EpochRow:
    """One epoch, from 1, after `step` updates of the weights in all. Losses are means over images; accuracies are 0 to 1."""

    epoch: int
    step: int
    lr: float
    train_loss: float
    train_accuracy: float
    validation_loss: float | None = None
    validation_accuracy: float | None = None
    validation_top5: float | None = None
    test_loss: float | None = None
    test_accuracy: float | None = None
    test_top5: float | None = None


@dataclass(frozen=True, slots=True)
class Timing:
    """How long the training of one epoch took, without evaluation; `total_seconds` is all time since the run began."""

    epoch: int
    seconds: float
    images_per_second: float
    total_seconds: float


_COLUMNS = tuple(field.name for field in fields(EpochRow))
_WHOLE = ("epoch", "step")
_ALWAYS = ("epoch", "step", "lr", "train_loss", "train_accuracy")
_NOT_FINITE = {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}


def metrics_jsonl(rows: Iterable[EpochRow]) -> str:
    """One JSON object a line, its keys in the order of `Row`'s fields; floats come back exactly."""
    return "".join(json.dumps({k: _json_number(v) for k, v in asdict(row).items()}, allow_nan=False) + "\n" for row in rows)


def _json_number(value: int | float | None) -> int | float | str | None:
    if not isinstance(value, float) or math.isfinite(value):
        return value
    return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"


def read_rows(text: str) -> list[EpochRow]:
    """The rows of `metrics_jsonl`; unknown keys are passed over. Raises ValueError, which names the line."""
    return [_read_row(number, line) for number, line in enumerate(text.split("\n"), 1) if line.strip()]


def _read_row(number: int, line: str) -> EpochRow:
    try:
        entry = json.loads(line)
    except (ValueError, RecursionError):
        raise ValueError(f"line {number} is not JSON") from None
    if not isinstance(entry, dict):
        raise ValueError(f"line {number} is not a JSON object")
    numbers = {key: _read_number(number, key, entry.get(key)) for key in _COLUMNS}
    # Below, `_read_number` has seen to it that the whole are int and only those that may be missing are None.
    return EpochRow(**numbers)  # type: ignore[arg-type]


def _read_number(number: int, key: str, value: object) -> int | float | None:
    if value is None and key not in _ALWAYS:
        return None
    if isinstance(value, str) and value in _NOT_FINITE:
        value = _NOT_FINITE[value]
    whole = isinstance(value, int) and not isinstance(value, bool) and abs(value) < 2**63
    if key in _WHOLE and whole and isinstance(value, int):
        return value
    if key not in _WHOLE and (whole or isinstance(value, float)) and isinstance(value, int | float):
        return float(value)
    raise ValueError(f"line {number}: `{key}` is {'missing' if value is None else 'not a number that it can be'}")


def metrics_csv(rows: Iterable[EpochRow]) -> str:
    """The same as a table with a header; what was not measured is an empty cell."""
    return _csv([_COLUMNS, *([_number_cell(value) for value in asdict(row).values()] for row in rows)])


def timing_csv(timings: Iterable[Timing]) -> str:
    """Seconds and images per second of each epoch."""
    heads = tuple(field.name for field in fields(Timing))
    return _csv([heads, *([_number_cell(value) for value in asdict(timing).values()] for timing in timings)])


@dataclass(frozen=True, slots=True)
class Confusion:
    """`counts[i][j]` images of class `i` were taken for class `j`. Shares are 0 to 1, and NaN where they are of nothing."""

    classes: tuple[str, ...]
    counts: tuple[tuple[int, ...], ...]

    def __post_init__(self) -> None:
        n = len(self.classes)
        if not n or len(self.counts) != n or any(len(row) != n for row in self.counts):
            raise ValueError("the counts are not one row and one column for each of one or more classes")

    @property
    def images(self) -> int:
        return sum(map(sum, self.counts))

    @property
    def correct(self) -> int:
        return sum(row[i] for i, row in enumerate(self.counts))

    @property
    def accuracy(self) -> float:
        return _share(self.correct, self.images)

    def recall(self, i: int) -> float:
        """Of the images of class `i`, the share that was found: the accuracy of the class."""
        return _share(self.counts[i][i], sum(self.counts[i]))

    def precision(self, i: int) -> float:
        """Of the images taken for class `i`, the share that is of it."""
        return _share(self.counts[i][i], self.predicted(i))

    def f1(self, i: int) -> float:
        """The harmonic mean of recall and precision."""
        return _share(2 * self.counts[i][i], sum(self.counts[i]) + self.predicted(i))

    def predicted(self, i: int) -> int:
        """How many images were taken for class `i`."""
        return sum(row[i] for row in self.counts)

    def mistakes(self, most: int) -> list[tuple[int, int, int]]:
        """The most frequent mistakes, first the most frequent: true class, predicted class, images."""
        wrong = ((-n, i, j) for i, row in enumerate(self.counts) for j, n in enumerate(row) if n and i != j)
        return [(i, j, -n) for n, i, j in nsmallest(most, wrong)]

    def per_class_csv(self) -> str:
        """A row for each class, in the order of the network's outputs; an empty cell where there is nothing to share."""
        heads = ("index", "class", "images", "predicted", "correct", "recall", "precision", "f1")
        body = [
            (
                *(str(i), _text_cell(name)),
                *(str(n) for n in (sum(self.counts[i]), self.predicted(i), self.counts[i][i])),
                *("" if math.isnan(share) else repr(share) for share in (self.recall(i), self.precision(i), self.f1(i))),
            )
            for i, name in enumerate(self.classes)
        ]
        return _csv([heads, *body])

    def confusion_csv(self) -> str:
        """The matrix: a row for each true class, a column for each predicted one."""
        names = [_text_cell(name) for name in self.classes]
        body = [[name, *map(str, row)] for name, row in zip(names, self.counts, strict=True)]
        return _csv([["true / predicted", *names], *body])


def _share(part: int, whole: int) -> float:
    return part / whole if whole else math.nan


def _number_cell(value: int | float | None) -> str:
    return "" if value is None else repr(float(value)) if isinstance(value, float) else str(value)


def _text_cell(text: str) -> str:
    """A name as a cell that no spreadsheet takes for a formula."""
    shown = printable(text)
    return "'" + shown if shown.lstrip().startswith(("=", "+", "-", "@", "\uff1d", "\uff0b", "\uff0d", "\uff20")) else shown


def _csv(lines: Iterable[Sequence[str]]) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(lines)
    return text.getvalue()


def chosen_row(rows: Sequence[EpochRow]) -> tuple[EpochRow, bool] | None:
    """The epoch whose weights count: the first of highest validation accuracy (and True), without validation the last one."""
    measured = [(value, row) for row in rows if (value := row.validation_accuracy) is not None and not math.isnan(value)]
    if measured:
        return max(measured, key=lambda pair: pair[0])[1], True
    return (rows[-1], False) if rows else None


def epoch_line(row: EpochRow, timing: Timing, epochs: int) -> str:
    """What is printed after an epoch; the time at its end is all time since the run began.

    `epoch  3/30  loss 0.8123  train 71.20%  test 70.11% (top-5 97.80%)  lr 0.1       12,345 images/s  00:01:35`
    """
    count = f"epoch {row.epoch:>{len(str(epochs))}}/{epochs}"
    parts = [count, f"loss {row.train_loss:.4f}", f"train {_percent(row.train_accuracy)}"]
    for name, accuracy, top5 in (
        ("val", row.validation_accuracy, row.validation_top5),
        ("test", row.test_accuracy, row.test_top5),
    ):
        if accuracy is not None:
            parts.append(f"{name} {_percent(accuracy)}" + ("" if top5 is None else f" (top-5 {_percent(top5)})"))
    speed = f"{timing.images_per_second:6,.0f}" if timing.images_per_second >= 10 else f"{timing.images_per_second:6.2f}"
    parts += [f"lr {row.lr:<8.3g}", f"{speed} images/s", clock_text(timing.total_seconds)]
    return "  ".join(parts)


def _percent(share: float) -> str:
    return f"{100 * share:5.2f}%"


def clock_text(seconds: float) -> str:
    """`00:01:35`, with as many hours as there are; whole seconds, rounded down."""
    whole = int(seconds)
    return f"{whole // 3600:02}:{whole // 60 % 60:02}:{whole % 60:02}"
