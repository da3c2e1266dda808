"""Rules about the size of the map: what fixes it, what sees too little of it, and where it becomes too small."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from resnet_spec.analysis.receptive_field import ReceptiveField, receptive_fields
from resnet_spec.diagnostics import Diagnostic, Label
from resnet_spec.graph.model import INPUT
from resnet_spec.lint.fixed_size import join_that_fixes_the_size
from resnet_spec.lint.registry import LintContext, rule
from resnet_spec.ops import show

LARGEST_SMALL_IMAGE = 64  # pixels: above it, a stem that divides the size by 4 leaves enough
STEM_OF_LARGE_IMAGES = 4


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
    """A receptive field smaller than the image, at the input of the first operation that depends on all pixels.

    Only where all paths lead through it: an auxiliary head reads the features of a middle layer on purpose (Szegedy et al.
    2015, section 5), and global context in one of two paths (Cao et al. 2019) lets all that follows see the image.
    """
    graph, gates = context.graph, context.gates
    if any(_is_covered(context, position) for position in _sample(_cuts(context))):
        return
    last, cuts = None, set(_cuts(context))
    fields = _fields(context, len(graph.nodes))
    for position, (node, field) in enumerate(zip(graph.nodes, fields, strict=True)):
        if position in gates:
            continue
        if not field.whole:
            last = field
        elif position in cuts:
            is_first = not any(fields[value].whole for value in node.inputs if value != INPUT)
            if is_first and last is not None and any(size < n for size, n in zip(last.size, graph.input[1:], strict=True)):
                message = (
                    f"each input pixel of {node.name} depends on {show(last.size)} pixels of the {show(graph.input[1:])} image"
                )
                help = "add strides, pools or blocks if it should depend on the whole image"
                yield context.warning(position, "small-receptive-field", message, help)
            return


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


@rule("one-pixel-before-last-stage")
def one_pixel_before_last_stage(context: LintContext) -> Iterator[Diagnostic]:
    """A map of 1x1 before the last stage: its kernels then read one pixel and the padding around it."""
    if not _has_one_pixel_before_last_stage(context) or _has_stem_of_large_images(context):
        return
    first, last = min(context.shrunk), context.stages[-1]
    name = context.graph.nodes[first].name
    message = f"the map is 1x1 from {name} on, and the stage `{last.name}` comes after it: its kernels see a single pixel"
    help = "remove a stride or a pool, or use a larger `input`"
    yield context.warning(first, "one-pixel-before-last-stage", message, help)


def _has_one_pixel_before_last_stage(context: LintContext) -> bool:
    stages = context.stages
    return len(stages) > 1 and stages[-1].input in context.shrunk


@rule("norm-on-one-pixel")
def norm_on_one_pixel(context: LintContext) -> Iterator[Diagnostic]:
    """A norm with one value in each channel of an image, after strides that were one too many. In training its statistics are
    those of the batch alone (Ioffe and Szegedy 2015, section 3.2), and a batch of one image fails."""
    if _has_one_pixel_before_last_stage(context) or _has_stem_of_large_images(context):
        return  # it has the same cause, which is reported
    for position in context.nodes_of("normalization"):
        node = context.graph.nodes[position]
        if node.inputs[0] in context.shrunk and node.op.needs_two_pixels(training=True):
            message = f"{node.name} normalizes a map of 1x1: in training, each channel has a single value for each image"
            help = "remove a stride or a pool before it, or use a larger `input`"
            yield context.warning(position, "norm-on-one-pixel", message, help)
            return


@rule("stem-of-large-images")
def stem_of_large_images(context: LintContext) -> Iterator[Diagnostic]:
    """A stem that divides the size of a small image by 4, as ImageNet networks do for 224 pixels. Networks for 32 pixels begin
    with a 3x3 convolution without a stride (He et al. 2016, section 4.2)."""
    if not _has_stem_of_large_images(context):
        return
    graph, spec = context.graph, context.spec
    first = context.stages[0]
    small = show(graph.shape_of(first.input)[1:])
    message = f"before the first stage, the {show(graph.input[1:])} image is reduced to {small}, as for ImageNet's 224 pixels"
    help = "for small images, begin with a 3x3 convolution with `stride: 1` and `padding: 1`, and remove the pool"
    strided = min(positions[0] for window, positions in context.windows if max(window.stride) > 1)
    finding = context.warning(strided, "stem-of-large-images", message, help)
    main = spec.span.source
    if finding.span is not None and finding.span.source is not main and spec.input_span.source is main:
        finding = replace(finding, span=spec.input_span, related=(Label(finding.span, "the first stride is here"),))
    yield finding


def _has_stem_of_large_images(context: LintContext) -> bool:
    """Whether the image is small, is reduced to a fourth before the first stage, and again in the stages."""
    graph, stages = context.graph, context.stages
    if not stages or max(graph.input[1:]) > LARGEST_SMALL_IMAGE:
        return False
    entering, leaving = graph.shape_of(stages[0].input), graph.shape_of(stages[-1].output)
    if len(entering) != 3 or len(leaving) != 3:
        return False
    is_reduced = all(STEM_OF_LARGE_IMAGES * (m - 1) < n for n, m in zip(graph.input[1:], entering[1:], strict=True))
    return is_reduced and max(leaving[1:]) < max(entering[1:])
