"""A Spec whose names are known to be good, expanded operation by operation into a Graph.

Every operation is bound to the shape that enters it, so the first conflict is found where it arises. What depends on a failed
value has no shape and stays silent. Equal uses of a block (same arguments, same shape entering) are expanded once and stamped
again under their own names, which is also why a mistake in a repeated block is told once.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace

from resnet_spec.diagnostics import Diagnostic, Span, SpecError
from resnet_spec.graph.model import INPUT, BrokenNode, Graph, Node
from resnet_spec.language.expressions import Number
from resnet_spec.language.spec import ROLES, Argument, Block, ScalarNode, SequenceNode, Spec, Stage, Use
from resnet_spec.lowering.body import Body, ExpansionContext, Template, Val
from resnet_spec.lowering.conflict import repeats
from resnet_spec.lowering.findings import Findings
from resnet_spec.lowering.origins import Scope
from resnet_spec.lowering.scope import (
    BlockScope,
    Evaluated,
    FromStage,
    Given,
    SpecScope,
    StageScope,
    UnknownValueError,
    WithChannels,
    field_value,
    number,
    refuse,
    truth,
    whole,
)
from resnet_spec.ops import OPERATIONS, FieldValue, Operation, Problem, Shape, fields_of

MAX_BLOCKS = 20_000
MAX_OPERATIONS = 200_000
MAX_NESTING = 16


def expand(spec: Spec) -> Graph:
    """The graph of a spec; raises SpecError with every independent finding."""
    partial = expand_partial(spec)
    if partial.findings:
        raise SpecError(partial.findings)
    if not partial.graph.nodes:
        message = "there is nothing to build: every operation is absent"
        mend = "let an `if` be true, or give the network an operation without one"
        raise SpecError([Diagnostic("no-network", message, spec.span, help=mend)])
    return partial.graph


@dataclass(frozen=True, slots=True)
class Partial:
    """What could be built of a spec: the graph up to the first conflicts, what they are, and all findings."""

    graph: Graph
    broken: tuple[BrokenNode, ...]
    findings: tuple[Diagnostic, ...]


def expand_partial(spec: Spec) -> Partial:
    """As much of a spec's graph as can be built. Uses and blocks that are marked as invalid are passed over."""
    expansion = _Expansion(spec)
    body = Body()
    value = expansion.network(body)
    graph = Graph(spec.name, spec.input, tuple(body.nodes), tuple(body.regions), value.id, spec.init)
    return Partial(graph, tuple(body.broken), _with_repeats(expansion))


def _with_repeats(expansion: _Expansion) -> tuple[Diagnostic, ...]:
    """The findings, each with how often it would come again. For that the network is expanded once more, as if it fitted."""
    found = expansion.found
    if found.conflicts:
        body = Body()
        _Expansion(expansion.spec, mended=True).network(body)
        for key, part in found.conflicts.items():
            if key in found.all and (note := repeats(part.name, part, body.broken)):
                found.all[key] = replace(found.all[key], notes=(*found.all[key].notes, note))
    return tuple(found.all.values())


