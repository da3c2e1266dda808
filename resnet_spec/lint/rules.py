"""Warnings about networks that work but are probably not what was intended. Each rule is a registered function.

A rule yields warnings, each at a line of the user's file; repeated ones are reported once. The papers' networks have none.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

from resnet_spec.analysis.receptive_field import receptive_fields
from resnet_spec.analysis.sizes import Accepted
from resnet_spec.diagnostics import Diagnostic
from resnet_spec.graph.model import INPUT, Graph
from resnet_spec.language.spec import Spec
from resnet_spec.lint.fixed_size import join_that_fixes_the_size
from resnet_spec.lint.unused import check_unused
from resnet_spec.ops import show

_DEPTH_IN_NAME = re.compile(r"(?:^|[^a-z])(?:resnet|plain|vgg)_?(\d+)(?!\d)", re.IGNORECASE)


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

    def warning(self, position: int, code: str, message: str, help: str) -> Diagnostic:
        """A warning about a node, at the line of the user's file that led to it."""
        span, related = self.graph.place(position)
        return Diagnostic(code, message, span, related=related, help=help, severity="warning")


Rule = Callable[[LintContext], Iterator[Diagnostic]]
RULES: dict[str, Rule] = {}  # by the code of the finding


def rule(code: str) -> Callable[[Rule], Rule]:
    """Register a rule under the code of its findings, which the catalog explains."""

    def register(function: Rule) -> Rule:
        if code in RULES:
            raise ValueError(f"two rules are called {code}")
        RULES[code] = function
        return function

    return register


def lint(context: LintContext) -> list[Diagnostic]:
    """The warnings of all rules about a network."""
    return _once([finding for check in RULES.values() for finding in check(context)])


def _once(found: Sequence[Diagnostic]) -> list[Diagnostic]:
    """One finding for each code and line, with a note on the number of repetitions."""
    groups: dict[object, list[Diagnostic]] = {}
    for finding in found:
        cause = finding.related[0].span if finding.related else finding.span
        groups.setdefault((finding.code, cause), []).append(finding)
    return [
        replace(first, notes=(*first.notes, f"and in {len(rest)} more places")) if rest else first
        for first, *rest in groups.values()
    ]


@rule("unused-definition")
def unused_definition(context: LintContext) -> Iterator[Diagnostic]:
    """A block, a param or a name of a block that nothing uses."""
    yield from check_unused(context.spec)


@rule("redundant-bias")
def redundant_bias(context: LintContext) -> Iterator[Diagnostic]:
    """A bias that the following batch norm cancels (Ioffe and Szegedy 2015, section 3.2)."""
    graph = context.graph
    for position, node in enumerate(graph.nodes):
        if node.op.family != "convolution" or position == graph.output:
            continue
        bias = next((tensor for tensor in node.op.tensors() if tensor.name == "bias"), None)
        after = [graph.nodes[reader] for reader in context.readers[position]]
        if bias is not None and after and all(reader.op.removes_mean for reader in after):
            message = f"{node.name} has a bias, which {after[0].name} cancels when it subtracts the mean"
            help = f"write `bias: false`; it saves {bias.shape[0]} parameters"
            yield context.warning(position, "redundant-bias", message, help)


@rule("unread-pixels")
def unread_pixels(context: LintContext) -> Iterator[Diagnostic]:
    """A stride larger than the kernel. A kernel of one with a stride drops pixels on purpose."""
    for position, node in enumerate(context.graph.nodes):
        window = node.op.window()
        if window is None or window.kernel == (1, 1):
            continue
        reach = tuple(d * (k - 1) + 1 for k, d in zip(window.kernel, window.dilation, strict=True))
        if any(s > r for s, r in zip(window.stride, reach, strict=True)):
            sizes = f"a stride of {show(window.stride)} and a kernel of {show(reach)}"
            message = f"{node.name} has {sizes}, so some pixels are never read"
            yield context.warning(position, "unread-pixels", message, "use a larger kernel, or a smaller stride")


