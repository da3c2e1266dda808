"""What becomes of each tensor when weights are loaded into a network: a plan, made from names, shapes and types alone.

A plan is exact where every tensor of the network is kept under its name, renamed by a rule that is reported, or a counter that
old files lack, and no tensor of the file is unused.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from math import prod
from typing import Literal

from torch import Tensor

from resnet_spec.diagnostics import printable
from resnet_spec.diagnostics.text import count_text, join_first
from resnet_spec.graph.model import Graph
from resnet_spec.ops import Shape, show
from resnet_spec.weights.naming import AVERAGE_COUNT, Naming, match_names
from resnet_spec.weights.structure import COUNTER, LayerPair, find_renaming, list_renamed

Action = Literal[
    "kept",
    "renamed",
    "filled",
    "adapted",
    "sliced",
    "padded",
    "drawn",
    "missing",
    "other shape",
    "other type",
    "left out",
    "unused",
]
EXACT: tuple[Action, ...] = ("kept", "renamed", "filled")
STARTING: tuple[Action, ...] = (*EXACT, "adapted", "drawn", "left out")  # what `train` accepts without --transfer
TRANSFER: tuple[Action, ...] = (*STARTING, "sliced", "padded", "unused")
COPIED: tuple[Action, ...] = ("kept", "renamed", "adapted", "sliced", "padded")  # what comes from the file


@dataclass(frozen=True, slots=True)
class Step:
    """What becomes of a tensor. `name` is its name in the network, `source` in the file; either is empty where it has none.

    `macs` are the multiply-adds of the operation of which it is the weight. `rows` are pairs of a row of the network and one of
    the file, for a classifier of which only some rows are kept.
    """

    action: Action
    name: str
    source: str
    shape: Shape  # in the network
    stored: Shape  # in the file
    reason: str = ""
    is_parameter: bool = False
    macs: int = 0
    rows: tuple[tuple[int, int], ...] = field(default=(), repr=False)

    @property
    def params(self) -> int:
        """How many parameters of the network it has."""
        return prod(self.shape) if self.is_parameter else 0

    def describe(self) -> str:
        """What is wrong with it, in words."""
        name = f"`{printable(self.name or self.source)}`"
        match self.action:
            case "missing":
                return f"{name} is missing" + (f" ({self.reason})" if self.reason else "")
            case "unused":
                return f"{name} is not expected"
            case "other shape":
                return f"{name} is {shape_text(self.stored)} and should be {shape_text(self.shape)}"
            case "adapted" | "sliced" | "padded" | "drawn" | "left out":
                return f"{name} is {self.action}"
            case _:
                return f"{name} is {self.reason}"


@dataclass(frozen=True, slots=True)
class Plan:
    """The steps, in the order of the network, then what is unused; and notes on renamed tensors and what was found.

    `beginning` was removed from names of the file. `renaming` pairs the layers of network and file by their structure, where
    names differ: it is carried out where all of it is certain. `mapped` are the names that a map of keys decides about.
    """

    steps: tuple[Step, ...]
    notes: tuple[str, ...] = ()
    beginning: str = ""
    renaming: tuple[LayerPair, ...] = ()
    mapped: frozenset[str] = frozenset()

    def accepted(self, transfer: bool = False) -> bool:
        """Whether training starts by it."""
        return not self.outside(TRANSFER if transfer else STARTING) and bool(self.of(*COPIED))

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

    def share(self, *actions: Action, of: Literal["params", "macs"] = "params") -> float:
        """The share of the network's parameters, or multiply-adds, 0 to 1, in tensors of some actions."""
        whole = sum(getattr(step, of) for step in self.steps)
        return sum(getattr(step, of) for step in self.of(*actions)) / whole if whole else 1.0


