"""Findings about operations that cannot be built, wrong `out_channels` of blocks, and lists of the wrong length."""

from __future__ import annotations

from collections.abc import Iterator

from resnet_spec.analysis.trace import SizeChange, changes, describe_sizes, lines
from resnet_spec.diagnostics import Diagnostic, Label
from resnet_spec.diagnostics.effort import may_edit
from resnet_spec.diagnostics.text import count_text, join_words
from resnet_spec.graph.model import INPUT
from resnet_spec.language.editing import Edits, replace_value, set_field
from resnet_spec.language.expressions import Value
from resnet_spec.language.fixes import Fixes, propose, together
from resnet_spec.language.spec import ScalarNode, SequenceNode, Spec, Stage, Use
from resnet_spec.lowering.body import Body, Val
from resnet_spec.lowering.channels import channels_of, describe_channels
from resnet_spec.lowering.context import ExpansionContext, PresentUse
from resnet_spec.lowering.origins import calculation, in_library, literal_behind, origin_labels
from resnet_spec.ops import OPERATIONS, Problem, Shape, show


def explain_problem(spec: Spec, present: PresentUse, problem: Problem) -> Diagnostic:
    """Explain why an operation cannot be built: at the values that cause it, with the image sizes that led to it."""
    use, context = present.use, present.context
    own, others = _blamed(problem, present)
    if problem.code == "groups-do-not-divide" and context.block is not None:
        made = channels_of(context.block.block, context.body, present.inputs[0].id, context.block)
        others += [] if made is None else made.labels()
    span, label = (use.key, "") if own is None else (own.span, own.text)
    labels = [*_entering_shapes(present), *dict.fromkeys(others)]
    notes: tuple[str, ...] = ()
    if problem.by_size:
        history = describe_sizes(spec.input, _size_changes(spec, present), spec.span.source)
        notes = (history,) if history else ()
        if not any(each.span.source is spec.input_span.source for each in (Label(span), *labels)):
            labels.append(Label(spec.input_span, "the size of the input"))
    message = f"{context.trail.dotted(present.name)}: {problem.message}"
    fixes = tuple(fix for proposal in problem.proposals for fix in _propose(present, proposal))
    help = problem.help
    if problem.code == "wrong-rank" and len(present.inputs[0].shape or ()) == 1:
        for fix in _move(spec, present):
            help, fixes = fix.title, (*fixes, fix)
    return Diagnostic(problem.code, message, span, label, tuple(labels), help, notes, fixes=fixes)


def _move(spec: Spec, present: PresentUse) -> Fixes:
    """The fix for an operation on images behind a flatten: the operation moves before it, or the flatten into the head."""
    from resnet_spec.language.restructuring import move_before, move_to_part  # only specs with this mistake need it

    if not may_edit(present.use.key):
        return ()
    stem, head = ([use for use in part if isinstance(use, Use)] for part in (spec.stem, spec.head))
    flat = [use for use in (*stem, *head) if use.op in OPERATIONS and OPERATIONS[use.op].family == "reshaping"]
    if not flat:
        return ()
    part = head if present.use in head else stem if present.use in stem else ()
    if part and flat[0] in part:
        title = f"move `{present.use.name}` before `{flat[0].name}`"
        return propose(title, move_before(present.use.key, flat[0].key))
    if spec.head or flat[0] not in stem:
        return ()
    first = stem.index(flat[0])
    before = OPERATIONS.get(stem[first - 1].op) if first else None
    if before is not None and before.family == "pooling":
        first -= 1
    moved = stem[first:]
    title = f"move {join_words([f'`{use.name}`' for use in moved], 'and')} from `stem` to `head`, which comes behind the stages"
    return propose(title, move_to_part([use.key for use in moved], "head"))


def _propose(present: PresentUse, values: tuple[tuple[str, str], ...]) -> Fixes:
    """The fix that writes values of fields where they are set: at the use, or where an argument gets its number."""
    edits = together(*(_edit_field(present, name, text) for name, text in values))
    written = ", ".join(f"{name}: {text}" if name else text for name, text in values)
    return propose(f"write `{written}`", edits)


def _edit_field(present: PresentUse, name: str, text: str) -> Edits:
    if not name:
        return set_field(present.use.key, (), text)
    if name not in present.arguments:
        return set_field(present.use.key, name, text)
    argument, scope = present.arguments[name]
    if not in_library(argument.value.span):
        return replace_value(argument.value, text)
    literal = literal_behind(argument.value, scope) if isinstance(argument.value, ScalarNode) else None
    return () if literal is None else replace_value(literal, text)


