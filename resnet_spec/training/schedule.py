"""The learning rate: a pure function of the step.

Nothing is remembered between steps, so a run that is resumed continues exactly where it stopped.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass

from resnet_spec.diagnostics.text import count_text, join_words
from resnet_spec.training.recipe import Recipe, Schedule, Unit, Warmup


@dataclass(frozen=True, slots=True)
class Length:
    """How long a run is, in steps of the optimizer."""

    steps: int
    steps_per_epoch: int

    def in_steps(self, amount: float, unit: Unit) -> float:
        """An amount of epochs or iterations in steps."""
        return amount * self.steps_per_epoch if unit == "epochs" else amount


def length_of(recipe: Recipe, steps_per_epoch: int) -> Length:
    """The length of a run of a recipe."""
    steps = recipe.iterations if recipe.iterations is not None else (recipe.epochs or 0) * steps_per_epoch
    return Length(steps, steps_per_epoch)


def find_beyond(recipe: Recipe, length: Length) -> Iterator[str]:
    """What of a schedule lies beyond the run, so that it never happens: milestones, and the end of the warm-up."""
    unit = "epoch" if recipe.epochs is not None else "iteration"
    run = f"the run of {count_text(recipe.epochs or recipe.iterations or 0, unit)}"
    schedule, warmup, way = recipe.schedule, recipe.warmup, "to the length of a new run"
    if schedule.op == "multistep":
        late = [each for each in sorted(schedule.milestones) if length.in_steps(each, schedule.unit) > length.steps - 1]
        if late:
            named = join_words([f"{each:,g}" for each in late], "and")
            are = "milestones {} lie" if len(late) > 1 else "milestone {} lies"
            kept = "is never lowered" if len(late) == len(schedule.milestones) else "is not lowered there"
            yield (
                f"the {are.format(named)} beyond {run} ({schedule.unit}), so the learning rate {kept}; "
                f"`--scale-schedule` scales them {way}"
            )
    if warmup is not None and math.ceil(length.in_steps(warmup.length, warmup.unit)) >= length.steps:
        yield (
            f"the warm-up of {warmup.length:,g} {warmup.unit} does not end within {run}, "
            f"so the learning rate does not reach {recipe.lr:g}; `--scale-schedule` scales it {way}"
        )


def factor(schedule: Schedule, warmup: Warmup | None, step: int, length: Length, warm_end: int | None = None) -> float:
    """The factor of the optimizer's `lr` at `step` (from 0).

    A warm-up rises to the first value of the schedule. A curve then spans the rest of the run; milestones count from the first
    step. `warm_end` is the step at which the training error ended the warm-up; None before.
    """
    if warmup is None:
        return _shape(schedule, step, 0, length)
    last = length.in_steps(warmup.length, warmup.unit)
    if warm_end is not None:
        last = min(last, warm_end)
    first = math.ceil(last)
    if step >= first:
        return _shape(schedule, step, first, length)
    done = 0.0 if warmup.shape == "constant" else step / last
    return _shape(schedule, first, first, length) * (warmup.start + (1 - warmup.start) * done)


def _shape(schedule: Schedule, step: int, first: int, length: Length) -> float:
    done = max(0.0, min(1.0, (step - first) / max(1, length.steps - 1 - first)))  # 0 at the first step, 1 at the last
    match schedule.op:
        case "constant":
            return 1.0
        case "multistep":
            milestones = sorted(length.in_steps(each, schedule.unit) for each in schedule.milestones)
            try:
                return float(schedule.gamma ** bisect_right(milestones, step))
            except OverflowError:  # the loss is no longer finite then, which is reported
                return math.inf
        case "cosine":
            return _between(1.0, schedule.final, done, "cosine")
        case "polynomial":
            return schedule.final + (1 - schedule.final) * float((1 - done) ** schedule.power)
        case "one_cycle":
            if done < schedule.rise:
                return _between(schedule.start, 1.0, done / schedule.rise, schedule.shape)
            return _between(1.0, schedule.final, (done - schedule.rise) / max(1e-12, 1 - schedule.rise), schedule.shape)


def _between(first: float, last: float, done: float, shape: str) -> float:
    part = (1 - math.cos(math.pi * done)) / 2 if shape == "cosine" else done
    return first + (last - first) * part
