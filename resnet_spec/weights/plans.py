"""Plans for a network and a file: by names, by structure and by a map of keys, to load or to train from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from torch import Tensor

from resnet_spec.compiler import Analysis
from resnet_spec.weights.key_map import KeyMap, read_key_map
from resnet_spec.weights.metadata import read_classes
from resnet_spec.weights.other_network import describe_trained
from resnet_spec.weights.planning import Plan, make_plan
from resnet_spec.weights.reading import StoredWeights
from resnet_spec.weights.refusal import require_consistent
from resnet_spec.weights.starting import ClassNames, plan_training
from resnet_spec.weights.transfer import plan_transfer, read_graph


def plan_build(analysis: Analysis, own: Mapping[str, Tensor], weights: StoredWeights, key_map: Path | None) -> Plan:
    """The plan by which `load_stored` loads into a network with the tensors `own`. Nothing is loaded; raises as it does."""
    plan = GivenMap(key_map, own, weights).plan(own, weights, analysis)
    return replace(plan, notes=(*weights.notes, *plan.notes))


class GivenMap:
    """The map of keys that is given for a network and a file, if any."""

    def __init__(self, path: Path | None, own: Mapping[str, Tensor], weights: StoredWeights) -> None:
        self.map = KeyMap("", ()) if path is None else read_key_map(path)
        self.expanded = self.map.expand(own, weights.tensors)

    def plan(self, own: Mapping[str, Tensor], weights: StoredWeights, analysis: Analysis) -> Plan:
        """The plan by which the file becomes the tensors `own` of a network."""
        mapped = {name: source for name, (source, _) in self.expanded.items()}
        parameters = list_parameters(analysis)
        return make_plan(own, weights.tensors, parameters, graph=analysis.graph, macs=list_macs(analysis), mapped=mapped)

    def check(self, plan: Plan, starts: bool, transfer: bool = False) -> None:
        """Raise WeightsError where an entry leads to a tensor that is not accepted."""
        self.map.check(plan, self.expanded, starts, transfer)


def list_macs(analysis: Analysis) -> dict[str, int]:
    """The multiply-adds of each operation for one image, by the name of its weight."""
    found = {}
    for node, cost in zip(analysis.graph.nodes, analysis.costs, strict=True):
        tensor = next((each for each in node.op.tensors() if not each.buffer), None)
        if cost.macs and tensor is not None:
            found[node.key(tensor)] = cost.macs
    return found


def list_parameters(analysis: Analysis) -> frozenset[str]:
    """The names of the parameters of a network."""
    return frozenset(node.key(tensor) for node in analysis.graph.nodes for tensor in node.op.tensors() if not tensor.buffer)


def plan_start(
    own: Mapping[str, Tensor],
    analysis: Analysis,
    weights: StoredWeights,
    transfer: bool = False,
    key_map: Path | None = None,
    classes: Sequence[str] = (),
) -> Plan:
    """The plan by which training of a network with the tensors `own` starts from weights. Nothing is loaded.

    Raises SpecError or WeightsError for a map of keys that does not fit, and for metadata that contradict the tensors.
    """
    mapping = GivenMap(key_map, own, weights)
    plan = mapping.plan(own, weights, analysis)
    require_consistent(plan, analysis, weights, weights.path)
    if transfer:
        plan = plan_transfer(plan, analysis, read_graph(weights.metadata))
    published = () if weights.origin is None else weights.origin.classes or ()
    names = ClassNames(tuple(classes), read_classes(weights.metadata) or published)
    plan = plan_training(plan, analysis.input[0], transfer, names)
    mapping.check(plan, starts=True, transfer=transfer)
    if (other := describe_trained(analysis, weights.metadata)) is not None:
        differs = f" (from it to this one: {other})" if other else ""
        plan = replace(plan, notes=(*plan.notes, f"they were trained in a network that computes something else{differs}"))
    return plan