def _entering_shapes(present: PresentUse) -> list[Label]:
    """The names after `from`, each with the shape of its value."""
    named = zip(present.use.inputs, present.inputs, strict=False)
    return [Label(name.span, f"`{name.text}` is {show(value.shape)}") for name, value in named if value.shape is not None]


def _blamed(problem: Problem, present: PresentUse) -> tuple[Label | None, list[Label]]:
    """The author's lines of the fields that cause a problem: the first one written at the use itself, and all others."""
    own: Label | None = None
    others: list[Label] = []
    for field in problem.fields:
        if field not in present.arguments:
            continue
        argument, scope = present.arguments[field]
        value, span = argument.value, argument.value.span
        if not in_library(span):
            if field in present.use.arguments:
                own = own or Label(span, calculation(value, scope) if isinstance(value, ScalarNode) else "")
            elif isinstance(value, ScalarNode) and value.text:
                others.append(Label(span, f"`{field}` is {value.text} here"))
            else:
                others.append(Label(span, f"`{field}` is set here"))
        for item in value.items if isinstance(value, SequenceNode) else (value,):
            if isinstance(item, ScalarNode):
                others.extend(origin_labels(item, scope))
    return own, others


def _size_changes(spec: Spec, present: PresentUse) -> list[SizeChange]:
    """The operations between the network's input and the input of a use that change the size of the image, in order."""
    trail = present.context.trail
    outside = next((use.key for use in reversed((*trail.uses, present.use)) if not in_library(use.key)), None)
    found: list[SizeChange] = []
    entering: Shape = spec.input
    for depth, (body, value) in enumerate([*trail.bodies, (present.context.body, present.inputs[0].id)]):

        def shape(value: int, body: Body = body, entering: Shape = entering) -> Shape:
            return entering if value == INPUT else body.nodes[value].shape

        places = lines(body.nodes, body.regions, outside)
        steps = []
        for position in changes(body.nodes, shape, value):
            node = body.nodes[position]
            name = ".".join([*trail.names[:depth], node.name])
            steps.append(SizeChange(name, places[position], shape(node.inputs[-1]), shape(position)))
        found += reversed(steps)
        entering = shape(value)
    return found


def explain_out_channels(context: ExpansionContext, value: Val, declared: Value) -> Diagnostic:
    """The finding for a block whose output has another number of channels than its `out_channels` declares."""
    assert context.block is not None
    assert value.shape is not None
    block, scope = context.block.block, context.block
    assert block.out_channels is not None
    written, channels = block.out_channels.value, value.shape[0]
    assert isinstance(written, ScalarNode)
    why = f" ({text})" if (text := calculation(written, scope)) else ""
    name = context.trail.dotted() or block.name
    message = f"{name}: the block `{block.name}` declares `out_channels` as {declared}{why}, but its output has {channels}"
    made = channels_of(block, context.body, value.id, scope)
    text = describe_channels(block, context.body, value.id, scope) or str(channels)
    if made is None and block.join is not None and value.id != INPUT and len(context.body.nodes[value.id].inputs) > 1:
        message += f": its `join: {block.join.op}` gives {text}"
    title = f"write `out_channels: {text}`"
    related = () if made is None else (Label(made.written.span, f"{channels} channels are set here"),)
    fixes = propose(title, replace_value(written, text))
    help = f"{title}, or change the block's last convolution"
    return Diagnostic("out-channels", message, written.span, related=related, help=help, fixes=fixes)


def check_lists(stage: Stage, depth: int) -> Iterator[Diagnostic]:
    """A finding for each list of a stage that does not have one value for each block."""
    listed = [*stage.block.arguments.items(), *((("stride", stage.stride),) if stage.stride else ())]
    related = (Label(stage.depth.span, "the depth"),) if stage.depth is not None else ()
    for name, argument in listed:
        if isinstance(argument.value, SequenceNode) and len(argument.value.items) != depth:
            blocks = count_text(depth, "block")
            message = f"`{name}` has {len(argument.value.items)} values, but the stage has {blocks}"
            help = "write one value for each block, or a single one for all"
            texts = {item.text for item in argument.value.items if isinstance(item, ScalarNode)}
            one = next(iter(texts)) if len(texts) == 1 else ""
            fixes = propose(f"write `{name}: {one}`", replace_value(argument.value, one)) if one else ()
            yield Diagnostic("wrong-length", message, argument.value.span, related=related, help=help, fixes=fixes)
