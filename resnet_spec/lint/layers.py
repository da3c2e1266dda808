"""Rules about one operation, or about neighboring ones."""

from __future__ import annotations

from collections.abc import Iterator

from resnet_spec.diagnostics import Diagnostic
from resnet_spec.lint.registry import LintContext, rule
from resnet_spec.ops import Window, show


@rule("redundant-bias")
def redundant_bias(context: LintContext) -> Iterator[Diagnostic]:
    """A bias that the following batch norm cancels (Ioffe and Szegedy 2015, section 3.2)."""
    graph = context.graph
    for op, positions in context.operations.values():
        bias = next((tensor for tensor in op.tensors() if tensor.name == "bias"), None)
        if bias is None:
            continue
        for position in positions:
            after = [graph.nodes[reader] for reader in context.readers[position]]
            if after and position != graph.output and all(reader.op.removes_mean for reader in after):
                message = f"{graph.nodes[position].name} has a bias, which {after[0].name} cancels when it subtracts the mean"
                help = f"write `bias: false`; it saves {bias.shape[0]} parameters"
                yield context.warning(position, "redundant-bias", message, help)


@rule("unread-pixels")
def unread_pixels(context: LintContext) -> Iterator[Diagnostic]:
    """A stride larger than the kernel. A kernel of one with a stride drops pixels on purpose."""
    for window, positions in context.windows:
        reach = _reach(window)
        if window.kernel == (1, 1) or not any(s > r for s, r in zip(window.stride, reach, strict=True)):
            continue
        for position in positions:
            sizes = f"a stride of {show(window.stride)} and a kernel of {show(reach)}"
            message = f"{context.graph.nodes[position].name} has {sizes}, so some pixels are never read"
            yield context.warning(position, "unread-pixels", message, "use a larger kernel, or a smaller stride")


def _reach(window: Window) -> tuple[int, ...]:
    """Height and width of the pixels that a window extends over."""
    return tuple([d * (k - 1) + 1 for k, d in zip(window.kernel, window.dilation, strict=True)])
