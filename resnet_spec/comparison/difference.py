"""What differs between two networks: by cause, which are the settings of their specs, and what follows from them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

from resnet_spec import compiler
from resnet_spec.analysis.memory import Memory, measure
from resnet_spec.comparison.align import Alignment, align
from resnet_spec.comparison.parts import Part, list_parts
from resnet_spec.comparison.runs import RunsDifference
from resnet_spec.comparison.settings import Setting, apply_settings, compare_settings
from resnet_spec.compiler import Analysis, Target
from resnet_spec.diagnostics import SpecError
from resnet_spec.ops import Shape

MOST_CAUSES = 8  # of which each is tried alone: with more of them, these are two networks, not a changed one
MOST_OPERATIONS = 40_000  # that are compiled for it, in all


@dataclass(frozen=True, slots=True)
class Effect:
    """What one cause changes: alone in the first network, or `last`, after all other changes.

    `params` and `macs` are by how much there are more. `init` and `recipe`: how it is initialized, or trained by default.
    """

    params: int
    macs: int
    parts: tuple[Part, ...]
    input: bool
    outputs: bool
    init: bool
    recipe: bool
    last: bool = False

    @property
    def nothing(self) -> bool:
        return not (self.params or self.macs or self.parts or self.input or self.outputs or self.init or self.recipe)


@dataclass(frozen=True, slots=True)
class Cause:
    """Settings that differ in one place of a spec.

    Their `effect` is measured alone; where the network does not work with them alone, or nothing changes, after all other
    changes. It is None where that does not work either, and where there are too many causes to try each.
    """

    settings: tuple[Setting, ...]
    effect: Effect | None

    @property
    def defines(self) -> bool:
        """Whether it only adds or removes what other settings refer to."""
        return all(setting.defines for setting in self.settings)


@dataclass(frozen=True, slots=True)
class NetworkFacts:
    """A network in numbers. `memory` is for one image in float32."""

    label: str
    name: str
    input: Shape
    output: Shape
    outputs: tuple[tuple[str, Shape, bool], ...]  # name, shape, and whether only training has it
    params: int
    buffers: int
    macs: int
    other_ops: int
    operations: int
    memory: Memory
    accepts: str
    fingerprint: str
    init: str
    recipe: str | None


@dataclass(frozen=True, repr=False)
class Difference:
    """What differs between two networks, `before` and `after`.

    `causes` are the settings of the specs that differ, each with its effect. `parts` are the operations, blocks and stages that
    differ; `alignment` pairs those of both networks. `runs` is what else differs where both are run folders; `equal` is about
    the networks alone. `str(difference)` is the text that `resnet-spec diff` prints.
    """

    before: Analysis
    after: Analysis
    labels: tuple[str, str]
    causes: tuple[Cause, ...]
    parts: tuple[Part, ...]
    alignment: Alignment
    runs: RunsDifference | None = None

    @property
    def equal(self) -> bool:
        """Whether the networks have the same operations, names, connections, outputs, input, initialization and recipe."""
        return not self.parts and _essence(self.before) == _essence(self.after)

    @cached_property
    def facts(self) -> tuple[NetworkFacts, NetworkFacts]:
        """Both networks in numbers."""
        return _facts(self.before, self.labels[0]), _facts(self.after, self.labels[1])

    @property
    def params(self) -> int:
        """How many more parameters the second network has."""
        return self.after.total.params - self.before.total.params

    @property
    def macs(self) -> int:
        """How many more multiply-adds for one image the second network has."""
        return self.after.total.macs - self.before.total.macs

    def data(self) -> dict[str, object]:
        """The difference as plain data: what `resnet-spec diff --format json` prints."""
        from resnet_spec.comparison.render import difference_data

        return difference_data(self)

    def text(self) -> str:
        """The difference as text of at most 100 columns."""
        from resnet_spec.comparison.render import difference_text

        return difference_text(self)

    def markdown(self) -> str:
        """The difference as Markdown, in which nothing of a spec is markup."""
        from resnet_spec.comparison.render import difference_markdown

        return difference_markdown(self)

    def __str__(self) -> str:
        return self.text().rstrip("\n")

    def __repr__(self) -> str:
        from resnet_spec.comparison.render import difference_line

        return f"<Difference: {difference_line(self)}>"


def compare(
    before: Analysis, after: Analysis, labels: tuple[str, str] | None = None, runs: RunsDifference | None = None
) -> Difference:
    """Find what differs between two networks.

    Args:
        labels: what the networks are called in texts, where that is not the name of each spec.
        runs: what differs between the runs in which they were trained.
    """
    alignment = align(before.graph, after.graph)
    parts = list_parts(before.sized, after.sized, alignment)
    settings = compare_settings(before.spec.document, after.spec.document)
    whole = _effect(before, after, parts)
    causes = tuple(_find_causes(before, after, settings, whole))
    return Difference(before, after, labels or (before.spec.name, after.spec.name), causes, parts, alignment, runs)


def _essence(analysis: Analysis) -> tuple[object, ...]:
    graph = analysis.graph
    return graph.input, analysis.input, graph.nodes, graph.output, graph.outputs, graph.init, analysis.spec.recipe


def _facts(analysis: Analysis, label: str) -> NetworkFacts:
    graph, total, spec = analysis.graph, analysis.total, analysis.spec
    outputs = tuple((output.name, analysis.sized.shape_of(output.value), output.training_only) for output in graph.outputs)
    memory = measure(graph, analysis.input, analysis.shapes, total)
    counts = (total.params, total.buffers, total.macs, total.other_ops, len(graph.nodes))
    accepts, hashed = analysis.accepted.describe(), analysis.fingerprint
    return NetworkFacts(
        label, spec.name, analysis.input, analysis.output, outputs, *counts, memory, accepts, hashed, graph.init, spec.recipe
    )


# --- causes -----------------------------------------------------------------------------------------------------------------


def _find_causes(before: Analysis, after: Analysis, settings: Sequence[Setting], whole: Effect) -> Iterator[Cause]:
    """Group settings by their place, and try each group alone; what only one of the specs defines comes last."""
    groups: dict[tuple[str, ...], list[Setting]] = {}
    for setting in settings:
        if not setting.defines:
            groups.setdefault(_place(setting), []).append(setting)
    definitions = tuple(setting for setting in settings if setting.defines)
    added = [setting for setting in definitions if setting.kind == "added"]
    tried = len(groups) <= MOST_CAUSES and len(groups) * len(before.graph.nodes) <= MOST_OPERATIONS
    for group in groups.values():
        if len(groups) == 1:
            yield Cause(tuple(group), whole)
        else:
            yield Cause(tuple(group), _try(before, after, added, group, settings) if tried else None)
    if definitions:
        yield Cause(definitions, None if groups else whole)


def _place(setting: Setting) -> tuple[str, ...]:
    """What groups settings: stem and head, each block, which stages there are; any other setting is a cause of its own."""
    path = setting.path
    if path[0] in ("stem", "head"):
        return path[:1]
    if path[0] == "blocks":
        return path[:2]
    return path[:1] if path[0] == "stages" and (len(path) == 1 or (len(path) == 2 and setting.kind != "changed")) else path


def _try(
    before: Analysis, after: Analysis, added: Sequence[Setting], group: Sequence[Setting], settings: Sequence[Setting]
) -> Effect | None:
    """The effect of a group of settings: alone, or else after all others."""
    alone = _with_settings(before, after, [*added, *group])
    effect = None if alone is None else _effect(before, alone)
    if effect is not None and not effect.nothing:
        return effect
    others = _with_settings(before, after, [setting for setting in settings if setting not in group])
    if others is None:
        return None
    last = _effect(others, after)
    return effect if last.nothing and effect is not None else replace(last, last=True)


def _with_settings(before: Analysis, after: Analysis, settings: Iterable[Setting]) -> Analysis | None:
    """The first network with some settings of the second one; None if that is none."""
    document = apply_settings(before.spec.document, settings, after.spec.document)
    size = None if before.input == before.spec.input else before.input
    try:
        return compiler.analyze(Target(document.source, None, None, document=document), (), size, enforce_expect=False)
    except SpecError:
        return None


def _effect(before: Analysis, after: Analysis, parts: tuple[Part, ...] | None = None) -> Effect:
    if parts is None:
        parts = list_parts(before.sized, after.sized, align(before.graph, after.graph))
    one, other = before.total, after.total
    outputs = [
        (analysis.output, [(each.name, each.training_only) for each in analysis.graph.outputs], analysis.outputs)
        for analysis in (before, after)
    ]
    return Effect(
        other.params - one.params,
        other.macs - one.macs,
        parts,
        before.input != after.input,
        outputs[0] != outputs[1],
        before.graph.init != after.graph.init,
        before.spec.recipe != after.spec.recipe,
    )