@rule("fixed-input-size")
def fixed_input_size(context: LintContext) -> Iterator[Diagnostic]:
    """A join with a value of constant size, or a flatten before an operation that was built for a number of features."""
    graph, accepted = context.graph, context.accepted
    if not accepted.squares or accepted.squares[-1].most is None:
        return
    if (join := join_that_fixes_the_size(graph, accepted)) is not None:
        position, message, help = join
        yield context.warning(position, "fixed-input-size", message, help)
        return
    for position, node in enumerate(graph.nodes):
        if graph.flattens(position) and any(after.op.family == "linear" for after in graph.nodes[position:]):
            message = (
                f"{node.name} outputs {show(node.shape)} features, which fixes the size of the input: the network accepts"
                f" {accepted.describe()}"
            )
            help = "put `{op: adaptive_avg_pool2d, output_size: 1}` before it, so that any size is accepted"
            yield context.warning(position, "fixed-input-size", message, help)
            return


@rule("relu-before-sum")
def relu_before_sum(context: LintContext) -> Iterator[Diagnostic]:
    """A residual branch that ends in an activation without negative values (He et al. 2016b, section 4.1)."""
    graph = context.graph
    for node in graph.nodes:
        branch = node.inputs[-1]
        if node.op.joins == "sum" and branch != INPUT and graph.nodes[branch].op.nonnegative:
            message = (
                f"{node.name} adds the output of {graph.nodes[branch].name}, which is never negative: the sum can only grow"
            )
            yield context.warning(branch, "relu-before-sum", message, "put the activation after the join")


@rule("linear-over-width")
def linear_over_width(context: LintContext) -> Iterator[Diagnostic]:
    """A linear layer applied to a feature map, along its width."""
    graph = context.graph
    for position, node in enumerate(graph.nodes):
        entering = graph.shape_of(node.inputs[0])
        if node.op.family == "linear" and len(entering) == 3 and 2 in node.op.fixes_size(entering):
            message = f"{node.name} is applied along the width of {show(entering)}, to each row of pixels"
            yield context.warning(position, "linear-over-width", message, "put a flatten before it, or use a 1x1 conv2d")


@rule("small-receptive-field")
def small_receptive_field(context: LintContext) -> Iterator[Diagnostic]:
    """A receptive field smaller than the image, at the input of the first operation that depends on all pixels."""
    graph, gates = context.graph, context.gates
    fields = receptive_fields(graph, graph.input, tuple([node.shape for node in graph.nodes]), gates)
    last = None
    for position, (node, field) in enumerate(zip(graph.nodes, fields, strict=True)):
        if position in gates:
            continue
        if field.whole:
            if last is not None and any(size < n for size, n in zip(fields[last].size, graph.input[1:], strict=True)):
                message = (
                    f"each input pixel of {node.name} depends on {show(fields[last].size)} pixels of the"
                    f" {show(graph.input[1:])} image"
                )
                help = "add strides, pools or blocks if it should depend on the whole image"
                yield context.warning(position, "small-receptive-field", message, help)
            return
        last = position


@rule("depth-in-name")
def depth_in_name(context: LintContext) -> Iterator[Diagnostic]:
    """A name such as resnet50 on a network with another number of layers."""
    graph, span = context.graph, context.spec.name_span
    found = _DEPTH_IN_NAME.search(graph.name)
    mixed = any(node.span.source.name.startswith("specs/mixins/") for node in graph.nodes)
    if found is None or span is None or mixed or context.overridden:
        return
    depth = _depth(graph, context.gates)
    if depth != int(found[1]):
        message = f"`{graph.name}` has {found[1]} layers by its name, but {depth} layers with weights on its longest path"
        help = "conv2d and linear layers count, except in shortcuts (6n + 2 in CIFAR ResNets)"
        yield Diagnostic("depth-in-name", message, span, help=help, severity="warning")


def _depth(graph: Graph, gates: frozenset[int]) -> int:
    """Convolutions and linear layers on the longest path from the input to the output; gates are not part of a path."""
    longest: list[int] = []
    for node in graph.nodes:
        before = max(0 if value == INPUT or value in gates else longest[value] for value in node.inputs)
        longest.append(before + (node.op.family in ("convolution", "linear")))
    return longest[graph.output] if graph.output != INPUT else 0
