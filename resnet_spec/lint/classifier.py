"""Rules about the end of a network: the last layer with weights, whose outputs are the logits, and what follows it."""

from __future__ import annotations

from collections.abc import Iterator

from resnet_spec.diagnostics import Diagnostic
from resnet_spec.language.editing import remove_entry, replace_value, set_field
from resnet_spec.language.fixes import Fixes, propose
from resnet_spec.language.spec import Spec, Use
from resnet_spec.lint.last_layer import LastLayer
from resnet_spec.lint.registry import LintContext, rule
from resnet_spec.ops import Operation

_KEEPS_LOGITS = ("reshaping", "pooling", "identity", "regularization")  # families that compute no features


def _is_reshaping(op: Operation) -> bool:
    return op.family == "reshaping"


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


def _move_before(layer: LastLayer, entry: Use) -> str:
    """The help for an entry that should come before the last layer."""
    name = layer.entry.name
    if layer.is_appended(entry):
        return (
            f"write `insert_before: {name}` in `{entry.name}`: without it, a new entry comes after all those of the inherited"
            " head"
        )
    return f"put `{entry.name}` before `{name}`"


def _place(layer: LastLayer, entry: Use) -> Fixes:
    """The fix that places an entry that was added to an inherited head before the last layer."""
    if not layer.is_appended(entry):
        return ()
    name = layer.entry.name
    return propose(f"write `insert_before: {name}` in `{entry.name}`", set_field(entry.key, "insert_before", name))


def _read_classes(layer: LastLayer) -> Fixes:
    """The fix that makes the last layer read `classes`."""
    if layer.written is None:
        return ()
    return propose(f"write `{layer.field}: classes` in `{layer.node.name}`", replace_value(layer.written, "classes"))


@rule("unused-classes")
def unused_classes(context: LintContext) -> Iterator[Diagnostic]:
    """A number of classes that the file sets and that nothing reads."""
    classes = context.spec.classes
    if classes is None or not _ignores_classes(context):
        return
    message, help = "nothing reads `classes`", "write `out_features: classes` in the last linear layer, or remove `classes`"
    layer = context.last_layer
    if layer is not None:
        message = f"nothing reads `classes`: {layer.node.name} always has {layer.count} outputs"
        if layer.written is not None:
            help = f"write `{layer.field}: classes` in `{layer.node.name}`"
    fixes = () if layer is None else _read_classes(layer)
    yield Diagnostic("unused-classes", message, classes.span, help=help, severity="warning", fixes=fixes)


@rule("outputs-not-classes")
def outputs_not_classes(context: LintContext) -> Iterator[Diagnostic]:
    """A classifier whose number of outputs is written as a number, and is not that of the classes."""
    classes, layer = _classes(context.spec), context.last_layer
    if classes is None or layer is None or layer.written is None or layer.count == classes:
        return
    if _ignores_classes(context):  # reported already
        return
    node, count = layer.node, layer.count
    message = f"{node.name} has {count} outputs, but `classes` is {classes}"
    help, fixes = f"write `{layer.field}: classes`", _read_classes(layer)
    if context.spec.classes is not None and context.spec.classes.span.source is not context.spec.span.source:
        help = (
            f"to change the number of classes, write `classes: {count}` at the top and leave `{node.name}` as it is; if its"
            " outputs are not classes, write `classes: null`"
        )
        fixes = ()
    yield Diagnostic("outputs-not-classes", message, layer.written.span, help=help, severity="warning", fixes=fixes)


@rule("activation-on-logits")
def activation_on_logits(context: LintContext) -> Iterator[Diagnostic]:
    """A classifier that ends in an activation without negative values, such as sigmoid or softmax.

    `torch.nn.CrossEntropyLoss`, which `train` minimizes, takes unbounded logits and applies the softmax itself.
    """
    graph, layer = context.graph, context.last_layer
    if layer is None or layer.count < 2 or layer.count != _classes(context.spec):
        return
    position = context.maker(graph.output, _is_reshaping)
    node = graph.nodes[position]
    if position <= layer.position or node.op.family != "activation" or not node.op.nonnegative:
        return
    message = f"the network ends in {node.op.name}, but cross entropy takes logits, and applies the softmax itself"
    help = f"remove `{node.name}`; where probabilities are needed, compute them from the outputs"
    entry = layer.entry_of(node)
    if entry is not None and layer.is_appended(entry):
        help += f"; if it should come before `{layer.entry.name}`, write `insert_before: {layer.entry.name}` in it"
    fixes = propose(f"remove `{node.name}`", remove_entry(node.span))
    yield context.warning(position, "activation-on-logits", message, help, fixes)


@rule("after-classifier")
def after_classifier(context: LintContext) -> Iterator[Diagnostic]:
    """Dropout on the logits; a norm or an activation that was added behind the classifier of an inherited head."""
    graph, spec, layer = context.graph, context.spec, context.last_layer
    if layer is None:
        return
    for position in range(layer.position + 1, len(graph.nodes)):
        node = graph.nodes[position]
        entry = layer.entry_of(node)
        if entry is None:
            return
        family = node.op.family
        if family == "regularization" and not node.op.returns_input(training=True):
            message = f"{node.name} follows {layer.node.name}, the last layer, so it drops logits"
            yield context.warning(position, "after-classifier", message, _move_before(layer, entry), _place(layer, entry))
        elif family not in _KEEPS_LOGITS:
            is_changed = family in ("normalization", "activation") and not node.op.nonnegative
            if is_changed and layer.count == _classes(spec) and layer.is_appended(entry):
                message = f"{node.name} follows {layer.node.name}, the last layer, so it changes the logits"
                fixes = _place(layer, entry)
                yield context.warning(position, "after-classifier", message, _move_before(layer, entry), fixes)
            return
