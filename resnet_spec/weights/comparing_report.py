"""The difference of weights as text, as Markdown and as plain data."""

from __future__ import annotations

import math
from collections.abc import Callable

from resnet_spec.diagnostics.text import count_text, display_width, join_first, pad, shorten
from resnet_spec.weights.comparing import StageWeights, WeightsDifference

_HEADS = ("weights", "tensors", "equal", "largest difference", "relative")
_RIGHT = (False, True, True, True, True)


def numbers_text(difference: WeightsDifference, labels: tuple[str, str]) -> str:
    """The table of numbers by stage, in at most 100 columns."""
    rows = _rows(difference, lambda name: shorten(name, 36))
    widths = [max(display_width(row[column]) for row in rows) for column in range(len(_HEADS))]
    table = ["  ".join(map(pad, row, widths, _RIGHT)).rstrip() for row in rows]
    notes = _notes(difference, *(shorten(label, 30) for label in labels))
    return "\n".join([*(table if difference.stages else []), *notes]) + "\n"


def numbers_markdown(difference: WeightsDifference, labels: tuple[str, str], mark: Callable[[str], str]) -> str:
    """The same as Markdown. `mark` makes a code span of untrusted text."""
    heads, *rows = _rows(difference, lambda name: mark(shorten(name, 36)))
    lines = [f"| {' | '.join(heads)} |", "| --- | ---: | ---: | ---: | ---: |", *(f"| {' | '.join(row)} |" for row in rows)]
    notes = _notes(difference, *(mark(shorten(label, 40)) for label in labels))
    return "\n".join([*(lines if rows else []), *(["", *(f"- {note}" for note in notes)] if notes else [])]) + "\n"


def numbers_data(difference: WeightsDifference) -> dict[str, object]:
    """The same as plain data. Numbers that are not finite are null."""
    return {
        "equal": difference.equal,
        "other_shape": difference.other_shape,
        "missing": list(difference.missing),
        "stages": [
            {
                "name": stage.name,
                "tensors": stage.tensors,
                "equal": stage.equal,
                "largest": _finite(stage.largest),
                "relative": _finite(stage.relative),
            }
            for stage in difference.stages
        ],
    }


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _rows(difference: WeightsDifference, mark: Callable[[str], str]) -> list[tuple[str, ...]]:
    return [_HEADS, *(_row(stage, mark) for stage in difference.stages)]


def _row(stage: StageWeights, mark: Callable[[str], str]) -> tuple[str, ...]:
    numbers = (f"{stage.largest:.3g}", f"{stage.relative:.3g}")
    return mark(stage.name), f"{stage.tensors:,}", f"{stage.equal:,}", *numbers


def _notes(difference: WeightsDifference, before: str, after: str) -> list[str]:
    """Lines on what is in no row of the table."""
    lines = []
    if difference.other_shape:
        lines.append(f"{count_text(difference.other_shape, 'tensor')} of other shapes are not compared")
    lacking = [f"{count:,} in {name}" for count, name in zip(difference.missing, (before, after), strict=True) if count]
    if lacking:
        lines.append(f"tensors that are missing in the files: {join_first(lacking)}")
    if difference.equal:
        lines.append("all weights are equal")
    return lines
