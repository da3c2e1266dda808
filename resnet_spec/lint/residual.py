"""Rules about residual blocks: what is on the branch, and what is on the shortcut."""

from __future__ import annotations

from collections.abc import Iterator

from resnet_spec.diagnostics import Diagnostic
from resnet_spec.graph.model import INPUT
from resnet_spec.lint.registry import LintContext, rule


@rule("relu-before-sum")
def relu_before_sum(context: LintContext) -> Iterator[Diagnostic]:
    """A residual branch that ends in an activation without negative values (He et al. 2016b, section 4.1)."""
    graph = context.graph
    for position in context.sums:
        node = graph.nodes[position]
        branch = node.inputs[-1]
        if branch != INPUT and graph.nodes[branch].op.nonnegative:
            message = (
                f"{node.name} adds the output of {graph.nodes[branch].name}, which is never negative: the sum can only grow"
            )
            yield context.warning(branch, "relu-before-sum", message, "put the activation after the join")
