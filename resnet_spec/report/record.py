"""The figures of a run: a row and a timing for each epoch, and their text forms (JSON lines, CSV, a line for the terminal).

Rows contain only what a repeated run reproduces bit for bit; durations are stored separately, in timings.

Losses are stored as measured, so the loss of a run that diverged is NaN or infinite. JSON has no such numbers: `metrics_jsonl`
writes the strings "NaN", "Infinity" and "-Infinity", which `read_rows` reads back, and null only for what was not measured.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, fields

from resnet_spec.report.csv_text import write_csv


@dataclass(frozen=True, slots=True)
class EpochRow:
    """One epoch, counted from 1, after a total of `step` updates. Losses are means over images; accuracies are 0 to 1."""

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
    """The duration of an epoch's training, without evaluation; `total_seconds` is the time since the run began."""

    epoch: int
    seconds: float
    images_per_second: float
    total_seconds: float


_COLUMNS = tuple(field.name for field in fields(EpochRow))
_INTEGERS = ("epoch", "step")
_ALWAYS = ("epoch", "step", "lr", "train_loss", "train_accuracy")
_NOT_FINITE = {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}


def metrics_jsonl(rows: Iterable[EpochRow]) -> str:
    """One JSON object a line, its keys in the order of `EpochRow`'s fields; floats are exact."""
    return "".join(json.dumps({k: _json_number(v) for k, v in asdict(row).items()}, allow_nan=False) + "\n" for row in rows)


def _json_number(value: int | float | None) -> int | float | str | None:
    if not isinstance(value, float) or math.isfinite(value):
        return value
    return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"


def read_rows(text: str) -> list[EpochRow]:
    """The rows in the text of `metrics_jsonl`; unknown keys are ignored. Raises ValueError, which names the line."""
    return [_read_row(number, line) for number, line in enumerate(text.split("\n"), 1) if line.strip()]


def _read_row(number: int, line: str) -> EpochRow:
    try:
        entry = json.loads(line)
    except (ValueError, RecursionError):
        raise ValueError(f"line {number} is not JSON") from None
    if not isinstance(entry, dict):
        raise ValueError(f"line {number} is not a JSON object")
    numbers = {key: _read_number(number, key, entry.get(key)) for key in _COLUMNS}
    # `_read_number` has checked which are int, and which may be None.
    return EpochRow(**numbers)  # type: ignore[arg-type]


def _read_number(number: int, key: str, value: object) -> int | float | None:
    if value is None and key not in _ALWAYS:
        return None
    if isinstance(value, str) and value in _NOT_FINITE:
        value = _NOT_FINITE[value]
    match value:
        case None:
            raise ValueError(f"line {number}: `{key}` is missing")
        case bool():
            pass
        case int() if abs(value) < 2**63:
            return value if key in _INTEGERS else float(value)
        case float() if key not in _INTEGERS:
            return value
    raise ValueError(f"line {number}: `{key}` is not {'an integer' if key in _INTEGERS else 'a number'}")


def metrics_csv(rows: Iterable[EpochRow]) -> str:
    """The rows as a table with a header; what was not measured is an empty cell."""
    return write_csv([_COLUMNS, *([_number_cell(value) for value in asdict(row).values()] for row in rows)])


def timing_csv(timings: Iterable[Timing]) -> str:
    """The timings as a table with a header."""
    header = tuple(field.name for field in fields(Timing))
    return write_csv([header, *([_number_cell(value) for value in asdict(timing).values()] for timing in timings)])


def _number_cell(value: int | float | None) -> str:
    return "" if value is None else repr(float(value)) if isinstance(value, float) else str(value)


def choose_row(rows: Sequence[EpochRow]) -> tuple[EpochRow, bool] | None:
    """Choose the epoch whose weights are used: the first of highest validation accuracy, and True; else the last, and False."""
    measured = [(value, row) for row in rows if (value := row.validation_accuracy) is not None and not math.isnan(value)]
    if measured:
        return max(measured, key=lambda pair: pair[0])[1], True
    return (rows[-1], False) if rows else None


def epoch_line(row: EpochRow, timing: Timing, epochs: int) -> str:
    """The line that is printed after an epoch; it ends with the time since the run began.

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
    """`00:01:35`, with as many hours as there are; seconds are rounded down."""
    whole = int(seconds)
    return f"{whole // 3600:02}:{whole // 60 % 60:02}:{whole % 60:02}"
