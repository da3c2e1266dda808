"""How training starts from weights: which tensors are adapted to other images and other classes, or initialized at random."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from resnet_spec.diagnostics import printable
from resnet_spec.diagnostics.text import count_text
from resnet_spec.weights.planning import EXACT, Plan, Step

COLORS = 3
FOR_CLASSES = "for other classes"
NO_CLASSIFIER = "the file has no such classifier"


@dataclass(frozen=True, slots=True)
class ClassNames:
    """The names of the classes of a network and of a file, in the order of their outputs; empty where they are not known."""

    own: tuple[str, ...] = ()
    stored: tuple[str, ...] = ()

    def rows(self) -> tuple[tuple[int, int], ...]:
        """Pairs of outputs of the network and the file for classes of equal names; none where all are the same, or none.

        A name that the file has twice, as ImageNet has `crane`, decides nothing.
        """
        if not self.own or self.own == self.stored:
            return ()
        if len(set(self.own)) < len(self.own):
            return ()
        count = Counter(self.stored)
        places = {name: row for row, name in enumerate(self.stored) if count[name] == 1}
        return tuple((row, places[name]) for row, name in enumerate(self.own) if name in places)


def plan_training(plan: Plan, channels: int, transfer: bool = False, classes: ClassNames | None = None) -> Plan:
    """The plan by which training starts from weights, also for images of other channels and for other classes.

    The first convolution is adapted from images of 3 `channels`. The last layer with weights, and others that differ from the
    file in the same two numbers of classes, are drawn again, but for the rows of `classes` with equal names. A classifier that
    the file lacks is drawn, and what the file has outside the network is left out. With `transfer`, tensors of other widths are
    sliced or padded, and what the file lacks is drawn; `plan` is that of `plan_transfer`.
    """
    head = find_head(plan.steps)
    first = next((step.name for step in plan.steps if len(step.shape) == 4 and step.name), "")
    counts = {
        (step.shape[0], step.stored[0])
        for step in plan.steps
        if step.action == "other shape" and step.name.startswith(head) and _differs_in_rows(step)
    }
    lacks_head = all(step.action == "missing" for step in plan.steps if head and step.name.startswith(head))
    names = classes or ClassNames()
    rows = names.rows()

    def start(step: Step) -> Step:
        if rows and step.name.startswith(head) and _has_rows(step, names):
            return replace(step, action="adapted", rows=rows, reason=_describe_rows(rows, names))
        if step.action == "other shape":
            if step.name == first and _differs_in_channels(step, channels):
                how = "summed" if channels == 1 else f"repeated, times {COLORS}/{channels}"
                return replace(step, action="adapted", reason=f"{COLORS} channels of images are {how}")
            if transfer and step.name == first and step.shape[1:2] != step.stored[1:2]:
                return replace(step, action="drawn", reason="it is of images of other channels in the file")
            if transfer and head and step.name.startswith(head) and step.shape[:1] != step.stored[:1]:
                return replace(step, action="drawn", reason=FOR_CLASSES)
            if _differs_in_rows(step) and (step.shape[0], step.stored[0]) in counts:
                return replace(step, action="drawn", reason=FOR_CLASSES)
        if step.action == "missing" and lacks_head and head and step.name.startswith(head):
            return replace(step, action="drawn", reason=NO_CLASSIFIER)
        if transfer and step.action in ("missing", "other type"):
            reason = "the file lacks it" if step.action == "missing" else f"it is {step.reason}"
            return replace(step, action="drawn", reason=reason)
        return step

    plan = replace(plan, steps=tuple(map(start, plan.steps)))
    return fit_widths(plan) if transfer else _leave_out(plan, head)


def find_head(steps: Sequence[Step]) -> str:
    """The beginning of the names of the last layer with weights, such as `fc.`; empty where there is none."""
    return next((step.name for step in reversed(steps) if step.name.endswith(".weight")), "").removesuffix("weight")


def _leave_out(plan: Plan, head: str) -> Plan:
    """Leave out what a file holds outside the network, if the network itself is complete: other networks and their heads."""
    if any(step.action not in (*EXACT, "adapted", "drawn") for step in plan.steps if step.name):
        return plan
    drawn = {step.name for step in plan.of("drawn")}
    place = plan.beginning + head

    def leave(step: Step) -> Step:
        if step.action == "unused" and step.reason:
            return replace(step, action="left out")
        if step.action == "unused" and head and step.source.startswith(place) and f"{head}weight" in drawn:
            return replace(step, action="left out", reason=f"in the place of the classifier `{printable(head.rstrip('.'))}`")
        return step

    return replace(plan, steps=tuple(map(leave, plan.steps)))


def fit_widths(plan: Plan) -> Plan:
    """The plan in which tensors of other widths keep their first rows and columns; what remains is drawn."""

    def fit(step: Step) -> Step:
        if step.action != "other shape":
            return step
        smaller = all(one <= other for one, other in zip(step.shape, step.stored, strict=True))
        reason = "first rows and columns" if len(step.shape) > 1 else "first numbers"
        return replace(step, action="sliced" if smaller else "padded", reason=reason if smaller else f"{reason}; others drawn")

    return replace(plan, steps=tuple(map(fit, plan.steps)))


def _has_rows(step: Step, names: ClassNames) -> bool:
    """Whether a tensor of a classifier has a row for each class, on both sides, and is otherwise equal."""
    if step.action not in ("kept", "renamed", "other shape") or not (step.shape and step.stored):
        return False
    return (step.shape[0], step.stored[0], step.shape[1:]) == (len(names.own), len(names.stored), step.stored[1:])


def _describe_rows(rows: tuple[tuple[int, int], ...], names: ClassNames) -> str:
    drawn = len(names.own) - len(rows)
    return f"the rows of {count_text(len(rows), 'class')} of equal names are kept" + (f", {drawn:,} are drawn" if drawn else "")


def _differs_in_rows(step: Step) -> bool:
    return bool(step.shape and step.stored) and step.shape[0] != step.stored[0] and step.shape[1:] == step.stored[1:]


def _differs_in_channels(step: Step, channels: int) -> bool:
    """Whether a tensor is a convolution of images of `channels`, and of 3 in the file."""
    if len(step.stored) != 4 or (step.shape[1], step.stored[1]) != (channels, COLORS):
        return False
    return (step.shape[0], *step.shape[2:]) == (step.stored[0], *step.stored[2:])


def copy_tensor(step: Step, own: Tensor, tensor: Tensor | None) -> None:
    """Carry out a step: write what comes from the file into the tensor of the network, in place."""
    match step.action:
        case "filled":
            own.zero_()
        case "kept" | "renamed":
            assert tensor is not None
            own.copy_(tensor)
        case "adapted" if step.rows:
            assert tensor is not None
            ours, theirs = (torch.tensor(rows) for rows in zip(*step.rows, strict=True))
            own[ours.to(own.device)] = tensor[theirs].to(own.device, own.dtype)
        case "adapted":
            assert tensor is not None
            own.copy_(adapt_channels(tensor, step.shape[1]))
        case "sliced" | "padded":
            assert tensor is not None
            both = tuple(slice(min(one, other)) for one, other in zip(step.shape, step.stored, strict=True))
            own[both] = tensor[both].to(own.device, own.dtype)


def adapt_channels(weight: Tensor, channels: int) -> Tensor:
    """Adapt a convolution of 3 channels, `(O, 3, H, W)`, to images of others: `(O, channels, H, W)`.

    For gray images the channels are summed: the sum of a gray image in three equal channels stays the same. For others they
    are repeated and rescaled, as timm does (timm/models/_manipulate.py, adapt_input_conv).
    """
    numbers = weight.float()
    if channels == 1:
        numbers = numbers.sum(dim=1, keepdim=True)
    else:
        numbers = numbers.repeat(1, -(-channels // COLORS), 1, 1)[:, :channels] * (COLORS / channels)
    return numbers.to(weight.dtype)