def make_plan(
    own: Mapping[str, Tensor],
    found: Mapping[str, Tensor],
    parameters: frozenset[str] = frozenset(),
    *,
    graph: Graph | None = None,
    macs: Mapping[str, int] | None = None,
    mapped: Mapping[str, str] | None = None,
) -> Plan:
    """Plan how the tensors of a file, `found`, become those of a network, `own`.

    Args:
        parameters: the names of its parameters.
        graph: the network as a graph, for what depends on what where names differ.
        macs: the multiply-adds of the operation of each weight, by name.
        mapped: names in the file, by name in the network, that are given and not matched.
    """
    mapped = mapped or {}
    shapes = {name: tuple(tensor.shape) for name, tensor in own.items() if name not in mapped}
    given = set(mapped.values())
    stored = {name: tuple(tensor.shape) for name, tensor in found.items() if name not in given}
    if AVERAGE_COUNT in stored and stored[AVERAGE_COUNT] == () and AVERAGE_COUNT not in own:
        del stored[AVERAGE_COUNT]
    naming = match_names(shapes, stored)
    sources, notes = naming.sources, naming.notes
    renaming: tuple[LayerPair, ...] = ()
    if any(name not in sources and not name.endswith(f".{COUNTER}") for name in shapes):
        renaming = tuple(find_renaming(shapes, stored, naming.beginning, graph) or ())
        if renaming and all(pair.certainty == "certain" for pair in renaming):
            sources = list_renamed(renaming)
            notes = (_note_renamed(sources),)
    steps = _steps(own, found, {**sources, **mapped}, parameters, macs or {})
    steps += _unused(found, naming, own, {step.source for step in steps})
    if AVERAGE_COUNT in found and AVERAGE_COUNT not in stored and AVERAGE_COUNT not in own:
        notes = (*notes, f"`{AVERAGE_COUNT}`, the counter of an average of models, is left out")
    plan = Plan(tuple(steps), notes, naming.beginning, renaming, frozenset(mapped))
    return _note_offered(_fill_counters(plan, {**sources, **mapped}))


def _steps(
    own: Mapping[str, Tensor],
    found: Mapping[str, Tensor],
    sources: Mapping[str, str],
    parameters: frozenset[str],
    macs: Mapping[str, int],
) -> list[Step]:
    """A step for each tensor of a network, whose `sources` in the file are known."""
    steps: list[Step] = []
    folded = {name.casefold(): name for name in found} if any(name not in sources for name in own) else {}
    for name, wanted in own.items():
        shape, source = tuple(wanted.shape), sources.get(name, "")

        def step(action: Action, reason: str = "", stored: Shape = ()) -> Step:
            return Step(action, name, source, shape, stored, reason, name in parameters, macs.get(name, 0))  # noqa: B023

        if not source:
            near = folded.get(name.casefold())
            steps.append(step("missing", f"the file has `{printable(near)}`" if near else ""))
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
    return steps


def _unused(found: Mapping[str, Tensor], naming: Naming, own: Mapping[str, Tensor], used: set[str]) -> list[Step]:
    outside = frozenset(naming.outside)
    reason = f"its name does not begin with `{printable(naming.beginning)}`"
    return [
        Step("unused", "", name, (), tuple(found[name].shape), reason if name in outside else "")
        for name in sorted(found.keys() - used)
        if name != AVERAGE_COUNT or name in own or found[name].ndim
    ]


def _fill_counters(plan: Plan, sources: Mapping[str, str]) -> Plan:
    """Fill counters of batches with 0 where the file lacks them and has the mean next to them, as torch does."""
    reason = "files of torch before 0.4.1 lack it"
    end = f".{COUNTER}"
    steps = [
        replace(step, action="filled", reason=reason)
        if step.action == "missing" and step.name.endswith(end) and step.name.removesuffix(end) + ".running_mean" in sources
        else step
        for step in plan.steps
    ]
    filled = sum(step.action == "filled" for step in steps)
    notes = plan.notes
    if filled:
        notes = (*notes, f"{filled} counters of batches (`num_batches_tracked`) are missing and begin at 0")
    return replace(plan, steps=tuple(steps), notes=notes)


def _note_renamed(sources: Mapping[str, str]) -> str:
    """A note on tensors that are renamed since file and network have the same structure."""
    changed = [(name, source) for name, source in sources.items() if name != source]
    examples = join_first([f"`{printable(source)}` is `{printable(name)}`" for name, source in changed], 2)
    return f"{count_text(len(changed), 'tensor')} have other names in the file, which has the same structure: {examples}"


def _note_offered(plan: Plan) -> Plan:
    """The plan with a note on a renaming that is not carried out, since parts of it are a guess."""
    doubtful = [pair for pair in plan.renaming if pair.certainty != "certain"]
    if not doubtful:
        return plan
    pairs = join_first([f"`{printable(pair.own.name)}`" for pair in doubtful], 3)
    note = (
        f"the file has the same structure under other names, but for {count_text(len(doubtful), 'layer')} ({pairs}) that is a "
        "guess: `--plan-only -o map.yaml` writes what it would be, and `--map map.yaml` does it"
    )
    return replace(plan, notes=(*plan.notes, note))


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


def shape_text(shape: Shape) -> str:
    """`64x3x7x7`; a tensor without axes is a single number."""
    return show(shape) if shape else "a single number"
