"""Expands a spec whose names were checked into a graph: its operations in order, and its stages block by block."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from resnet_spec.diagnostics import Diagnostic, Label, SpecError, closest
from resnet_spec.diagnostics.suggestions import show_suggestion
from resnet_spec.graph.model import INPUT, BrokenNode, Graph, Output
from resnet_spec.language.editing import remove_entry
from resnet_spec.language.expressions import Number
from resnet_spec.language.fixes import propose
from resnet_spec.language.spec import (
    ArgumentValue,
    Block,
    Group,
    OutputEntry,
    ScalarNode,
    SequenceNode,
    Spec,
    SpecEntry,
    Stage,
    Use,
)
from resnet_spec.lowering.block_names import name_block, range_names
from resnet_spec.lowering.blocks import MAX_BLOCKS, Expander
from resnet_spec.lowering.body import UNKNOWN, Body, Place, Template, Val
from resnet_spec.lowering.context import ExpansionContext, Trail
from resnet_spec.lowering.findings import Findings
from resnet_spec.lowering.problems import check_lists
from resnet_spec.lowering.scope import BlockScope, Evaluated, FromStage, Given, SpecScope, StageScope
from resnet_spec.lowering.values import UnknownValueError, integer, refuse
from resnet_spec.ops import Shape


@dataclass(frozen=True, slots=True, eq=False)
class Partial:
    """The part of a spec that can be built: the graph up to the first conflicts, the conflicts, and all findings."""

    graph: Graph
    broken: tuple[BrokenNode, ...]
    findings: tuple[Diagnostic, ...]


def expand(spec: Spec) -> Graph:
    """Expand a spec into its graph.

    Raises:
        SpecError: with every independent finding.
    """
    partial = expand_partial(spec)
    if partial.findings:
        raise SpecError(partial.findings)
    if not partial.graph.nodes:
        message = "there is nothing to build: every operation is absent"
        help = "make an `if` true, or add an operation without one"
        raise SpecError([Diagnostic("no-network", message, spec.span, help=help)])
    return partial.graph


def expand_partial(spec: Spec) -> Partial:
    """Expand a spec as far as possible. Uses and blocks that are marked as invalid are left out."""
    expansion = _NetworkExpansion(spec)
    output = expansion.expand()
    body, findings = expansion.body, expansion.findings
    repetitions: list[BrokenNode] = []
    if findings.has_conflicts:
        again = _NetworkExpansion(spec, ignore_conflicts=True)
        again.expand()
        repetitions = again.body.broken
    named = expansion.outputs if output.shape is not None else ()
    main = next((each.value for each in named if each.name == "logits"), named[0].value if named else output.id)
    ends = expansion.ends
    graph = Graph(spec.name, spec.input, tuple(body.nodes), tuple(body.regions), main, spec.init, named, *ends)
    return Partial(graph, tuple(body.broken), findings.with_repetitions(repetitions))


@dataclass(frozen=True, slots=True, eq=False)
class _StagePosition:
    """The position of a stage in the network, and what it consists of."""

    stage: Stage
    block: Block
    index: int  # of the stage
    first_block: int  # its index, over the network
    depth: int

    def facts(self, number: int, block_count: int) -> dict[str, Number]:
        """The facts of the block with a number in this stage."""
        return {
            "first": number == 0,
            "stage_index": self.index,
            "block_index": self.first_block + number,
            "block_count": block_count,
        }

    def arguments(self, number: int, stride: int) -> dict[str, Given]:
        """The arguments of the block with a number in this stage."""
        given: dict[str, Given] = {}
        if "stride" in self.block.args or "stride" in self.block.defaults:
            given["stride"] = Evaluated(stride, None, None)
        for name, argument in self.stage.block.arguments.items():
            written = argument.value
            given[name] = FromStage(_item(written.items[number]) if isinstance(written, SequenceNode) else written)
        return given

    @property
    def has_lists(self) -> bool:
        """Whether an argument has a value for each block."""
        return any(isinstance(argument.value, SequenceNode) for argument in self.stage.block.arguments.values())


class _NetworkExpansion:
    """The expansion of stem, stages and head into one body. `outputs` are the named ones, and `ends` the numbers of nodes
    before the end of the stem and before the head."""

    def __init__(self, spec: Spec, ignore_conflicts: bool = False) -> None:
        self.spec = spec
        self.findings = Findings()
        self.body = Body()
        self.scope = SpecScope(spec.params, spec.classes)
        self.depths = self._evaluate_depths()
        self.block_count = sum(self.depths.values())
        self.expander = Expander(spec, self.scope, self.findings, self.block_count, ignore_conflicts)
        self.stages = self.blocks = 0  # that were expanded
        self.outputs: tuple[Output, ...] = ()
        self.ends = (0, 0)

    def expand(self) -> Val:
        """Expand the whole network; returns its output."""
        spec = self.spec
        value = start = Val(INPUT, spec.input)
        roles, place = self.expander.roles, Place()
        context = ExpansionContext(self.body, self.scope, Trail(), roles, place, values={"input": start})
        value = self._expand_entries(spec.stem, value, context)
        stem = len(self.body.nodes)
        value = self._expand_entries(spec.stages, value, context)
        self.ends = (stem, len(self.body.nodes))
        value = self._expand_entries(spec.head, value, context)
        return self._find_outputs(value, context)

    def _find_outputs(self, last: Val, context: ExpansionContext) -> Val:
        """The output of the network, which is the last value unless the spec names another; the named ones are kept."""
        found: list[Output] = []
        for output in self.spec.outputs:
            value = self._find_output(output, context)
            if value.shape is None:
                last = value
            same = next((other for other, each in zip(self.spec.outputs, found, strict=False) if each.value == value.id), None)
            if same is not None and value.shape is not None:
                message = f"the outputs `{same.name}` and `{output.name}` are the same value"
                related, fixes = (Label(same.key, "first here"),), propose("remove one of them", remove_entry(output.key))
                finding = Diagnostic("same-output", message, output.key, "", related, "remove one of them", fixes=fixes)
                self.findings.report(finding, Trail())
            found.append(Output(output.name, value.id, output.training_only))
            if not self.spec.named_outputs:
                return value
        self.outputs = tuple(found)
        return last

    def _find_output(self, output: OutputEntry, context: ExpansionContext) -> Val:
        """The value of an output, which names an entry; on the command line also a module of the top level."""
        name = output.value.text
        if context.find(name) is None:
            if (value := self._find_module(name)) is not None:
                return value
            finding = Diagnostic("unknown-name", f"the network has no entry `{name}`", output.value.span)
            near = closest(name, context.values)
            self.findings.report(replace(finding, help=show_suggestion(near, context.values)), Trail())
            return UNKNOWN
        use = Use(f"outputs.{output.name}".rstrip("."), output.key, "", output.key)
        return self.expander.read(output.value, use, context)

    def _find_module(self, name: str) -> Val | None:
        """The value of a module of the top level: no other module is around it."""
        modules = [region for region in self.body.regions if not region.inline]
        for region in modules:
            around = (each for each in modules if each.depth < region.depth and each.start <= region.start < each.stop)
            if region.name == name and region.output != INPUT and not any(around):
                return Val(region.output, self.body.nodes[region.output].shape)
        for position, node in enumerate(self.body.nodes):
            if node.name == name and not any(region.start <= position < region.stop for region in modules):
                return Val(position, node.shape)
        return None

    def _expand_entries(self, entries: tuple[SpecEntry, ...], value: Val, context: ExpansionContext) -> Val:
        """Expand entries in order, each from the one before it unless it has a `from`; returns the last value."""
        for entry in entries:
            match entry:
                case Group():
                    value = self._expand_group(entry, value, context)
                case Stage():
                    before = self.expander.read(entry.inputs[0], entry.block, context) if entry.inputs else value
                    value = self._expand_stage(entry, before, context)
                    context.record(entry.name, value)
                case Use():
                    value = self.expander.expand_entry(entry, value, context)
        return value

    def _expand_group(self, group: Group, value: Val, context: ExpansionContext) -> Val:
        *groups, name = group.name.split(".")
        place = self.body.open_groups(context.place, groups)
        if not group.inline and place.numbered:
            path = self.body.name_in(place, name, group.key)
            place = self.body.places.setdefault(path, Place(path + ".", group.numbered))
        elif not group.inline:
            place = self.body.open_groups(place, (name,), group.numbered)
        around = (*context.around, *groups, name)
        inner = replace(context, place=place, prefix=f"{context.prefix}{group.name}.", around=around)
        value = self._expand_entries(group.entries, value, inner)
        context.record(group.name, value)
        return value

    def _evaluate_depths(self) -> dict[Stage, int]:
        """Evaluate the depth of every stage before any block is expanded, since each may read `block_count`."""
        depths: dict[Stage, int] = {}
        blocks = 0
        for stage in self.spec.entries:
            if not isinstance(stage, Stage):
                continue
            try:
                depth = 1 if stage.depth is None else integer(stage.depth, self.scope, "depth", 1)
                if blocks + depth > MAX_BLOCKS:
                    span = stage.key if stage.depth is None else stage.depth.span
                    raise refuse("too-many-blocks", f"a network has at most {MAX_BLOCKS:,} blocks", span)
                depths[stage] = depth
                blocks += depth
            except UnknownValueError as unknown:
                self.findings.report_unknown(unknown, Trail())
        return depths

    def _expand_stage(self, stage: Stage, value: Val, context: ExpansionContext) -> Val:
        written = context.prefix + stage.name
        index, first_block = self.stages, self.blocks
        depth = self.depths.get(stage)
        self.stages += 1
        self.blocks += depth or 0
        block = self.spec.find_block(stage.block.op, stage.block.op_span)
        if depth is None or block is None or stage.block.invalid:
            return replace(value, shape=None)
        wrong = list(check_lists(stage, depth))
        for finding in wrong:
            self.findings.report(finding, Trail())
        if wrong:
            return replace(value, shape=None)
        position = _StagePosition(stage, block, index, first_block, depth)
        try:
            place, module = context.place, written
            if not stage.inline:
                module = self.body.name_in(place, stage.name, stage.key)
                place = Place(module + ".", nested=True)
            names = self._names_of_blocks(position, place)
        except UnknownValueError as unknown:
            self.findings.report_unknown(unknown, Trail())
            return replace(value, shape=None)
        region = self.body.open(module, "stage", stage.block.op, value.id, stage.key, stage.inline, written)
        value = self._expand_blocks(position, value, replace(context, place=place), written, names)
        self.body.close(region, value.id)
        return value

    def _names_of_blocks(self, position: _StagePosition, place: Place) -> Sequence[str]:
        """The names of the blocks of a stage."""
        stage = position.stage
        if stage.names is None:
            return range_names(position.depth)
        if place.numbered:
            message = f"`names` has no effect in `{stage.name}`: its blocks are children of a `numbered` place"
            raise refuse("unknown-field", message, stage.names.span, "remove `names`, or `inline`")
        return [
            name_block(stage.names, self.scope, {"index": number, "block_index": position.first_block + number})
            for number in range(position.depth)
        ]

    def _expand_blocks(
        self, position: _StagePosition, value: Val, context: ExpansionContext, written: str, names: Sequence[str]
    ) -> Val:
        """Expand the blocks of a stage, up to the first that fails. `written` is the path of the stage in the file."""
        stage, place, expander = position.stage, context.place, self.expander
        same: dict[tuple[int, Shape], Template] = {}  # blocks that depend only on their stride and input shape
        may_repeat = not position.has_lists
        roles = expander.roles_inside(position.block, stage.block, context.roles)
        inline = stage.block.inline
        for number in range(position.depth):
            if value.shape is None:
                break
            path = f"{written}.{names[number]}"
            try:
                stride = self._stride(position, number, value.shape)
                template = same.get((stride, value.shape))
                if template is None:
                    given, facts = position.arguments(number, stride), position.facts(number, self.block_count)
                    trail = self._trail_into(stage, path, value)
                    template, read = expander.block_template(position.block, given, facts, value, trail, roles, inline)
                    if may_repeat and not read:
                        same[stride, value.shape] = template
                if inline:
                    value = expander.append_inline(template, path, value, stage.key, self.body, place)
                else:
                    name = self.body.name_in(place, names[number], stage.key)
                    value = expander.append_block(template, name, value, stage.key, self.body, path)
            except UnknownValueError as unknown:
                self.findings.report_unknown(unknown, self._trail_into(stage, path, value))
                value = replace(value, shape=None)
        return value

    def _trail_into(self, stage: Stage, path: str, value: Val) -> Trail:
        return Trail((stage.block,)).into(path, self.body, value.id)

    def _stride(self, position: _StagePosition, number: int, entering: Shape) -> int:
        """The stride of one block: a single number applies to the first one."""
        stage = position.stage
        if stage.stride is None:
            return 1
        written = stage.stride.value
        if isinstance(written, SequenceNode):
            written = _scalar(written.items[number])
        elif number:
            return 1
        facts = position.facts(number, self.block_count)
        scope = BlockScope(position.block, {}, facts, entering[0], self.scope)
        return integer(written, StageScope(scope), "stride", 1)


def _item(node: object) -> ArgumentValue:
    if not isinstance(node, ScalarNode | SequenceNode):
        raise AssertionError("a list of a stage holds single values and pairs")
    return node


def _scalar(node: object) -> ScalarNode:
    if not isinstance(node, ScalarNode):
        raise AssertionError("arguments hold single values and lists of them")
    return node
