"""How the weights of two networks differ, by stage, and what would become of the weights of one in the other."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor

from resnet_spec.comparison.align import align
from resnet_spec.compiler import Analysis
from resnet_spec.graph.model import Graph
from resnet_spec.weights.naming import match_names
from resnet_spec.weights.planning import Plan, make_plan
from resnet_spec.weights.plans import list_macs, list_parameters
from resnet_spec.weights.reading import StoredWeights
from resnet_spec.weights.starting import plan_training
from resnet_spec.weights.transfer import list_shapes, plan_transfer

_STEM, _HEAD, _BETWEEN = "stem", "head", "between stages"


@dataclass(frozen=True, slots=True)
class StageWeights:
    """The tensors of a stage that both networks have: how many, how many of them are equal, and by how much the others differ.

    `largest` is the largest absolute difference of two numbers. `relative` is the length of the difference of all numbers,
    divided by that of the first network's. Counters of batches count as tensors, and not in these. NaN where numbers are not
    finite.
    """

    name: str
    tensors: int
    equal: int
    largest: float
    relative: float


@dataclass(frozen=True, slots=True)
class WeightsDifference:
    """What differs in weights. `stages` are empty where a network has none; `missing` are tensors that a file lacks.

    `carried` is the plan by which the weights of the first network would become those of the second one, by `--transfer`.
    """

    carried: Plan
    has_weights: tuple[bool, bool]
    stages: tuple[StageWeights, ...] = ()
    other_shape: int = 0
    missing: tuple[int, int] = (0, 0)

    @property
    def compared(self) -> int:
        return sum(stage.tensors for stage in self.stages)

    @property
    def equal(self) -> bool:
        """Whether no numbers differ, of two networks that both have weights or both have none."""
        if self.has_weights[0] != self.has_weights[1]:
            return False
        return not self.other_shape and not any(self.missing) and all(each.equal == each.tensors for each in self.stages)


def compare_weights(
    before: Analysis, after: Analysis, stored: tuple[StoredWeights | None, StoredWeights | None]
) -> WeightsDifference:
    """Compare the weights of two networks, tensor by tensor of operations that are partners."""
    carried = _carry(before, after)
    has = (stored[0] is not None, stored[1] is not None)
    if stored[0] is None or stored[1] is None:
        return WeightsDifference(carried, has)
    sides = [_named(analysis.graph, each) for analysis, each in ((before, stored[0]), (after, stored[1]))]
    lacking = [
        sum(name not in side for name in list_shapes(analysis.graph))
        for analysis, side in zip((before, after), sides, strict=True)
    ]
    found: dict[str, _Sums] = {}
    other_shape = 0
    for stage, first, second in _pairs(before.graph, after.graph):
        one, other = sides[0].get(first), sides[1].get(second)
        if one is None or other is None:
            continue
        if one.shape != other.shape:
            other_shape += 1
        else:
            found.setdefault(stage, _Sums()).add(one, other)
    stages = tuple(sums.finish(name) for name, sums in found.items())
    return WeightsDifference(carried, has, stages, other_shape, (lacking[0], lacking[1]))


def _carry(before: Analysis, after: Analysis) -> Plan:
    """What would become of weights of the first network in the second one."""
    own, found = (
        {name: torch.empty(shape, device="meta") for name, shape in list_shapes(analysis.graph).items()}
        for analysis in (after, before)
    )
    plan = make_plan(own, found, list_parameters(after), graph=after.graph, macs=list_macs(after))
    return plan_training(plan_transfer(plan, after, before.graph), after.input[0], transfer=True)


def _named(graph: Graph, stored: StoredWeights) -> Mapping[str, Tensor]:
    """The tensors of a file by the names of its network."""
    naming = match_names(list_shapes(graph), {name: tuple(tensor.shape) for name, tensor in stored.tensors.items()})
    return {name: stored.tensors[source] for name, source in naming.sources.items()}


def _pairs(first: Graph, second: Graph) -> Iterator[tuple[str, str, str]]:
    """The stage and both names of each tensor that partners have."""
    for one, other in align(first, second).nodes:
        ours, theirs = first.nodes[one], second.nodes[other]
        named = {tensor.name for tensor in theirs.op.tensors() if tensor.persistent}
        stage = next((region.name for region in first.around(one) if region.kind == "stage"), "")
        if not stage:
            stage = _STEM if one < first.stem else _HEAD if one >= first.head else _BETWEEN
        for tensor in ours.op.tensors():
            if tensor.persistent and tensor.name in named:
                yield (
                    stage,
                    *(f"{node.name}.{tensor.name}" if tensor.name else node.name for node in (ours, theirs)),
                )


@dataclass(slots=True)
class _Sums:
    """What is summed over the tensors of a stage."""

    tensors: int = 0
    equal: int = 0
    largest: float = 0.0
    squares: list[float] = field(default_factory=lambda: [0.0, 0.0])  # of the differences, and of the first network's numbers

    def add(self, one: Tensor, other: Tensor) -> None:
        self.tensors += 1
        if one.dtype == other.dtype and torch.equal(one, other):
            self.equal += 1
        if not one.is_floating_point() and not one.is_complex():
            return
        first, second = one.double(), other.double()
        difference = second - first
        if difference.numel():
            most = float(difference.abs().max())
            self.largest = math.nan if math.isnan(most) or math.isnan(self.largest) else max(self.largest, most)
        self.squares[0] += float(difference.square().sum())
        self.squares[1] += float(first.square().sum())

    def finish(self, name: str) -> StageWeights:
        squares = self.squares
        relative = math.sqrt(squares[0] / squares[1]) if squares[1] else (0.0 if not squares[0] else math.inf)
        return StageWeights(name, self.tensors, self.equal, self.largest, relative)
