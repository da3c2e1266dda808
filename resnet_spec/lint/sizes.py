"""Rules about the size of the map: what fixes it, what sees too little of it, and where it becomes too small."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from resnet_spec.analysis.receptive_field import ReceptiveField, receptive_fields
from resnet_spec.diagnostics import Diagnostic
from resnet_spec.graph.model import INPUT
from resnet_spec.lint.registry import LintContext, rule
from resnet_spec.ops import show

LARGEST_SMALL_IMAGE = 64  # pixels: above it, a stem that divides the size by 4 leaves enough
STEM_OF_LARGE_IMAGES = 4


@rule("fixed-input-size")
def fixed_input_size(context: LintContext) -> Iterator[Diagnostic]:
    """A flatten before an operation that was built for a number of features."""
    graph, accepted = context.graph, context.accepted
    if not accepted.squares or accepted.squares[-1].most is None:
        return
    last_linear = max(context.nodes_of("linear"), default=INPUT)
    for position in context.nodes_of("reshaping"):
        if position < last_linear and graph.flattens(position):
            message = (
                f"{graph.nodes[position].name} outputs {show(graph.nodes[position].shape)} features, which fixes the size of"
                f" the input: the network accepts {accepted.describe()}"
            )
            help = "put `{op: adaptive_avg_pool2d, output_size: 1}` before it, so that any size is accepted"
            yield context.warning(position, "fixed-input-size", message, help)
            return


@rule("linear-over-width")
def linear_over_width(context: LintContext) -> Iterator[Diagnostic]:
    """A linear layer applied to a feature map, along its width."""
    graph = context.graph
    for position in context.nodes_of("linear"):
        node = graph.nodes[position]
        entering = graph.shape_of(node.inputs[0])
        if len(entering) == 3 and 2 in node.op.fixes_size(entering):
            message = f"{node.name} is applied along the width of {show(entering)}, to each row of pixels"
            yield context.warning(position, "linear-over-width", message, "put a flatten before it, or use a 1x1 conv2d")


@rule("small-receptive-field")
def small_receptive_field(context: LintContext) -> Iterator[Diagnostic]:
    """A receptive field smaller than the image, at the input of the first operation that depends on all pixels."""
    graph, gates = context.graph, context.gates
    if any(_is_covered(context, position) for position in _sample(_cuts(context))):
        return
    last = None
    for position, (node, field) in enumerate(zip(graph.nodes, _fields(context, len(graph.nodes)), strict=True)):
        if position in gates:
            continue
        if field.whole:
            if last is not None and any(size < n for size, n in zip(last.size, graph.input[1:], strict=True)):
                message = (
                    f"each input pixel of {node.name} depends on {show(last.size)} pixels of the {show(graph.input[1:])} image"
                )
                help = "add strides, pools or blocks if it should depend on the whole image"
                yield context.warning(position, "small-receptive-field", message, help)
            return
        last = field


def _fields(context: LintContext, count: int) -> tuple[ReceptiveField, ...]:
    """The fields of the first `count` nodes."""
    graph = replace(context.graph, nodes=context.graph.nodes[:count], regions=())
    return receptive_fields(graph, graph.input, tuple([node.shape for node in graph.nodes]), context.gates)


def _cuts(context: LintContext) -> Iterator[int]:
    """The nodes that every path from the input to a later node leads through."""
    nodes, readers = context.graph.nodes, context.readers
    reach = max((position for position, node in enumerate(nodes) if INPUT in node.inputs), default=INPUT)
    for position in range(len(nodes)):
        if reach <= position:
            yield position
        if readers[position]:
            reach = max(reach, readers[position][-1])


def _sample(positions: Iterator[int]) -> Iterator[int]:
    """Some of the positions, each at least twice as far as the one before."""
    least = 32
    for position in positions:
        if position >= least:
            yield position
            least = 2 * position


def _is_covered(context: LintContext, cut: int) -> bool:
    """Whether the field at a cut covers the image, and with it the field of each later pixel. Most networks are decided here,
    by their first nodes."""
    fields = _fields(context, cut + 1)
    if any(field.whole for position, field in enumerate(fields) if position not in context.gates):
        return False
    field, image = fields[cut], context.graph.input[1:]
    return len(field.height.firsts) == len(field.width.firsts) == 1 and all(
        size >= n for size, n in zip(field.size, image, strict=True)
    )
