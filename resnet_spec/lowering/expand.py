"""Expands a spec whose names were checked into a graph: its operations in order, and its stages block by block."""

from __future__ import annotations

from dataclasses import dataclass, replace

from resnet_spec.diagnostics import Diagnostic, SpecError
from resnet_spec.graph.model import INPUT, BrokenNode, Graph
from resnet_spec.language.expressions import Number
from resnet_spec.language.spec import Block, ScalarNode, SequenceNode, Spec, Stage
from resnet_spec.lowering.blocks import MAX_BLOCKS, Expander
from resnet_spec.lowering.body import Body, Template, Val
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
    graph = Graph(spec.name, spec.input, tuple(body.nodes), tuple(body.regions), output.id, spec.init)
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
            given[name] = FromStage(_scalar(written.items[number]) if isinstance(written, SequenceNode) else written)
        return given

    @property
    def has_lists(self) -> bool:
        """Whether an argument has a value for each block."""
        return any(isinstance(argument.value, SequenceNode) for argument in self.stage.block.arguments.values())


class _NetworkExpansion:
    """The expansion of stem, stages and head into one body."""

    def __init__(self, spec: Spec, ignore_conflicts: bool = False) -> None:
        self.spec = spec
        self.findings = Findings()
        self.body = Body()
        self.scope = SpecScope(spec.params, spec.classes)
        self.depths = self._evaluate_depths()
        self.block_count = sum(self.depths.values())
        self.expander = Expander(spec, self.scope, self.findings, self.block_count, ignore_conflicts)

    def expand(self) -> Val:
        """Expand the whole network; returns its output."""
        spec, expander = self.spec, self.expander
        value = Val(INPUT, spec.input)
        context = ExpansionContext(self.body, self.scope, Trail())
        for use in spec.stem:
            value = expander.expand_use(use, value, context)
        stages = blocks = 0
        for entry in spec.stages:
            if isinstance(entry, Stage):
                value = self._expand_stage(entry, stages, blocks, value)
                stages += 1
                blocks += self.depths.get(entry.name, 0)
            else:
                value = expander.expand_use(entry, value, context)
        for use in spec.head:
            value = expander.expand_use(use, value, context)
        return value

    def _evaluate_depths(self) -> dict[str, int]:
        """Evaluate the depth of every stage, by name, before any block is expanded, since each may read `block_count`."""
        depths: dict[str, int] = {}
        blocks = 0
        for stage in self.spec.stages:
            if not isinstance(stage, Stage):
                continue
            try:
                depth = 1 if stage.depth is None else integer(stage.depth, self.scope, "depth", 1)
                if blocks + depth > MAX_BLOCKS:
                    span = stage.key if stage.depth is None else stage.depth.span
                    raise refuse("too-many-blocks", f"a network has at most {MAX_BLOCKS:,} blocks", span)
                depths[stage.name] = depth
                blocks += depth
            except UnknownValueError as unknown:
                self.findings.report_unknown(unknown, Trail())
        return depths

    def _expand_stage(self, stage: Stage, index: int, first_block: int, value: Val) -> Val:
        depth = self.depths.get(stage.name)
        block = self.spec.find_block(stage.block.op, stage.block.op_span)
        if depth is None or block is None or stage.block.invalid:
            return replace(value, shape=None)
        wrong = list(check_lists(stage, depth))
        for finding in wrong:
            self.findings.report(finding, Trail())
        if wrong:
            return replace(value, shape=None)
        position = _StagePosition(stage, block, index, first_block, depth)
        region = self.body.open(stage.name, "stage", stage.block.op, value.id, stage.key)
        value = self._expand_blocks(position, value)
        self.body.close(region, value.id)
        return value

    def _expand_blocks(self, position: _StagePosition, value: Val) -> Val:
        """Expand the blocks of a stage, up to the first that fails."""
        stage = position.stage
        same: dict[tuple[int, Shape], Template] = {}  # blocks that depend only on their stride and input shape
        may_repeat = not position.has_lists
        for number in range(position.depth):
            if value.shape is None:
                break
            name = f"{stage.name}.{number}"
            try:
                stride = self._stride(position, number, value.shape)
                template = same.get((stride, value.shape))
                if template is None:
                    given, facts = position.arguments(number, stride), position.facts(number, self.block_count)
                    trail = self._trail_into(stage, name, value)
                    template, read = self.expander.block_template(position.block, given, facts, value, trail)
                    if may_repeat and not read:
                        same[stride, value.shape] = template
                value = self.expander.append_block(template, name, value, stage.key, self.body)
            except UnknownValueError as unknown:
                self.findings.report_unknown(unknown, self._trail_into(stage, name, value))
                value = replace(value, shape=None)
        return value

    def _trail_into(self, stage: Stage, name: str, value: Val) -> Trail:
        return Trail((stage.block,)).into(name, self.body, value.id)

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


def _scalar(node: object) -> ScalarNode:
    if not isinstance(node, ScalarNode):
        raise AssertionError("arguments hold single values and lists of them")
    return node
