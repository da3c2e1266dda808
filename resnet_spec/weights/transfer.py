"""Weights of another network: which of its layers become which of this one, by stages and blocks, and by width.

Blocks of a stage are paired by position from its start; a last block of another structure stays the last. Where the file has
its spec, the graphs of both networks are aligned, so that their names may differ. A layer of another width is sliced or padded.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from resnet_spec.comparison.align import align
from resnet_spec.compiler import Analysis
from resnet_spec.diagnostics import printable
from resnet_spec.diagnostics.text import count_text
from resnet_spec.graph.model import INPUT, Graph, Region
from resnet_spec.ops import Shape
from resnet_spec.weights.naming import match_names
from resnet_spec.weights.other_network import read_network
from resnet_spec.weights.planning import Plan, Step, shape_text
from resnet_spec.weights.structure import COUNTER, LayerTensors, list_layers

_FEW = 4  # where names alone pair fewer than one layer of this many, structure pairs them
_MOST_PAIRS = 2_000_000  # of layers of two networks that are compared for it


def plan_transfer(plan: Plan, analysis: Analysis, theirs: Graph | None) -> Plan:
    """The plan that carries over from another network what is the same in this one: by structure, and then by width.

    `plan` is that by names. `theirs` is the network of the file, where it is known.
    """
    steps = [step for step in plan.steps if step.name]
    own = {step.name: step.shape for step in steps}
    found = {step.source: step.stored for step in plan.steps if step.source}
    names = {step.name: step.source for step in steps if step.source}
    pairs, how = _pair_layers(plan, analysis, theirs, own, found, names)
    other_blocks = _list_other_blocks(analysis.graph, pairs, own, found)
    sources = {
        ours.key(tensor): theirs.key(tensor) for ours, theirs in pairs for tensor in ours.tensors if tensor in theirs.tensors
    }
    sources |= {step.name: step.source for step in steps if step.name in plan.mapped}
    reasons = {layer.key(tensor): why for layer, why in other_blocks for tensor in layer.tensors}
    fitting = _Fitting(analysis, frozenset(layer.name for layer, _ in other_blocks))
    planned = [fitting.fit(step, sources.get(step.name, ""), reasons.get(step.name, ""), found) for step in steps]
    planned = _draw_whole_layers(planned)
    used = {step.source for step in planned if step.source}
    before = {step.source: step for step in plan.steps if not step.name}
    left = [before.get(name) or Step("unused", "", name, (), found[name]) for name in sorted(found.keys() - used)]
    return replace(plan, steps=(*planned, *left), notes=(*plan.notes, *([how] if how else [])))


def _draw_whole_layers(steps: list[Step]) -> list[Step]:
    """Steps in which a layer whose weight is drawn has no tensor of the file at all: its bias belongs to that weight."""
    drawn = {
        step.name.removesuffix("weight"): step.reason
        for step in steps
        if step.action == "drawn" and step.name.endswith(".weight") and len(step.shape) > 1
    }
    return [
        replace(step, action="drawn", reason=drawn[begin])
        if (begin := step.name.rpartition(".")[0] + ".") in drawn and step.action != "drawn"
        else step
        for step in steps
    ]


def _pair_layers(
    plan: Plan,
    analysis: Analysis,
    graph: Graph | None,
    own: Mapping[str, Shape],
    found: Mapping[str, Shape],
    names: Mapping[str, str],
) -> tuple[list[tuple[LayerTensors, LayerTensors]], str]:
    """Pairs of a layer of the network and one of the file, and a note on how they were found, where it is not by name."""
    ours, theirs = list_layers(own), list_layers(found)
    if plan.renaming and all(pair.certainty != "ambiguous" for pair in plan.renaming):
        guessed = sum(pair.certainty == "likely" for pair in plan.renaming)
        how = f"{count_text(guessed, 'layer')} are renamed by their order in the file" if guessed else ""
        return [(pair.own, pair.source) for pair in plan.renaming], how
    if graph is not None and (places := _places(graph, found)) is not None:
        by_name = {layer.name: layer for layer in ours}
        by_source = {layer.name: layer for layer in theirs}
        nodes = graph.nodes, analysis.graph.nodes
        paired = [
            (by_name[nodes[1][other].name], by_source[places[nodes[0][one].name]])
            for one, other in align(graph, analysis.graph).nodes
            if nodes[1][other].name in by_name and places.get(nodes[0][one].name) in by_source
        ]
        return paired, "the spec in the file says which of its layers is which"
    files = {layer.name: layer for layer in theirs}
    paired = []
    for layer in ours:
        sources = [names[key] for tensor in layer.tensors if (key := layer.key(tensor)) in names]
        place = sources[0].rpartition(".")[0] if sources and "" not in layer.tensors else (sources or [""])[0]
        if sources and place in files:
            paired.append((layer, files[place]))
    paired = _keep_last_blocks(analysis.graph, paired, ours, theirs, plan.beginning)
    if _FEW * len(paired) >= min(len(ours), len(theirs)) or len(ours) * len(theirs) > _MOST_PAIRS:
        return paired, ""
    return _pair_sequences(ours, theirs), "names differ, so layers of equal shapes are paired in order"


def read_graph(metadata: Mapping[str, str]) -> Graph | None:
    """The network that the metadata of a file describe, if they do."""
    theirs = read_network(metadata, enforce_expect=False)
    return None if theirs is None else theirs.graph


def list_shapes(graph: Graph) -> dict[str, Shape]:
    """The names and shapes of the tensors of a network, in its order."""
    return {node.key(tensor): tensor.shape for node in graph.nodes for tensor in node.op.tensors() if tensor.persistent}


def _places(graph: Graph, found: Mapping[str, Shape]) -> dict[str, str] | None:
    """The layer of a file for each operation of its own network; None if its tensors are not those of that network."""
    shapes = list_shapes(graph)
    naming = match_names(shapes, found)
    if any(found.get(naming.sources.get(name, "")) != shape for name, shape in shapes.items() if not name.endswith(COUNTER)):
        return None
    return {node.name: naming.beginning + node.name for node in graph.nodes if node.op.tensors()}


# --- blocks -----------------------------------------------------------------------------------------------------------------


def _list_blocks(graph: Graph) -> Iterator[Region]:
    """The blocks of a network, without those in blocks."""
    stop = 0
    for region in graph.regions:
        if region.kind == "block" and region.start >= stop:
            stop = region.stop
            yield region


def _list_other_blocks(
    graph: Graph, pairs: list[tuple[LayerTensors, LayerTensors]], own: Mapping[str, Shape], found: Mapping[str, Shape]
) -> list[tuple[LayerTensors, str]]:
    """Layers in blocks that are other blocks in the file, and how they differ: kernels differ, and there are other layers."""
    partners = {ours.name: theirs for ours, theirs in pairs}
    layers = {layer.name: layer for layer in list_layers(own)}
    names = [layer.name for layer in list_layers(found)]
    reasons: list[tuple[LayerTensors, str]] = []
    for region in _list_blocks(graph):
        inside = [layers[node.name] for node in graph.nodes[region.start : region.stop] if node.name in layers]
        weighty = [layer for layer in inside if len(layer.tensors.get("weight", ())) > 1]
        paired = [(layer, partners[layer.name]) for layer in weighty if layer.name in partners]
        differing = [(one, other) for one, other in paired if _kernel(one) != _kernel(other)]
        if not differing:
            continue
        begin = _common_module([other.name for _, other in paired])
        theirs = {name for name in names if begin and name.startswith(begin)}
        known = {partners[layer.name].name for layer in inside if layer.name in partners}
        if len(paired) < len(weighty) or theirs - known:
            one, other = differing[0]
            local = one.name[len(region.name) + 1 :] if one.name.startswith(region.name + ".") else one.name
            size, kernel = _kernel(other)
            why = f"another block in the file (`{printable(local)}` is {shape_text(kernel) if kernel else f'of {size} axes'})"
            reasons += [(layer, why) for layer in inside]
    return reasons


def _common_module(names: list[str]) -> str:
    """The module that holds several layers, as a beginning of names; empty where there is none."""
    parts = [name.split(".")[:-1] for name in names]
    common = []
    for at in zip(*parts, strict=False):
        if len(set(at)) > 1:
            break
        common.append(at[0])
    return ".".join(common) + "." if common else ""


def _kernel(layer: LayerTensors) -> tuple[int, Shape]:
    """The number of axes of a weight, and its kernel: what no other width changes."""
    weight = layer.tensors["weight"] if "weight" in layer.tensors else next(iter(layer.tensors.values()))
    return len(weight), weight[2:]


_BLOCK_NUMBER = re.compile(r"^(.*?)(\d+)$")


def _keep_last_blocks(
    graph: Graph,
    paired: list[tuple[LayerTensors, LayerTensors]],
    ours: list[LayerTensors],
    theirs: list[LayerTensors],
    beginning: str,
) -> list[tuple[LayerTensors, LayerTensors]]:
    """Pairs by name, in which the last block of a stage is the last one of the file where only that has its structure."""
    partners = {one.name: (one, other) for one, other in paired}
    for stage in (region for region in graph.regions if region.kind == "stage"):
        blocks = [region for region in graph.regions if region.kind == "block" and region.depth == stage.depth + 1]
        blocks = [block for block in blocks if stage.start <= block.start < stage.stop]
        numbered = [match for block in blocks if (match := _BLOCK_NUMBER.match(block.name)) is not None]
        if not blocks or len(numbered) != len(blocks) or len({match[1] for match in numbered}) != 1:
            continue
        base = re.escape(beginning + numbered[0][1])
        numbers = {int(match[1]) for layer in theirs if (match := re.match(rf"{base}(\d{{1,9}})\.", layer.name)) is not None}
        last, begin = blocks[-1].name, beginning + numbered[0][1]
        if not numbers or beginning + last == f"{begin}{max(numbers)}":
            continue
        role = _role(ours, last)
        same, end = _role(theirs, beginning + last), _role(theirs, f"{begin}{max(numbers)}")
        if role != same and role == end and role != _role(ours, blocks[-2].name if len(blocks) > 1 else ""):
            inside = {layer.name: layer for layer in theirs}
            taken = f"{begin}{max(numbers)}."
            partners = {name: pair for name, pair in partners.items() if not pair[1].name.startswith(taken)}
            for layer in ours:
                if layer.name.startswith(last + "."):
                    partners[layer.name] = (layer, inside[f"{begin}{max(numbers)}{layer.name[len(last) :]}"])
    return [partners[layer.name] for layer in ours if layer.name in partners]


def _role(layers: list[LayerTensors], block: str) -> frozenset[tuple[str, object]]:
    """What a block consists of, apart from its widths."""
    begin = block + "."
    return frozenset((layer.name[len(begin) :], _kernel(layer)) for layer in layers if layer.name.startswith(begin))


def _pair_sequences(ours: list[LayerTensors], theirs: list[LayerTensors]) -> list[tuple[LayerTensors, LayerTensors]]:
    """Pair layers of equal kinds, in the order of both, as many as possible."""
    numbers: dict[object, int] = {}
    first, second = ([numbers.setdefault(layer.kind, len(numbers)) for layer in side] for side in (ours, theirs))
    best = [[0] * (len(second) + 1) for _ in range(len(first) + 1)]
    for i in range(len(first) - 1, -1, -1):
        row, below, kind = best[i], best[i + 1], first[i]
        for j in range(len(second) - 1, -1, -1):
            row[j] = below[j + 1] + 1 if kind == second[j] else max(below[j], row[j + 1])
    found = []
    i = j = 0
    while i < len(first) and j < len(second):
        if first[i] == second[j]:
            found.append((ours[i], theirs[j]))
            i, j = i + 1, j + 1
        elif best[i + 1][j] >= best[i][j + 1]:
            i += 1
        else:
            j += 1
    return found


# --- widths -----------------------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class _Fitting:
    """Decides what becomes of a tensor whose partner in the file may have another width."""

    analysis: Analysis
    drawn: frozenset[str]  # layers of other blocks

    def fit(self, step: Step, source: str, other_block: str, found: Mapping[str, Shape]) -> Step:
        """The step with another source; `other_block` is why its layer is none of this network, if it is not."""
        if other_block:
            return replace(step, action="drawn", source="", stored=(), reason=other_block)
        if not source:
            return replace(step, action="missing", source="", stored=(), reason="") if step.action != "filled" else step
        stored = found[source]
        step = replace(step, source=source, stored=stored, reason=step.reason if step.source == source else "")
        if step.action == "other type":
            return step
        if stored == step.shape:
            return replace(step, action="kept" if source == step.name else "renamed", reason="")
        if reason := self._refuse(step):
            return replace(step, action="drawn", reason=reason)
        return replace(step, action="other shape")

    def _refuse(self, step: Step) -> str:
        """Why a tensor of another shape is of no use; empty where its first rows and columns are."""
        if len(step.shape) != len(step.stored):
            return "it has other axes in the file"
        if step.shape[2:] != step.stored[2:]:
            return f"its kernel is {shape_text(step.stored[2:])} in the file"
        if len(step.shape) > 1 and step.shape[1] != step.stored[1]:
            return self._refuse_columns(step.name.rpartition(".")[0], step)
        return ""

    def _refuse_columns(self, layer: str, step: Step) -> str:
        graph = self.analysis.graph
        position = next((at for at, node in enumerate(graph.nodes) if node.name == layer), None)
        if position is None:
            return ""
        node = graph.nodes[position]
        if getattr(node.op, "groups", 1) != 1:
            return f"its groups have {step.stored[1]} channels in the file"
        if self.drawn and self._reads_drawn(position):
            return "what it reads comes from other blocks"
        value = node.inputs[0] if node.inputs else INPUT
        while value != INPUT and len(self.analysis.sized.shape_of(value)) == 1 and len(graph.nodes[value].inputs) == 1:
            value = graph.nodes[value].inputs[0]
            if len(entering := self.analysis.sized.shape_of(value)) == 3 and entering[1:] != (1, 1):
                return "its columns are pixels, whose number differs"
        return ""

    def _reads_drawn(self, position: int) -> bool:
        """Whether a layer reads what a drawn layer with a matrix computes, with no other one in between."""
        nodes = self.analysis.graph.nodes
        pending, seen = list(nodes[position].inputs), set[int]()
        while pending:
            value = pending.pop()
            if value == INPUT or value in seen:
                continue
            seen.add(value)
            if any(len(tensor.shape) > 1 for tensor in nodes[value].op.tensors()):
                if nodes[value].name in self.drawn:
                    return True
            else:
                pending += nodes[value].inputs
        return False