class _Expansion:
    def __init__(self, spec: Spec, mended: bool = False) -> None:
        self.spec = spec
        self.mended = mended  # go on behind a conflict as if it were none, to see what else has it
        self.found = Findings(spec)
        self.globals = SpecScope(spec.params, spec.classes)
        # a use of a block -> the names of the facts that it read -> their values -> what it became
        self.templates: dict[tuple[object, ...], dict[tuple[str, ...], dict[tuple[object, ...], Template]]] = {}
        self.first_index: dict[str, int] = {}  # of the first block of a stage, over the whole network
        self.bound: dict[tuple[object, ...], tuple[Operation, Shape]] = {}
        self.depths: dict[str, int] = {}
        self.block_count = 0

    # --- the network ----------------------------------------------------------------------------------------------------

    def network(self, body: Body) -> Val:
        value = Val(INPUT, self.spec.input)
        self.count_blocks()
        place = ExpansionContext(self.globals, {}, "", None)
        for use in self.spec.stem:
            value = self.operation(use, place, value, body)
        stages = 0
        for entry in self.spec.stages:
            if isinstance(entry, Stage):
                value = self.stage(entry, stages, value, body)
                stages += 1
            else:
                value = self.operation(entry, place, value, body)
        for use in self.spec.head:
            value = self.operation(use, place, value, body)
        return value

    def count_blocks(self) -> None:
        """The depth of every stage, before any is expanded: `block_count` is known to the first block."""
        for entry in self.spec.stages:
            if not isinstance(entry, Stage):
                continue
            try:
                depth = 1 if entry.depth is None else whole(entry.depth, self.globals, "depth", 1)
                if self.block_count + depth > MAX_BLOCKS:
                    span = entry.key if entry.depth is None else entry.depth.span
                    raise refuse("too-many-blocks", f"a network has at most {MAX_BLOCKS:,} blocks", span)
                self.depths[entry.name] = depth
                self.first_index[entry.name] = self.block_count
                self.block_count += depth
            except UnknownValueError as unknown:
                self.found.tell(unknown)

    def stage(self, stage: Stage, index: int, value: Val, body: Body) -> Val:
        depth = self.depths.get(stage.name)
        block = self.spec.find_block(stage.block.op, stage.block.op_span)
        if depth is None or block is None or stage.block.invalid:
            return replace(value, shape=None)
        if not self.found.lists_fit(stage, depth):
            return replace(value, shape=None)
        region = body.open(stage.name, "stage", stage.block.op, value.id, stage.key)
        self.found.frames.append(stage.block)
        per_block = any(isinstance(each.value, SequenceNode) for each in stage.block.arguments.values())
        steady: tuple[int, Shape, Template] | None = None
        for number_in_stage in range(depth):
            entering = value.shape
            if entering is None:
                break
            name = f"{stage.name}.{number_in_stage}"
            self.found.path.append(name)
            try:
                stride = self.stride(stage, number_in_stage, block, index, value)
                if steady is not None and steady[0] == stride and steady[1] == entering:
                    template = steady[2]
                else:
                    facts = self.facts(stage, index, number_in_stage)
                    given = self.stage_arguments(stage, block, number_in_stage, stride)
                    template, read = self.block(block, given, facts, value, body)
                    steady = None if per_block or read else (stride, entering, template)
                value = self.place_block(template, name, value, stage.key, body)
            except UnknownValueError as unknown:
                self.found.tell(unknown)
                value = replace(value, shape=None)
            finally:
                self.found.path.pop()
        self.found.frames.pop()
        body.close(region, value.id)
        return value

    def facts(self, stage: Stage, index: int, at: int) -> dict[str, Number]:
        """What a block of a stage knows of its place: `index` counts stages, `at` the blocks of this one."""
        return {
            "first": at == 0,
            "stage_index": index,
            "block_index": self.first_index[stage.name] + at,
            "block_count": self.block_count,
        }

    def stride(self, stage: Stage, at: int, block: Block, index: int, value: Val) -> int:
        if stage.stride is None:
            return 1
        written = stage.stride.value
        if isinstance(written, SequenceNode):
            written = _scalar(written.items[at])
        elif at:
            return 1
        assert value.shape is not None
        scope = BlockScope(block, {}, self.facts(stage, index, at), value.shape[0], self.globals)
        return whole(written, StageScope(scope), "stride", 1)

    def stage_arguments(self, stage: Stage, block: Block, at: int, stride: int) -> dict[str, Given]:
        given: dict[str, Given] = {}
        if "stride" in block.args or "stride" in block.defaults:
            given["stride"] = Evaluated(stride, None, None)
        for name, argument in stage.block.arguments.items():
            written = argument.value
            scalar = _scalar(written.items[at]) if isinstance(written, SequenceNode) else written
            given[name] = FromStage(scalar)
        return given

    # --- blocks ---------------------------------------------------------------------------------------------------------

    def block(
        self, block: Block, given: Mapping[str, Given], facts: Mapping[str, Number], value: Val, around: Body
    ) -> tuple[Template, frozenset[str]]:
        """A block for its arguments and the shape that enters, expanded unless an equal one was; and the facts it read."""
        if block.invalid:
            raise UnknownValueError
        if len(self.found.frames) > MAX_NESTING:
            mend = f"does `{block.name}` use itself?"
            raise refuse("too-deep", f"blocks are nested deeper than {MAX_NESTING}", self.found.frames[-1].key, mend)
        assert value.shape is not None
        scope = BlockScope(block, given, facts, value.shape[0], self.globals)
        arguments = tuple([(name, scope.lookup(name)) for name in given])
        typed = tuple([(name, type(argument), argument) for name, argument in arguments])
        key = (block, value.shape, typed)
        known = self.templates.setdefault(key, {})
        for names, by_value in known.items():
            if (template := by_value.get(tuple([facts.get(name) for name in names]))) is not None:
                return template, template.read | scope.read
        self.found.around.append((around, value.id))
        try:
            template = self.expand_block(block, scope, value.shape)
        finally:
            self.found.around.pop()
        names = tuple(sorted(template.read & facts.keys()))
        known.setdefault(names, {})[tuple([facts[name] for name in names])] = template
        return template, template.read

    def expand_block(self, block: Block, scope: BlockScope, entering: Shape) -> Template:
        body = Body()
        start = Val(INPUT, entering)
        place = ExpansionContext(scope, {"input": start}, "", scope)
        value = self.chain(block.branch, place, start, body)
        join = block.join
        if join is not None:
            if join.when is None or self.holds(join.when, WithChannels(scope, value.channels)):
                shortcut = self.chain(block.shortcut, place, start, body)
                value = self.join(block, join, place, shortcut, value, body)
            place.values[join.name] = value
        value = self.chain(block.after, place, value, body)
        if not self.keeps_out_channels(block, scope, value, body):
            value = replace(value, shape=None)
        return Template(block.name, body, value, frozenset(scope.read))

    def chain(self, uses: tuple[Use, ...], place: ExpansionContext, value: Val, body: Body) -> Val:
        for use in uses:
            inputs = [] if use.invalid else [self.earlier(name, place) for name in use.inputs]
            value = self.operation(use, place, value, body, inputs)
            place.values[use.name] = value
        return value

    def earlier(self, name: ScalarNode, place: ExpansionContext) -> Val:
        """The value that `from` names. One that the text has and the block has not was in a shortcut that is left out."""
        if name.text not in place.values:
            message = f"there is no `{name.text}` here: the `if` of `join` is false, and then there is no shortcut"
            self.found.report(Diagnostic("unknown-name", message, name.span, help="take a value of the branch, or `input`"))
        return place.values.get(name.text, Val(INPUT, None))

    def join(self, block: Block, join: Use, place: ExpansionContext, shortcut: Val, branch: Val, body: Body) -> Val:
        if join.invalid:
            return Val(INPUT, None)
        if shortcut.shape is not None and branch.shape is not None:
            result = OPERATIONS[join.op]().shape(shortcut.shape, branch.shape)
            if isinstance(result, Problem):
                self.found.unequal(block, join, place, shortcut, branch, result, body)
                body.broken.append(BrokenNode(join.name, join.op, (shortcut.id, branch.id), result.message, join.key))
                return branch if self.mended else Val(INPUT, None)
        return self.operation(replace(join, when=None), place, branch, body, [shortcut, branch])

    def keeps_out_channels(self, block: Block, scope: BlockScope, value: Val, body: Body) -> bool:
        """Whether a block gives the channels it promises."""
        if block.out_channels is None or value.shape is None:
            return True
        try:
            promised = scope.lookup("out_channels")
        except UnknownValueError as unknown:
            self.found.tell(unknown)
            return False
        if promised != value.shape[0]:
            self.found.other_channels(block, scope, value, promised, body)
        return self.mended or promised == value.shape[0]

    def place_block(self, template: Template, name: str, value: Val, span: Span, body: Body) -> Val:
        if body.blocks + template.body.blocks >= MAX_BLOCKS:
            raise refuse("too-many-blocks", f"a network has at most {MAX_BLOCKS:,} blocks", span)
        self.limit_operations(body, len(template.body.nodes), span, len(template.body.regions))
        output = body.stamp(template, name, value.id, span)
        return Val(output, template.output.shape)

    def limit_operations(self, body: Body, more: int, span: Span, regions: int = 0) -> None:
        if max(len(body.nodes) + more, len(body.regions) + regions) > MAX_OPERATIONS:
            raise refuse("too-many-operations", f"a network has at most {MAX_OPERATIONS:,} operations", span)

    # --- operations -----------------------------------------------------------------------------------------------------

    def holds(self, when: ScalarNode, scope: Scope) -> bool:
        """Whether a condition is true; one that has no value is told, and counts as true."""
        try:
            return truth(when, scope)
        except UnknownValueError as unknown:
            self.found.tell(unknown)
            return True

    def operation(self, use: Use, place: ExpansionContext, before: Val, body: Body, named: Collection[Val] = ()) -> Val:
        """One use: an operation, a sequence or a block. It reads what it `named`, else the value `before`.

        Where its `if` is false there is nothing, and the value before it is handed on: an absent projection of a
        pre-activation block leaves the raw input, whatever it would have read.
        """
        if use.invalid:
            return Val(INPUT, None)
        inputs = [*named] or [before]
        scope = WithChannels(place.scope, inputs[0].channels)
        self.found.frames.append(use)
        try:
            if use.when is not None and not truth(use.when, scope):
                place.absent.append(use)
                return before
            if any(value.shape is None for value in inputs):
                return Val(INPUT, None)
            return self.present(use, place, scope, inputs, body)
        except UnknownValueError as unknown:
            self.found.tell(unknown)
            return Val(INPUT, None)
        finally:
            self.found.frames.pop()

    def present(self, use: Use, place: ExpansionContext, scope: Scope, inputs: list[Val], body: Body) -> Val:
        meaning = self.spec.roles[use.op] if use.op in ROLES else use
        name = place.prefix + use.name
        if meaning.op == "sequential":
            written_in = place if meaning is use else replace(place, scope=self.globals)
            return self.sequential(replace(use, ops=meaning.ops), written_in, inputs[0], body)
        role_scope = WithChannels(self.globals, inputs[0].channels)
        written: dict[str, tuple[Argument, Scope]] = {}
        if meaning is not use:
            written = {key: (argument, role_scope) for key, argument in meaning.arguments.items()}
        written |= {key: (argument, scope) for key, argument in use.arguments.items()}
        if meaning.op in OPERATIONS:
            init = use.init or meaning.init
            return self.primitive(use, OPERATIONS[meaning.op], name, written, place, inputs, body, init)
        return self.nested(use, meaning, name, place, written, inputs[0], body)

    def primitive(
        self,
        use: Use,
        operation: type[Operation],
        name: str,
        written: Mapping[str, tuple[Argument, Scope]],
        place: ExpansionContext,
        inputs: list[Val],
        body: Body,
        init: ScalarNode | None,
    ) -> Val:
        fields = fields_of(operation)
        missing = [key for key, field in fields.items() if key not in written and field.required]
        if missing:
            raise refuse("missing-field", f"`{operation.name}` needs `{missing[0]}`", use.key, f"add `{missing[0]}: ...`")
        values = {key: field_value(fields[key], argument, scope) for key, (argument, scope) in written.items()}
        found = self.bind(operation, values, tuple([value.shape for value in inputs if value.shape is not None]))
        if isinstance(found, Problem):
            ids = tuple(value.id for value in inputs)
            self.found.problem(use, name, found, written, place, inputs, body)
            body.broken.append(BrokenNode(name, operation.name, ids, found.message, use.key))
            return inputs[0] if self.mended else Val(INPUT, None)
        bound, shape = found
        if init is not None:
            _refuse_init(bound, init)
        self.limit_operations(body, 1, use.key)
        ids = tuple(value.id for value in inputs)
        body.nodes.append(Node(name, bound, ids, shape, use.key, init.text if init is not None else ""))
        return Val(len(body.nodes) - 1, shape)

    def bind(
        self, operation: type[Operation], values: dict[str, FieldValue], shapes: tuple[Shape, ...]
    ) -> tuple[Operation, Shape] | Problem:
        """An operation with its arguments, and what leaves it. Equal ones are one object, which later passes know again."""
        key = (operation, tuple(values.items()), shapes)
        found = self.bound.get(key)
        if found is None:
            made = operation.bind(values, shapes[0])
            shape = made if isinstance(made, Problem) else made.shape(*shapes)
            if isinstance(made, Problem) or isinstance(shape, Problem):
                assert isinstance(shape, Problem)
                return shape
            found = self.bound[key] = (made, shape)
        return found

    def sequential(self, use: Use, place: ExpansionContext, value: Val, body: Body) -> Val:
        name = place.prefix + use.name
        self.limit_operations(body, 0, use.key, 1)
        region = body.open(name, "sequential", "sequential", value.id, use.key)
        inner = ExpansionContext(place.scope, {}, name + ".", place.inside)
        for each in use.ops:
            value = self.operation(each, inner, value, body)
        body.close(region, value.id)
        return value

    def nested(
        self,
        use: Use,
        meaning: Use,
        name: str,
        place: ExpansionContext,
        written: Mapping[str, tuple[Argument, Scope]],
        value: Val,
        body: Body,
    ) -> Val:
        """A block among operations: its arguments are evaluated here, in the block around it."""
        block = self.spec.find_block(meaning.op, meaning.op_span)
        assert block is not None
        given: dict[str, Given] = {}
        for key, (argument, scope) in written.items():
            if not isinstance(argument.value, ScalarNode):
                raise refuse("wrong-type", f"`{key}` is one value here; lists are for stages", argument.value.span, "write one")
            given[key] = Evaluated(number(argument.value, scope), argument.value, scope)
        facts: Mapping[str, Number] = {"block_count": self.block_count}
        if place.inside is not None:
            facts = place.inside.facts
        self.found.path.append(name)
        try:
            template, read = self.block(block, given, facts, value, body)
        finally:
            self.found.path.pop()
        if place.inside is not None:
            place.inside.read.update(read)
        return self.place_block(template, name, value, use.key, body)


def _refuse_init(operation: Operation, init: ScalarNode) -> None:
    """Refuse an `init` that has nothing to draw, or needs a matrix where there is a vector."""
    weight = next((tensor for tensor in operation.tensors() if tensor.name == "weight"), None)
    if weight is None:
        raise refuse("init-without-weight", f"`{operation.name}` has no weight that `init` could draw", init.span, "remove it")
    if len(weight.shape) < 2 and init.text not in ("zeros", "ones", "pytorch"):
        message = f"`init: {init.text}` draws matrices, and the weight of `{operation.name}` is a vector"
        raise refuse("init-without-weight", message, init.span, "`zeros` or `ones` would do")


def _scalar(node: object) -> ScalarNode:
    if not isinstance(node, ScalarNode):
        raise AssertionError("arguments hold single values and lists of them")
    return node
