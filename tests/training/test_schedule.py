"""The learning rate against torch's own schedulers, step by step; and that it is a function of the step alone."""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from typing import Any, Literal

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.optim import lr_scheduler

from resnet_spec.training.recipe import Schedule, Warmup
from resnet_spec.training.schedule import Length, factor

pytestmark = pytest.mark.torch
PER_EPOCH = 7
LENGTH = Length(steps=61, steps_per_epoch=PER_EPOCH)  # the last epoch is cut short
BASE = 0.4


def theirs(make: Callable[[torch.optim.Optimizer], Any], steps: int = LENGTH.steps) -> list[float]:
    """The learning rates that a scheduler of torch gives, stepped after each step of its optimizer."""
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=BASE)
    scheduler = make(optimizer)
    found = []
    for _ in range(steps):
        found.append(float(optimizer.param_groups[0]["lr"]))
        optimizer.step()
        scheduler.step()
    return found


def ours(schedule: Schedule, warmup: Warmup | None = None, length: Length = LENGTH) -> list[float]:
    return [BASE * factor(schedule, warmup, step, length) for step in range(length.steps)]


LAST = LENGTH.steps - 1
RISE = 0.3


def one_cycle(shape: Literal["cosine", "linear"]) -> Schedule:
    return Schedule("one_cycle", rise=RISE, start=0.04, final=0.0004, shape=shape)


def their_one_cycle(optimizer: torch.optim.Optimizer, strategy: Literal["cos", "linear"]) -> lr_scheduler.LRScheduler:
    """torch's rise ends one step before `pct_start` of all steps."""
    part = (RISE * LAST + 1) / LENGTH.steps
    return lr_scheduler.OneCycleLR(
        *(optimizer, BASE, LENGTH.steps),
        pct_start=part,
        anneal_strategy=strategy,
        div_factor=25,
        final_div_factor=100,
        cycle_momentum=False,
    )


SHAPES: dict[str, tuple[Schedule, Callable[[torch.optim.Optimizer], Any]]] = {
    "constant": (Schedule("constant"), lambda o: lr_scheduler.ConstantLR(o, factor=1.0)),
    "steps": (
        Schedule("multistep", (20.0, 35.0, 35.0, 50.0), 0.3, "iterations"),
        lambda o: lr_scheduler.MultiStepLR(o, [20, 35, 35, 50], gamma=0.3),
    ),
    "epochs": (
        Schedule("multistep", (6.0, 3.0), 0.1),
        lambda o: lr_scheduler.MultiStepLR(o, [3 * PER_EPOCH, 6 * PER_EPOCH], gamma=0.1),
    ),
    "cosine": (Schedule("cosine"), lambda o: lr_scheduler.CosineAnnealingLR(o, T_max=LAST)),
    "cosine to a rest": (
        Schedule("cosine", final=0.05),
        lambda o: lr_scheduler.CosineAnnealingLR(o, T_max=LAST, eta_min=0.05 * BASE),
    ),
    "line": (Schedule("polynomial"), lambda o: lr_scheduler.PolynomialLR(o, total_iters=LAST, power=1.0)),
    "polynomial": (Schedule("polynomial", power=0.9), lambda o: lr_scheduler.PolynomialLR(o, total_iters=LAST, power=0.9)),
    "one cycle, cosine": (one_cycle("cosine"), lambda o: their_one_cycle(o, "cos")),
    "one cycle, linear": (one_cycle("linear"), lambda o: their_one_cycle(o, "linear")),
}


@pytest.mark.parametrize("name", SHAPES)
def test_every_step_has_the_rate_that_torch_gives_it(name: str) -> None:
    schedule, make = SHAPES[name]
    assert ours(schedule) == pytest.approx(theirs(make), rel=1e-6, abs=1e-12)


@pytest.mark.parametrize("start", [0.01, 0.5])
@pytest.mark.parametrize(("amount", "unit", "steps"), [(10.0, "iterations", 10), (2.0, "epochs", 2 * PER_EPOCH)])
def test_a_linear_warm_up_is_that_of_torch(start: float, amount: float, unit: Any, steps: int) -> None:
    found = ours(Schedule("constant"), Warmup(amount, unit, start))
    assert found == pytest.approx(theirs(lambda o: lr_scheduler.LinearLR(o, start_factor=start, total_iters=steps)))


def test_a_constant_warm_up_is_that_of_torch() -> None:
    found = ours(Schedule("constant"), Warmup(9, "iterations", 0.1, "constant"))
    assert found == pytest.approx(theirs(lambda o: lr_scheduler.ConstantLR(o, factor=0.1, total_iters=9)))


