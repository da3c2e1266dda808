"""The difference of weights as text, as Markdown and as plain data."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import get_args

from resnet_spec.diagnostics.text import count_text, display_width, join_first, pad, shorten
from resnet_spec.weights.comparing import StageWeights, WeightsDifference
from resnet_spec.weights.planning import Action, Plan

_HEADS = ("weights", "tensors", "equal", "largest difference", "relative")


def weights_text(difference: WeightsDifference, labels: tuple[str, str]) -> str:
    """The section on weights, in at most 100 columns."""
    lines = ["", *_carried_lines(difference.carried, *(shorten(label, 30) for label in labels))]
    if difference.stages:
        rows = [_HEADS, *(_row(stage, lambda name: shorten(name, 36)) for stage in difference.stages)]
        widths = [max(display_width(row[column]) for row in rows) for column in range(len(_HEADS))]
        table = ["  ".join(map(pad, row, widths, (False, True, True, True, True))).rstrip() for row in rows]
        lines += ["", *table]
    lines += _notes(difference, *(shorten(label, 30) for label in labels))
    return "\n".join(lines) + "\n"


def weights_markdown(difference: WeightsDifference, labels: tuple[str, str], mark: Callable[[str], str]) -> str:
    """The same as Markdown. `mark` makes a code span of untrusted text."""
    names = [mark(shorten(label, 40)) for label in labels]
    lines = ["", *_carried_lines(difference.carried, *names)]
    if difference.stages:
        lines += ["", "| " + " | ".join(_HEADS) + " |", "| --- | ---: | ---: | ---: | ---: |"]
        lines += ["| " + " | ".join(_row(stage, lambda name: mark(shorten(name, 36)))) + " |" for stage in difference.stages]
    notes = _notes(difference, *names)
    lines += ["", *(f"- {note}" for note in notes)] if notes else []
    return "\n".join(lines) + "\n"


def weights_data(difference: WeightsDifference) -> dict[str, object]:
    """The same as plain data. Numbers that are not finite are null."""
    plan = difference.carried
    return {
        "equal": difference.equal,
        "before_has_weights": difference.has_weights[0],
        "after_has_weights": difference.has_weights[1],
        "compared": difference.compared,
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
        "carried": {
            action: {
                "tensors": len(plan.of(action)),
                "percent": 100 * plan.share(action),
                "percent_of_multiply_adds": 100 * plan.share(action, of="macs"),
            }
            for action in get_args(Action)
            if plan.of(action)
        },
    }


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _row(stage: StageWeights, mark: Callable[[str], str]) -> tuple[str, ...]:
    numbers = (f"{stage.largest:.3g}", f"{stage.relative:.3g}")
    return mark(stage.name), f"{stage.tensors:,}", f"{stage.equal:,}", *numbers


def _carried_lines(plan: Plan, before: str, after: str) -> list[str]:
    """What would become of weights: a line for each action of the network's tensors, with the shares."""
    lines = [f"weights of {before} in {after} (train --transfer)"]
    for action in get_args(Action):
        steps = plan.of(action)
        if not steps:
            continue
        if action in ("unused", "left out"):
            lines.append(f"  {count_text(len(steps), 'tensor')} unused")
            continue
        shares = f"{100 * plan.share(action):.2f}% of the parameters"
        if any(step.macs for step in plan.steps):
            shares += f", {100 * plan.share(action, of='macs'):.2f}% of the multiply-adds"
        lines.append(f"  {count_text(len(steps), 'tensor')} {action}: {shares}")
    return lines


def _notes(difference: WeightsDifference, before: str, after: str) -> list[str]:
    """Lines on what is in no row of the table."""
    if difference.has_weights == (False, False):
        return []
    if False in difference.has_weights:
        with_weights, without = (before, after) if difference.has_weights[0] else (after, before)
        return [f"numbers are not compared: {with_weights} has weights, {without} has none"]
    lines = []
    if difference.other_shape:
        lines.append(f"{count_text(difference.other_shape, 'tensor')} of other shapes are not compared")
    lacking = [f"{count:,} in {name}" for count, name in zip(difference.missing, (before, after), strict=True) if count]
    if lacking:
        lines.append(f"tensors that are missing in the files: {join_first(lacking)}")
    if difference.equal:
        lines.append("all weights are equal")
    return lines
