"""What a rule is, what it is given, and how the rules run.

A rule is a function registered under the code of its findings. It yields warnings, each at a line of the user's file; repeated
ones are reported once.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

from resnet_spec.analysis.sizes import Accepted
from resnet_spec.diagnostics import Diagnostic, Label, Span
from resnet_spec.diagnostics.effort import limit_effort
from resnet_spec.diagnostics.text import count_text
from resnet_spec.graph.model import INPUT, Graph, Node, Region
from resnet_spec.language.fixes import Fixes
from resnet_spec.language.spec import Spec
from resnet_spec.lint.last_layer import LastLayer, find_last_layer
from resnet_spec.lint.reading import SpecReading
from resnet_spec.ops import Family, Operation, Window


@dataclass(frozen=True, eq=False)
class LintContext:
    """The network that rules check, at its own input. `overridden`: `--set` changed it, so its name may no longer fit."""

    spec: Spec
    graph: Graph
    accepted: Accepted
    overridden: bool

    @cached_property
    def readers(self) -> tuple[tuple[int, ...], ...]:
        return self.graph.readers()

    @cached_property
    def gates(self) -> frozenset[int]:
        return self.graph.gates()

    @cached_property
    def reading(self) -> SpecReading:
        """Which names the expressions of the spec read."""
        return SpecReading(self.spec)

    @cached_property
    def _families(self) -> dict[Family, list[int]]:
        found: dict[Family, list[int]] = {}
        for position, node in enumerate(self.graph.nodes):
            found.setdefault(node.op.family, []).append(position)
        return found

    def nodes_of(self, *families: Family) -> list[int]:
        """The positions of the nodes of some families, one family after the other."""
        return [position for family in families for position in self._families.get(family, ())]

    @cached_property
    def operations(self) -> dict[int, tuple[Operation, list[int]]]:
        """The distinct convolutions and pools, by identity, with the positions of their nodes: equal ones are one object."""
        found: dict[int, tuple[Operation, list[int]]] = {}
        for position in self.nodes_of("convolution", "pooling"):
            op = self.graph.nodes[position].op
            found.setdefault(id(op), (op, []))[1].append(position)
        return found

    @cached_property
    def windows(self) -> list[tuple[Window, list[int]]]:
        """The sliding windows, with the positions of the nodes that have them, in order; once for each distinct operation."""
        each = ((op.window(), positions) for op, positions in self.operations.values())
        return [(window, positions) for window, positions in each if window is not None]

    @cached_property
    def window_at(self) -> dict[int, Window]:
        """The sliding windows by the positions of their nodes."""
        return {position: window for window, positions in self.windows for position in positions}

    @cached_property
    def shrunk(self) -> frozenset[int]:
        """The values of 1 x 1 pixel that windows made with their strides, and not a pool or a kernel that covers the map."""
        graph = self.graph
        found: set[int] = set()
        for position, node in enumerate(graph.nodes):
            if node.shape[1:] != (1, 1) or node.op.reads(0) is None:
                continue
            entering = graph.shape_of(node.inputs[0])
            if len(entering) == 3 and entering[1:] != (1, 1):
                window = self.window_at.get(position)
                covers = window is not None and window.padding == (0, 0)
                if window is not None and not (
                    covers and all(k >= n for k, n in zip(window.kernel, entering[1:], strict=True))
                ):
                    found.add(position)
            elif any(value in found for value in node.inputs):
                found.add(position)
        return frozenset(found)

    @cached_property
    def last_layer(self) -> LastLayer | None:
        return find_last_layer(self.spec, self.graph, self.nodes_of("linear", "convolution"))

    # --- neighbors --------------------------------------------------------------------------------------------------------

    @cached_property
    def _makers(self) -> dict[Callable[[Operation], bool] | None, dict[int, int]]:
        return {}

    def maker(self, value: int, skip: Callable[[Operation], bool] | None = None) -> int:
        """The node that makes a value, or INPUT; identities, and operations with one input that `skip` accepts, are skipped.

        What was skipped is remembered for each `skip`, which therefore is a function of a module, and no lambda.
        """
        nodes, known = self.graph.nodes, self._makers.setdefault(skip, {})
        path: list[int] = []
        while value != INPUT and value not in known:
            node = nodes[value]
            if not (node.op.family == "identity" or (skip is not None and len(node.inputs) == 1 and skip(node.op))):
                break
            path.append(value)
            value = node.inputs[0]
        value = known.get(value, value)
        for each in path:
            known[each] = value
        return value

    def is_only_reader(self, last: int, first: int) -> bool:
        """Whether node `last` reads the value of node `first`, through operations with one input, and nothing else does."""
        while last != first:
            (last,) = self.graph.nodes[last].inputs
            if len(self.readers[last]) != 1:
                return False
        return True

    # --- regions ----------------------------------------------------------------------------------------------------------

    @cached_property
    def stages(self) -> list[Region]:
        return [region for region in self.graph.regions if region.kind == "stage"]

    @cached_property
    def blocks(self) -> dict[str, Region]:
        """The blocks by name."""
        return {region.name: region for region in self.graph.regions if region.kind == "block"}

    @cached_property
    def stage_names(self) -> frozenset[str]:
        return frozenset(stage.name for stage in self.stages)

    @cached_property
    def sums(self) -> list[int]:
        """The positions of the sums of two or more values."""
        return [position for position in self.nodes_of("join") if self.graph.nodes[position].op.joins == "sum"]

    def block_of(self, node: Node) -> Region | None:
        """The block that a node is directly in."""
        return self.blocks.get(node.name.rpartition(".")[0])

    # --- findings ---------------------------------------------------------------------------------------------------------

    @cached_property
    def _innermost(self) -> tuple[list[int], list[int]]:
        """The innermost region of each node, and the region around each region; -1: none."""
        of_node, of_region = [-1] * len(self.graph.nodes), []
        for number, region in enumerate(self.graph.regions):
            of_region.append(of_node[region.start] if region.start < region.stop else -1)
            of_node[region.start : region.stop] = [number] * (region.stop - region.start)
        return of_node, of_region

    def _around(self, position: int) -> list[Region]:
        """The regions that contain a node, the outermost first, as `Graph.around`; for many nodes."""
        of_node, of_region = self._innermost
        found: list[Region] = []
        number = of_node[position]
        while number >= 0:
            found.append(self.graph.regions[number])
            number = of_region[number]
        return found[::-1]

    def place(self, position: int) -> tuple[Span, tuple[Label, ...]]:
        """The line of the user's file that led to a node, and the line of the library's block, if it is in one."""
        return self.graph.place(position, self._around)

    def warning(self, position: int, code: str, message: str, help: str, fixes: Fixes = ()) -> Diagnostic:
        """A warning about a node, at the line of the user's file that led to it."""
        span, related = self.place(position)
        return Diagnostic(code, message, span, related=related, help=help, severity="warning", fixes=fixes)


