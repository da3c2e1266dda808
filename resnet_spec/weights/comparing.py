"""How the weights of two networks differ, by stage, and what would become of weights in a network."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor

from resnet_spec.comparison.align import align
from resnet_spec.compiler import Analysis
from resnet_spec.graph.model import Graph
from resnet_spec.weights.metadata import from_metadata
from resnet_spec.weights.naming import match_names
from resnet_spec.weights.planning import Plan
from resnet_spec.weights.plans import plan_start
from resnet_spec.weights.reading import StoredWeights
from resnet_spec.weights.transfer import list_shapes

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
    """How the numbers of two networks differ, by stage. `missing` counts the tensors of each network that its file lacks."""

    stages: tuple[StageWeights, ...] = ()
    other_shape: int = 0
    missing: tuple[int, int] = (0, 0)

    @property
    def equal(self) -> bool:
        return not self.other_shape and not any(self.missing) and all(each.equal == each.tensors for each in self.stages)


def compare_weights(before: Analysis, after: Analysis, stored: tuple[StoredWeights, StoredWeights]) -> WeightsDifference:
    """Compare the weights of two networks, tensor by tensor of operations that are partners."""
    sides = [_name_tensors(analysis.graph, each) for analysis, each in zip((before, after), stored, strict=True)]
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
    return WeightsDifference(stages, other_shape, (lacking[0], lacking[1]))


def plan_carrying(after: Analysis, weights: StoredWeights) -> tuple[Plan, str]:
    """What would become of weights in a network, and which commands accept that.

    The plan is that of `build` where it is exact, that of `train` where training starts from it, else that of
    `train --transfer`.
    """
    own = {name: torch.empty(shape, device="meta") for name, shape in list_shapes(after.graph).items()}
    plan = plan_start(own, after, weights)
    if plan.exact:
        stored = from_metadata(weights.metadata).get("fingerprint", after.fingerprint)
        return plan, "`build`, `eval`, `predict` and `train` load them" if stored == after.fingerprint else "`train` loads them"
    if plan.accepted():
        return plan, "`train` starts from them"
    plan = plan_start(own, after, weights, transfer=True)
    return plan, "`train --transfer` starts from them" if plan.accepted(transfer=True) else "no command accepts them"


def _name_tensors(graph: Graph, stored: StoredWeights) -> Mapping[str, Tensor]:
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
                yield stage, ours.key(tensor), theirs.key(tensor)


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