def test_a_curve_takes_what_a_warm_up_leaves_of_the_run() -> None:
    def make(optimizer: torch.optim.Optimizer) -> lr_scheduler.LRScheduler:
        rise = lr_scheduler.LinearLR(optimizer, start_factor=0.1, total_iters=10)
        fall = lr_scheduler.CosineAnnealingLR(optimizer, T_max=LAST - 10)
        return lr_scheduler.SequentialLR(optimizer, [rise, fall], [10])

    assert ours(Schedule("cosine"), Warmup(10, "iterations", 0.1)) == pytest.approx(theirs(make), abs=1e-9)


@pytest.mark.parametrize("op", ["constant", "cosine", "polynomial"])
def test_a_warm_up_as_long_as_the_run_still_rises(op: Any) -> None:
    found = ours(Schedule(op), Warmup(100, "iterations"))
    assert found == pytest.approx([BASE * step / 100 for step in range(LENGTH.steps)])


def test_milestones_count_from_the_start() -> None:
    """Unlike torch's SequentialLR, which begins the second one anew: they stay where the paper has them."""
    milestones = Schedule("multistep", (3.0,), 0.1)
    assert ours(milestones, Warmup(1))[PER_EPOCH:] == ours(milestones)[PER_EPOCH:]


def test_the_papers_warm_up_ends_when_the_error_says_so() -> None:
    """0.01 until the training error is below 80%, then 0.1 (He et al. 2016, section 4.2); at the latest after `length`."""
    warmup, length = Warmup(2000, "iterations", 0.1, "constant", 0.8), Length(64_000, 391)
    schedule = Schedule("multistep", (32_000.0, 48_000.0), 0.1, "iterations")

    def rate(step: int, ended: int | None) -> float:
        return 0.1 * factor(schedule, warmup, step, length, ended)

    assert [rate(step, None) for step in (0, 399, 1999, 2000)] == pytest.approx([0.01, 0.01, 0.01, 0.1])
    assert [rate(step, 400) for step in (399, 400, 31_999, 32_000, 48_000)] == pytest.approx([0.01, 0.1, 0.1, 0.01, 0.001])


def test_the_first_and_the_last_step_have_the_rates_that_are_written() -> None:
    assert ours(Schedule("cosine", final=0.25))[-1] == pytest.approx(0.25 * BASE)
    assert ours(Schedule("polynomial", final=0.25, power=3.0))[-1] == pytest.approx(0.25 * BASE)
    cycle = ours(Schedule("one_cycle", start=0.5, final=0.125))
    assert (cycle[0], cycle[-1]) == pytest.approx((0.5 * BASE, 0.125 * BASE))
    assert max(cycle) <= BASE


SCHEDULES = st.builds(
    Schedule,
    st.sampled_from(["constant", "multistep", "cosine", "one_cycle", "polynomial"]),
    milestones=st.lists(st.floats(0, 99), max_size=4).map(tuple),
    gamma=st.floats(0, 1),
    unit=st.sampled_from(["epochs", "iterations"]),
    final=st.floats(0, 1),
    rise=st.floats(0, 1),
    start=st.floats(0, 1),
    shape=st.sampled_from(["cosine", "linear"]),
    power=st.floats(0, 5),
)
WARMUPS = st.none() | st.builds(
    Warmup,
    st.floats(0, 50),
    st.sampled_from(["epochs", "iterations"]),
    st.floats(0, 1),
    st.sampled_from(["linear", "constant"]),
)


@given(SCHEDULES, WARMUPS, st.integers(1, 90), st.integers(1, 20), st.none() | st.integers(0, 90))
def test_the_rate_is_a_fraction_of_the_highest_and_depends_on_the_step_alone(
    schedule: Schedule, warmup: Warmup | None, steps: int, per_epoch: int, ended: int | None
) -> None:
    length = Length(steps, per_epoch)
    inorder = [factor(schedule, warmup, step, length, ended) for step in range(steps)]
    assert all(math.isfinite(each) and -1e-12 <= each <= 1 + 1e-12 for each in inorder)
    shuffled = random.Random(0).sample(range(steps), steps)
    assert {step: factor(schedule, warmup, step, length, ended) for step in shuffled} == dict(enumerate(inorder))


def test_amounts_are_counted_in_epochs_or_steps() -> None:
    assert (LENGTH.in_steps(1.5, "epochs"), LENGTH.in_steps(1.5, "iterations")) == (1.5 * PER_EPOCH, 1.5)
