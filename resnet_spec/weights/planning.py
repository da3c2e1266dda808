"""What becomes of each tensor when weights are loaded into a network: a plan, made from names, shapes and types alone.

A plan is exact where every tensor of the network is kept under its name, renamed by a rule that is reported, or a counter that
old files lack, and no tensor of the file is unused.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from math import prod
from typing import Literal

from torch import Tensor

from resnet_spec.diagnostics import printable
from resnet_spec.ops import show

Action = Literal["kept", "renamed", "filled", "adapted", "drawn", "missing", "other shape", "other type", "unused"]
EXACT: tuple[Action, ...] = ("kept", "renamed", "filled")
STARTING: tuple[Action, ...] = (*EXACT, "adapted", "drawn")  # what `train` accepts without --transfer
COUNTER = ".num_batches_tracked"
COLORS = 3
FOR_CLASSES = "for other classes"
_DENSE_LAYER = re.compile(r"(denselayer\d+\.(?:norm|relu|conv))\.([12]\.)")
_AVERAGE_COUNT = "n_averaged"  # torch.optim.swa_utils.AveragedModel has it next to `module.*`


@dataclass(frozen=True, slots=True)
class Step:
    """What becomes of a tensor. `name` is its name in the network, `source` in the file; either is empty where it has none."""

    action: Action
    name: str
    source: str
    shape: tuple[int, ...]  # in the network
    stored: tuple[int, ...]  # in the file
    reason: str = ""
    is_parameter: bool = False

    @property
    def params(self) -> int:
        """How many parameters of the network it has."""
        return prod(self.shape) if self.is_parameter else 0

    def describe(self) -> str:
        """What is wrong with it, in words."""
        name = f"`{printable(self.name or self.source)}`"
        match self.action:
            case "missing":
                return f"{name} is missing"
            case "unused":
                return f"{name} is not expected"
            case "other shape":
                return f"{name} is {shape_text(self.stored)} and should be {shape_text(self.shape)}"
            case _:
                return f"{name} is {self.reason}"


@dataclass(frozen=True, slots=True)
class Plan:
    """The steps, in the order of the network, then what is unused; and notes on renamed tensors and what was found."""

    steps: tuple[Step, ...]
    notes: tuple[str, ...] = ()

    def accepted(self, transfer: bool = False) -> bool:
        """Whether training starts by it."""
        return not self.outside((*STARTING, "unused") if transfer else STARTING) and bool(self.of("kept", "renamed", "adapted"))

    @property
    def exact(self) -> bool:
        """Whether every tensor of the network comes from the file, and all of the file are used."""
        return not self.outside(EXACT)

    def outside(self, actions: Iterable[Action]) -> tuple[Step, ...]:
        """The steps that are none of some actions."""
        accepted = frozenset(actions)
        return tuple(step for step in self.steps if step.action not in accepted)

    def of(self, *actions: Action) -> tuple[Step, ...]:
        """The steps that are one of some actions."""
        return tuple(step for step in self.steps if step.action in actions)

    def share(self, *actions: Action) -> float:
        """The share of the network's parameters, 0 to 1, in tensors of some actions."""
        whole = sum(step.params for step in self.steps)
        return sum(step.params for step in self.of(*actions)) / whole if whole else 1.0


def make_plan(own: Mapping[str, Tensor], found: Mapping[str, Tensor], parameters: frozenset[str] = frozenset()) -> Plan:
    """Plan how the tensors of a file, `found`, become those of a network, `own`.

    `parameters` are the names of its parameters.
    """
    sources, notes = match_names(own, found)
    steps: list[Step] = []
    for name, wanted in own.items():
        shape, source = tuple(wanted.shape), sources.get(name, "")
        is_parameter = name in parameters

        def step(action: Action, reason: str = "", stored: tuple[int, ...] = ()) -> Step:
            return Step(action, name, source, shape, stored, reason, is_parameter)  # noqa: B023

        if not source:
            steps.append(step("missing"))
            continue
        tensor = found[source]
        stored = tuple(tensor.shape)
        if stored != shape:
            steps.append(step("other shape", stored=stored))
        elif not converts(tensor, wanted):
            dtypes = [str(each.dtype).removeprefix("torch.") for each in (tensor, wanted)]
            steps.append(step("other type", f"{dtypes[0]}, which cannot be converted to {dtypes[1]}", stored))
        else:
            steps.append(step("kept" if source == name else "renamed", stored=stored))
    used = {step.source for step in steps}
    unused = sorted(found.keys() - used)
    if _AVERAGE_COUNT in unused and _AVERAGE_COUNT not in own and found[_AVERAGE_COUNT].ndim == 0:
        unused.remove(_AVERAGE_COUNT)
        notes = (*notes, f"`{_AVERAGE_COUNT}`, the counter of an average of models, is left out")
    steps += [Step("unused", "", name, (), tuple(found[name].shape)) for name in unused]
    return _fill_counters(Plan(tuple(steps), notes), sources)


