"""What expansion finds wrong: each thing told once, at lines of the author's.

Goes in: where the expansion stands, and what does not fit there. Comes out: findings.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

from resnet_spec.analysis.trace import SizeChange, changes, lines, told
from resnet_spec.diagnostics import Diagnostic, Label, Span
from resnet_spec.graph.model import INPUT, BrokenNode
from resnet_spec.language.spec import ROLES, Argument, Block, ScalarNode, SequenceNode, Spec, Stage, Use
from resnet_spec.lowering.body import Body, ExpansionContext, Val
from resnet_spec.lowering.conflict import channels_of, mend_of, problem_places, resize_labels, resized, side
from resnet_spec.lowering.origins import Scope, reading
from resnet_spec.lowering.scope import BlockScope, UnknownValueError
from resnet_spec.ops import Problem, Shape, show

_FindingKey = tuple[str, str, Span | None]


class Findings:
    """The findings of one expansion, and the way that led to where it stands."""

    def __init__(self, spec: Spec) -> None:
        self.spec = spec
        self.all: dict[_FindingKey, Diagnostic] = {}  # in order, each once
        self.conflicts: dict[_FindingKey, BrokenNode] = {}
        self.frames: list[Use] = []  # the uses that led here, for findings inside the library
        self.path: list[str] = []  # the names of the blocks around
        self.around: list[tuple[Body, int]] = []  # bodies under construction, and the value that enters the block in each

    def report(self, finding: Diagnostic, at_value: bool = False) -> _FindingKey:
        """Tell a finding at a line of the user's: one inside a library block is moved to the use of the block, or to the
        value that was given to it."""
        span = finding.span
        if span is not None and _in_library(span):
            outer = next((use for use in reversed(self.frames) if not _in_library(use.key)), None)
            if outer is not None:
                inner = Label(span, finding.label or "in this block of the library")
                given = next((label for label in finding.related if at_value and not _in_library(label.span)), Label(outer.key))
                others = tuple(label for label in finding.related if label is not given)
                finding = replace(finding, span=given.span, label=given.text, related=(*others, inner))
        key = (finding.code, finding.message, finding.span)
        if span is not finding.span and at_value and self.frames and _in_library(self.frames[-1].key):
            key = (finding.code, "", finding.span)  # one value, however many lines of the library it is wrong for
            finding = replace(finding, message=f"{'.'.join([*self.path, self.frames[-1].name])}: {finding.message}")
        self.all.setdefault(key, finding)
        return key

    def tell(self, unknown: UnknownValueError) -> None:
        if unknown.finding is not None:
            self.report(unknown.finding, at_value=True)

    def problem(
        self,
        use: Use,
        name: str,
        problem: Problem,
        written: Mapping[str, tuple[Argument, Scope]],
        place: ExpansionContext,
        inputs: list[Val],
        body: Body,
    ) -> None:
        """Tell why an operation cannot be: at the values to blame, with how the image came to its size where that matters."""
        dotted = ".".join([*self.path, name])
        entering = zip(use.inputs, inputs, strict=False)
        given = [
            Label(each.span, f"`{each.text}` is {show(value.shape)}") for each, value in entering if value.shape is not None
        ]
        own, others = problem_places(problem.fields, use, written)
        if problem.code == "groups-do-not-divide" and place.inside is not None:
            made = channels_of(place.inside.block, body, inputs[0].id, place.inside)
            others += [] if made is None else made.labels()
        span, label = (use.key, "") if own is None else (own.span, own.text)
        labels = [*given, *dict.fromkeys(others)]
        notes: tuple[str, ...] = ()
        if problem.by_size:
            notes = tuple(filter(None, [told(self.spec.input, self.steps(inputs[0].id, body), self.spec.span.source)]))
            if not any(label.span.source is self.spec.input_span.source for label in (Label(span), *labels)):
                labels.append(Label(self.spec.input_span, "the size of the input"))
        finding = Diagnostic(problem.code, f"{dotted}: {problem.message}", span, label, tuple(labels), problem.help, notes)
        told_before = {(part.op, part.message) for part in self.conflicts.values()}
        part = BrokenNode(dotted, (self.spec.roles[use.op] if use.op in ROLES else use).op, (), problem.message, use.key)
        if (part.op, part.message) not in told_before:
            self.conflicts.setdefault(self.report(finding), part)

    def steps(self, value: int, body: Body) -> list[SizeChange]:
        """The operations that made the size of a value, from the input of the network on."""
        found: list[SizeChange] = []
        bodies = [*self.around, (body, value)]
        for depth in range(len(bodies) - 1, -1, -1):
            inside, at = bodies[depth]
            entering = self.entering(depth)
            shape = _shapes(inside, entering)
            outside = next((use.key for use in reversed(self.frames) if not _in_library(use.key)), None)
            places = lines(inside.nodes, inside.regions, outside)
            for position in changes(inside.nodes, shape, at):
                node = inside.nodes[position]
                name = ".".join([*self.path[:depth], node.name])
                found.append(SizeChange(name, places[position], shape(node.inputs[-1]), shape(position)))
        return found[::-1]

    def entering(self, depth: int) -> Shape:
        """The shape that enters the body at a depth of the blocks under construction."""
        if depth == 0:
            return self.spec.input
        outer, value = self.around[depth - 1]
        return self.entering(depth - 1) if value == INPUT else outer.nodes[value].shape

    def lists_fit(self, stage: Stage, depth: int) -> bool:
        """Whether every list of the stage has a value for each block."""
        listed = [*stage.block.arguments.items(), *((("stride", stage.stride),) if stage.stride else ())]
        wrong = [
            Diagnostic(
                "wrong-length",
                f"`{name}` has {len(argument.value.items)} values for {depth} block{'s' if depth > 1 else ''}",
                argument.value.span,
                related=(Label(stage.depth.span, "the depth"),) if stage.depth is not None else (),
                help="write one value for each block, or a single one for all",
            )
            for name, argument in listed
            if isinstance(argument.value, SequenceNode) and len(argument.value.items) != depth
        ]
        for finding in wrong:
            self.report(finding)
        return not wrong

    def unequal(
        self, block: Block, join: Use, place: ExpansionContext, shortcut: Val, branch: Val, problem: Problem, body: Body
    ) -> None:
        """Tell the conflict of a join: both sides with what made them, and what of the shortcut is absent, and why."""
        assert shortcut.shape is not None
        assert branch.shape is not None
        scope = place.inside
        assert scope is not None
        entering = place.values["input"].shape
        assert entering is not None
        channels, size = branch.shape[0] != shortcut.shape[0], branch.shape[1:] != shortcut.shape[1:]
        wide, narrow = (channels_of(block, body, value.id, scope) for value in (branch, shortcut))
        label = f"{side('branch', branch, wide, channels)}, {side('shortcut', shortcut, narrow, channels)}"
        related: list[Label] = []
        for use in block.shortcut:
            if use.when is not None and use in place.absent:
                reason = self.reason(use.when, scope)
                why = reading(reason, scope)
                because = f": {why}" if why and why.startswith(f"`{reason.text}`") else ""
                related.append(
                    Label(reason.span, f"false here{because.replace(f'`{reason.text}` = ', '')}, so `{use.name}` is absent")
                )
        if not _in_library(join.key):
            related.append(Label(join.key, "joined here"))
        if channels:
            related += [each for found in (wide, narrow) if found is not None for each in found.labels()]
        resizing = resized(body, branch.id, entering) if size else []
        if size:
            both = [*resizing, *resized(body, shortcut.id, entering)]
            related += [each for each in resize_labels(body, both, entering) if not _in_library(each.span)]
        mend = mend_of(block, join, shortcut, branch, resizing, wide)
        message = f"the two inputs of `join: {join.op}` in {'.'.join(self.path) or block.name} have different shapes"
        span = self.frames[-1].key if self.frames else join.key
        key = self.report(Diagnostic("shape-mismatch", message, span, label, tuple(dict.fromkeys(related)), mend))
        dotted = ".".join([*self.path, join.name])
        self.conflicts.setdefault(key, BrokenNode(dotted, join.op, (), problem.message, join.key))

    def reason(self, when: ScalarNode, scope: BlockScope) -> ScalarNode:
        """The text that decided a condition: where it is only the name of an argument, what that argument says."""
        written = scope.block.defaults.get(when.text)
        for stage in self.spec.stages:
            if isinstance(stage, Stage) and stage.name == self.path[-1].rpartition(".")[0]:
                written = stage.block.arguments.get(when.text, written)
        return written.value if written is not None and isinstance(written.value, ScalarNode) else when

    def other_channels(self, block: Block, scope: BlockScope, value: Val, promised: object, body: Body) -> None:
        """Tell that a block does not give the channels it promises."""
        assert block.out_channels is not None
        assert value.shape is not None
        dotted = ".".join(self.path) or block.name
        written = block.out_channels.value
        assert isinstance(written, ScalarNode)
        why = f" ({text})" if (text := reading(written, scope)) else ""
        message = f"{dotted}: the block `{block.name}` says `out_channels` is {promised}{why}, and it gives {value.shape[0]}"
        made = channels_of(block, body, value.id, scope)
        mend = f"write `out_channels: {made.written.text if made else value.shape[0]}`, or mend the block's last convolution"
        related = () if made is None else (Label(made.written.span, f"{value.shape[0]} channels from here"),)
        self.report(Diagnostic("out-channels", message, written.span, related=related, help=mend))


def _in_library(span: Span) -> bool:
    return span.source.origin == "library"


def _shapes(body: Body, entering: Shape) -> Callable[[int], Shape]:
    return lambda value: entering if value == INPUT else body.nodes[value].shape