RuleFunction = Callable[[LintContext], Iterator[Diagnostic]]


@dataclass(frozen=True, slots=True)
class Rule:
    """A registered rule. One that is off `by_default` runs where its code is selected."""

    check: RuleFunction
    by_default: bool


RULES: dict[str, Rule] = {}  # by the code of the finding


def rule(code: str, *, by_default: bool = True) -> Callable[[RuleFunction], RuleFunction]:
    """Register a rule under the code of its findings, which the catalog explains.

    A rule of taste, which many good networks break, is registered with `by_default=False`: it runs where `--select` names it.
    """

    def register(check: RuleFunction) -> RuleFunction:
        if code in RULES:
            raise ValueError(f"two rules are called {code}")
        RULES[code] = Rule(check, by_default)
        return check

    return register


def lint(context: LintContext, select: Collection[str] = ()) -> list[Diagnostic]:
    """The warnings about a network: those of all rules that are on by default, and of the others that `select` names."""
    found: list[Diagnostic] = []
    with limit_effort():
        for code, each in RULES.items():
            if each.by_default or code in select:
                found.extend(each.check(context))
    return _merge_repeated(found)


def _merge_repeated(found: Sequence[Diagnostic]) -> list[Diagnostic]:
    """One finding for each code and line, with a note on the number of repetitions."""
    groups: dict[object, list[Diagnostic]] = {}
    for finding in found:
        cause = finding.related[0].span if finding.related else finding.span
        groups.setdefault((finding.code, cause), []).append(finding)
    return [
        replace(first, notes=(*first.notes, f"and in {count_text(len(rest), 'more place')}")) if rest else first
        for first, *rest in groups.values()
    ]