def _fill_counters(plan: Plan, sources: Mapping[str, str]) -> Plan:
    """Fill counters of batches with 0 where the file lacks them and has the mean next to them, as torch does."""
    reason = "files of torch before 0.4.1 lack it"
    steps = [
        Step("filled", step.name, "", step.shape, (), reason, step.is_parameter)
        if step.action == "missing"
        and step.name.endswith(COUNTER)
        and step.name.removesuffix(COUNTER) + ".running_mean" in sources
        else step
        for step in plan.steps
    ]
    filled = sum(step.action == "filled" for step in steps)
    notes = (
        (*plan.notes, f"{filled} counters of batches (`num_batches_tracked`) are missing and begin at 0")
        if filled
        else plan.notes
    )
    return Plan(tuple(steps), notes)


def match_names(own: Mapping[str, Tensor], found: Mapping[str, Tensor]) -> tuple[dict[str, str], tuple[str, ...]]:
    """The name in the file of each tensor of a network, and a note where a rule renames.

    Rules: a beginning that all names of the file have is removed (`module.`, `_orig_mod.`, `model.`, ...), and the names of
    DenseNets before torchvision 0.3 (`norm.1` for `norm1`) are translated. A rule applies where more tensors fit with it.
    """
    names = list(found)
    best, most, note = {name: name for name in names if name in own}, -1, ""
    for prefix in _common_prefixes([name for name in names if name != _AVERAGE_COUNT]):
        for dense in (False, True):
            renamed: dict[str, str] = {}
            for name in names:
                short = name.removeprefix(prefix)
                renamed.setdefault(_DENSE_LAYER.sub(r"\1\2", short) if dense else short, name)
            if len(renamed) != len(names):
                continue
            sources = {name: renamed[name] for name in own if name in renamed}
            fitting = sum(own[name].shape == found[source].shape for name, source in sources.items())
            if fitting > most:
                notes = [f"`{printable(prefix)}` is removed from the beginning of every name"] if prefix else []
                notes += ["names of DenseNets of old torchvision are translated (`norm.1` to `norm1`)"] if dense else []
                best, most, note = sources, fitting, "; ".join(notes)
    return best, (note,) if note else ()


def _common_prefixes(names: list[str]) -> list[str]:
    """Beginnings, up to a dot, that all of several names have; the empty one first."""
    found = [""]
    if len(names) < 2:
        return found
    parts = names[0].split(".")
    for count in range(1, len(parts)):
        prefix = ".".join(parts[:count]) + "."
        if not all(name.startswith(prefix) for name in names):
            break
        found.append(prefix)
    return found


def converts(found: Tensor, wanted: Tensor) -> bool:
    """Whether numbers of one type can be converted to another. Some small types are for storage only."""
    if found.is_complex() and not wanted.is_complex():
        return False
    if found.dtype == wanted.dtype:
        return True
    try:
        found[(slice(0, 1),) * found.ndim].to(wanted.dtype)
    except (NotImplementedError, RuntimeError):
        return False
    return True


def plan_training(plan: Plan, channels: int, transfer: bool = False) -> Plan:
    """The plan by which training starts from weights, also for images of other channels and for other classes.

    The first convolution is adapted from images of 3 `channels`. The last layer with weights, and others that differ from the
    file in the same two numbers of classes, are drawn again. With `transfer`, everything that differs is drawn or left out.
    """
    head = next((step.name for step in reversed(plan.steps) if step.name.endswith(".weight")), "").removesuffix("weight")
    first = next((step.name for step in plan.steps if len(step.shape) == 4 and step.name), "")
    counts = {
        (step.shape[0], step.stored[0])
        for step in plan.steps
        if step.action == "other shape" and step.name.startswith(head) and _differs_in_rows(step)
    }

    def start(step: Step) -> Step:
        if step.action == "other shape":
            if step.name == first and _differs_in_channels(step, channels):
                how = "summed" if channels == 1 else f"repeated, times {COLORS}/{channels}"
                return replace(step, action="adapted", reason=f"{COLORS} channels of images are {how}")
            if _differs_in_rows(step) and (step.shape[0], step.stored[0]) in counts:
                return replace(step, action="drawn", reason=FOR_CLASSES)
        if transfer and step.action in ("missing", "other shape", "other type"):
            reason = "the file lacks it" if step.action == "missing" else "it differs in the file"
            return replace(step, action="drawn", reason=reason)
        return step

    return Plan(tuple(map(start, plan.steps)), plan.notes)


def _differs_in_rows(step: Step) -> bool:
    return bool(step.shape and step.stored) and step.shape[0] != step.stored[0] and step.shape[1:] == step.stored[1:]


def _differs_in_channels(step: Step, channels: int) -> bool:
    """Whether a tensor is a convolution of images of `channels`, and of 3 in the file."""
    if len(step.stored) != 4 or (step.shape[1], step.stored[1]) != (channels, COLORS):
        return False
    return (step.shape[0], *step.shape[2:]) == (step.stored[0], *step.stored[2:])


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


def shape_text(shape: tuple[int, ...]) -> str:
    """`64x3x7x7`; a tensor without axes is a single number."""
    return show(shape) if shape else "a single number"
