"""Rules about the end of a network: the last layer with weights, whose outputs are the logits, and what follows it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from resnet_spec.diagnostics import Diagnostic, Span
from resnet_spec.graph.model import Node
from resnet_spec.language.spec import ScalarNode, Spec, Use
from resnet_spec.lint.registry import LintContext, rule
from resnet_spec.ops import fields_of

_KEEPS_LOGITS = ("reshaping", "pooling", "identity", "regularization")  # families that compute no features


@dataclass(frozen=True, slots=True)
class Classifier:
    """The last layer with weights of a network that outputs a vector.

    `entry` is the entry of the head that it is in, `index` its number. `written` is the argument that sets the number of
    outputs, if it is a plain number, under the name `field`.
    """

    position: int
    node: Node
    count: int
    entry: Use
    index: int
    field: str
    written: ScalarNode | None


def find_classifier(context: LintContext) -> Classifier | None:
    """The classifier of a network; None if its output is a feature map, or is not computed in the head."""
    graph = context.graph
    output = graph.shape_of(graph.output)
    layers = context.nodes_of("linear", "convolution")
    if len(output) != 1 or not layers:
        return None
    position = max(layers)
    node = graph.nodes[position]
    top = node.name.partition(".")[0]
    for index, entry in enumerate(context.spec.head):
        if entry.name == top and node.shape[0] == output[0]:
            use = _find_use(entry, node.span)
            field, written = ("", None) if use is None else _outputs_of(use, node)
            return Classifier(position, node, output[0], entry, index, field, written)
    return None


def _find_use(use: Use, key: Span) -> Use | None:
    """The use with a key, among a use and the operations of its sequence."""
    if use.key == key:
        return use
    found = (_find_use(inner, key) for inner in use.ops)
    return next((each for each in found if each is not None), None)


def _outputs_of(use: Use, node: Node) -> tuple[str, ScalarNode | None]:
    """The field that sets the number of outputs of a layer, and its value, if that is written as a plain number."""
    for name, field in fields_of(type(node.op)).items():
        argument = use.arguments.get(name)
        if field.required and field.kind == "int" and argument is not None:
            value = argument.value
            is_number = isinstance(value, ScalarNode) and isinstance(value.value, int)
            return name, value if isinstance(value, ScalarNode) and is_number else None
    return "", None


def _classes(spec: Spec) -> int | None:
    """The number of classes, if the spec has a plain number."""
    value = None if spec.classes is None else spec.classes.value
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def _ignores_classes(context: LintContext) -> bool:
    """Whether the file itself, or the command line, sets `classes`, and nothing reads it."""
    classes = context.spec.classes
    if classes is None or classes.value is None or "classes" in context.reading.names:
        return False
    source = classes.span.source
    return source is context.spec.span.source or source.origin == "command line"


def _was_appended(spec: Spec, entry: Use, classifier: Classifier) -> bool:
    """Whether an entry behind the classifier was added to a head that another file defines."""
    before = spec.head[: classifier.index + 1]
    added = entry.op_span.source
    return any(each.op_span.source is not added and each.op_span.source.origin != "command line" for each in before)


def _move_before(spec: Spec, entry: Use, classifier: Classifier) -> str:
    """The help for an entry that should come before the classifier."""
    name = classifier.entry.name
    if _was_appended(spec, entry, classifier):
        return (
            f"write `insert_before: {name}` in `{entry.name}`: without it, a new entry comes after all those of the inherited"
            " head"
        )
    return f"put `{entry.name}` before `{name}`"


@rule("unused-classes")
def unused_classes(context: LintContext) -> Iterator[Diagnostic]:
    """A number of classes that the file sets and that nothing reads."""
    classes = context.spec.classes
    if classes is None or not _ignores_classes(context):
        return
    message, help = "nothing reads `classes`", "write `out_features: classes` in the last linear layer, or remove `classes`"
    classifier = find_classifier(context)
    if classifier is not None:
        message = f"nothing reads `classes`: {classifier.node.name} always has {classifier.count} outputs"
        if classifier.written is not None:
            help = f"write `{classifier.field}: classes` in `{classifier.node.name}`"
    yield Diagnostic("unused-classes", message, classes.span, help=help, severity="warning")


@rule("outputs-not-classes")
def outputs_not_classes(context: LintContext) -> Iterator[Diagnostic]:
    """A classifier whose number of outputs is written as a number, and is not that of the classes."""
    classes, classifier = _classes(context.spec), find_classifier(context)
    if classes is None or classifier is None or classifier.written is None or classifier.count == classes:
        return
    if _ignores_classes(context):  # reported already
        return
    node, count = classifier.node, classifier.count
    message = f"{node.name} has {count} outputs, but `classes` is {classes}"
    help = f"write `{classifier.field}: classes`"
    if context.spec.classes is not None and context.spec.classes.span.source is not context.spec.span.source:
        help = (
            f"to change the number of classes, write `classes: {count}` at the top and leave `{node.name}` as it is; if its"
            " outputs are not classes, write `classes: null`"
        )
    yield Diagnostic("outputs-not-classes", message, classifier.written.span, help=help, severity="warning")


@rule("activation-on-logits")
def activation_on_logits(context: LintContext) -> Iterator[Diagnostic]:
    """A classifier that ends in an activation without negative values, such as sigmoid or softmax.

    `torch.nn.CrossEntropyLoss`, which `train` minimizes, takes unbounded logits and applies the softmax itself.
    """
    graph, classifier = context.graph, find_classifier(context)
    if classifier is None or classifier.count < 2 or classifier.count != _classes(context.spec):
        return
    position = context.maker(graph.output, lambda op: op.family == "reshaping")
    node = graph.nodes[position]
    if position <= classifier.position or node.op.family != "activation" or not node.op.nonnegative:
        return
    message = f"the network ends in {node.op.name}, but cross entropy takes logits, and applies the softmax itself"
    help = f"remove `{node.name}`; where probabilities are needed, compute them from the outputs"
    entry = _entry_of(context.spec, node)
    if entry is not None and _was_appended(context.spec, entry, classifier):
        help += f"; if it should come before `{classifier.entry.name}`, write `insert_before: {classifier.entry.name}` in it"
    yield context.warning(position, "activation-on-logits", message, help)


@rule("after-classifier")
def after_classifier(context: LintContext) -> Iterator[Diagnostic]:
    """Dropout on the logits; a norm or an activation that was added behind the classifier of an inherited head."""
    graph, spec, classifier = context.graph, context.spec, find_classifier(context)
    if classifier is None:
        return
    for position in range(classifier.position + 1, len(graph.nodes)):
        node = graph.nodes[position]
        entry = _entry_of(spec, node)
        if entry is None:
            return
        family = node.op.family
        if family == "regularization" and not node.op.returns_input(training=True):
            message = f"{node.name} follows {classifier.node.name}, the last layer, so it drops logits"
            yield context.warning(position, "after-classifier", message, _move_before(spec, entry, classifier))
        elif family not in _KEEPS_LOGITS:
            is_changed = family in ("normalization", "activation") and not node.op.nonnegative
            if is_changed and classifier.count == _classes(spec) and _was_appended(spec, entry, classifier):
                message = f"{node.name} follows {classifier.node.name}, the last layer, so it changes the logits"
                yield context.warning(position, "after-classifier", message, _move_before(spec, entry, classifier))
            return


def _entry_of(spec: Spec, node: Node) -> Use | None:
    """The entry of the head that a node is in."""
    top = node.name.partition(".")[0]
    return next((entry for entry in spec.head if entry.name == top), None)
