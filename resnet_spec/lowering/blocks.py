"""Expands operations, sequences and blocks into a body.

Every operation is bound to its input shape, so the first conflict is found where it arises. What depends on a value that failed
has no shape, and nothing is reported about it. Equal uses of a block (same arguments, same input shape) are expanded once and
copied under their own names; therefore a mistake in a repeated block is reported once.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace
from itertools import islice

from resnet_spec.diagnostics import Diagnostic, Label, Span
from resnet_spec.graph.model import INPUT, BrokenNode, Node
from resnet_spec.language.editing import remove_field, replace_value, set_field
from resnet_spec.language.expressions import Number
from resnet_spec.language.fixes import propose
from resnet_spec.language.spec import Argument, Block, ScalarNode, Spec, Use
from resnet_spec.lowering.body import UNKNOWN, Body, Place, Template, TemplateKey, Templates, Val
from resnet_spec.lowering.context import ExpansionContext, PresentUse, Trail
from resnet_spec.lowering.findings import Findings
from resnet_spec.lowering.origins import Scope
from resnet_spec.lowering.problems import explain_out_channels, explain_problem
from resnet_spec.lowering.roles import Roles, RolesOfBlocks
from resnet_spec.lowering.scope import BlockScope, Evaluated, Given, SpecScope, WithChannels
from resnet_spec.lowering.uses import operation_of
from resnet_spec.lowering.values import UnknownValueError, argument_value, boolean, field_value, refuse
from resnet_spec.ops import OPERATIONS, FieldValue, Operation, Problem, Shape, fields_of

MAX_BLOCKS = 20_000
MAX_OPERATIONS = 200_000
MAX_NESTING = 16
MOST_TRIED = 8  # values that a suggestion for `else` tries


class Expander:
    """Expands the uses of a spec. `block_count` is the number of blocks in its stages.

    `ignore_conflicts`: continue after a conflict as if there were none, to find all other places with one.
    """

    def __init__(
        self, spec: Spec, scope: SpecScope, findings: Findings, block_count: int, ignore_conflicts: bool = False
    ) -> None:
        self.spec = spec
        self.scope = scope
        self.findings = findings
        self.block_count = block_count
        self.ignore_conflicts = ignore_conflicts
        self._templates = Templates()
        self._bound: dict[tuple[object, ...], tuple[Operation, Shape]] = {}
        self._roles_of_blocks = RolesOfBlocks()
        self.roles = Roles(spec.roles)  # at the top

    # --- operations -----------------------------------------------------------------------------------------------------

    def expand_entry(self, use: Use, value: Val, context: ExpansionContext) -> Val:
        """Append one entry of a section, and record its output, which is returned. It reads the values after its `from`, else
        `value`."""
        named = () if use.invalid else tuple(self.read(name, use, context) for name in use.inputs)
        value = self.expand_use(use, value, context, named)
        context.record(use.name, value)
        return value

    def expand_use(self, use: Use, before: Val, context: ExpansionContext, named: Collection[Val] = ()) -> Val:
        """Append one use, an operation, a sequence or a block, and return its output. It reads the values that it `named`,
        else the value `before`.

        If its `if` is false, nothing is appended, and the value of its `else` is returned, or `before`: an absent projection of
        a pre-activation block passes on the raw input, whatever its own input would have been.
        """
        if use.invalid:
            return UNKNOWN
        inputs = tuple(named) or (before,)
        scope = WithChannels(context.scope, inputs[0].channels)
        try:
            if use.when is not None and not boolean(use.when, scope):
                context.absent.append(use)
                if use.otherwise is not None:
                    return self.read(use.otherwise, use, context)
                context.missing[".".join((*context.around, use.name))] = use
                return before
            if use.like is not None:
                inputs = (*inputs, self.read(use.like, use, context))
            if any(value.shape is None for value in inputs):
                return UNKNOWN
            present = self._present(use, inputs, scope, context)
            if present.meaning.op == "sequential":
                return self._expand_sequence(present)
            if (operation := operation_of(self.spec, present.meaning)) is not None:
                return self._expand_operation(present, operation)
            return self._expand_nested(present)
        except UnknownValueError as unknown:
            self.findings.report_unknown(unknown, context.trail.to(use))
            return UNKNOWN

    def read(self, name: ScalarNode, use: Use, context: ExpansionContext) -> Val:
        """The value that `from`, `else` or `like` of a use names. One that is declared and does not exist was in an absent
        shortcut."""
        found = context.find(name.text)
        if found is None:
            message = f"there is no `{name.text}` here: the `if` of `join` is false, so the shortcut is absent"
            finding = Diagnostic("unknown-name", message, name.span, help="use a value of the branch, or `input`")
            self.findings.report(finding, context.trail)
            return UNKNOWN
        path, value = found
        if context.block is None and (absent := context.missing.get(path)) is not None and absent.when is not None:
            message = f"`{use.name}` reads `{name.text}`, which is absent"
            related = (Label(absent.when.span, "false here"), Label(absent.key, f"`{absent.name}` is absent"))
            help = f"add `else: NAME` to `{absent.name}`: the value that it passes on where it is absent"
            tried = dict.fromkeys(("input", *islice(context.values, MOST_TRIED)))
            fixes = tuple(
                fix for each in tried for fix in propose(f"write `else: {each}`", set_field(absent.key, "else", each))
            )
            finding = Diagnostic("absent-value", message, name.span, related=related, help=help, fixes=fixes)
            self.findings.report(finding, context.trail)
            return UNKNOWN
        return value

    def _present(self, use: Use, inputs: tuple[Val, ...], scope: Scope, context: ExpansionContext) -> PresentUse:
        meaning, roles = use, context.roles
        arguments: dict[str, tuple[Argument, Scope]] = {}
        if self.spec.is_role(use.op, use.op_span):
            found = context.roles.find(use.op)
            if found is None:
                message = f"the role `{use.op}` is not defined here"
                raise refuse("unknown-name", message, use.op_span, f"define it at the top of the spec: `{use.op}: ...`")
            meaning, roles = found
            role_scope = WithChannels(self.scope, inputs[0].channels)
            arguments = {key: (argument, role_scope) for key, argument in meaning.arguments.items()}
        arguments |= {key: (argument, scope) for key, argument in use.arguments.items()}
        return PresentUse(use, meaning, roles, arguments, inputs, context)

    def _expand_operation(self, present: PresentUse, operation: type[Operation]) -> Val:
        use, body = present.use, present.context.body
        fields = fields_of(operation)
        missing = [key for key, field in fields.items() if key not in present.arguments and field.required]
        if missing:
            raise refuse("missing-field", f"`{operation.name}` needs `{missing[0]}`", use.key, f"add `{missing[0]}: ...`")
        for key, (argument, _) in present.arguments.items():
            if key not in fields:  # of a role that means another operation here than at the top
                related = (Label(present.meaning.key, f"`{use.op}` is defined here"),)
                message = f"`{use.op}` means `{operation.name}` here, which has no field `{key}`"
                raise refuse("unknown-field", message, argument.key, "remove it", related)
        values = {key: field_value(fields[key], argument, scope) for key, (argument, scope) in present.arguments.items()}
        if use.like is not None:
            values["like"] = True
        bound = self._bind(operation, values, tuple([value.shape for value in present.inputs if value.shape is not None]))
        ids = tuple([value.id for value in present.inputs])
        if isinstance(bound, Problem):
            self._report_problem(present, bound)
            body.broken.append(BrokenNode(present.name, operation.name, ids, bound.message, use.key))
            return present.inputs[0] if self.ignore_conflicts else UNKNOWN
        made, shape = bound
        init = use.init or present.meaning.init
        if init is not None:
            _check_init(made, init, use.key)
        self._check_size(body, 1, use.key)
        name = present.take_name()
        written = "" if name == present.name else present.name
        body.nodes.append(Node(name, made, ids, shape, use.key, init.text if init is not None else "", written))
        return Val(len(body.nodes) - 1, shape)

    def _bind(
        self, operation: type[Operation], values: dict[str, FieldValue], shapes: tuple[Shape, ...]
    ) -> tuple[Operation, Shape] | Problem:
        """Make an operation and compute its output shape. Equal operations are one object, which later passes rely on."""
        key = (operation, tuple(values.items()), shapes)
        found = self._bound.get(key)
        if found is None:
            made = operation.bind(values, shapes[0])
            if isinstance(made, Problem):
                return made
            shape = made.shape(*shapes)
            if isinstance(shape, Problem):
                return shape
            found = self._bound[key] = (made, shape)
        return found

    def _report_problem(self, present: PresentUse, problem: Problem) -> None:
        """Report that an operation cannot be built, unless the same was reported for another one."""
        if self.findings.has_conflict(present.meaning.op, problem.message):
            return
        trail = present.context.trail
        broken = BrokenNode(trail.dotted(present.name), present.meaning.op, (), problem.message, present.use.key)
        self.findings.report_conflict(explain_problem(self.spec, present, problem), broken, trail.to(present.use))

    def _expand_sequence(self, present: PresentUse) -> Val:
        """Expand the operations of a `sequential`, written at the use or in the role."""
        use, meaning, context = present.use, present.meaning, present.context
        body, value = context.body, present.inputs[0]
        self._check_size(body, 0, use.key, 1)
        inline = use.inline or meaning.inline
        name = present.name if inline else present.take_name()
        region = body.open(name, "sequential", "sequential", value.id, use.key, inline, present.name)
        scope = context.scope if meaning is use else self.scope
        place = context.place if inline else Place(name + ".", meaning.numbered, nested=True)
        inner = replace(
            context,
            scope=scope,
            trail=context.trail.to(use),
            roles=present.roles,
            place=place,
            prefix=present.name + ".",
            values={},
            around=(),
            absent=[],
            missing={},
        )
        for each in meaning.ops:
            value = self.expand_use(each, value, inner)
        body.close(region, value.id)
        return value

    # --- blocks ---------------------------------------------------------------------------------------------------------

    def _expand_nested(self, present: PresentUse) -> Val:
        """Expand a block among operations: its arguments are evaluated here, in the enclosing block."""
        block = self.spec.find_block(present.meaning.op, present.meaning.op_span)
        assert block is not None
        given: dict[str, Given] = {}
        for key, (argument, scope) in present.arguments.items():
            given[key] = Evaluated(argument_value(argument.value, scope), argument.value, scope)
        context, value, use = present.context, present.inputs[0], present.use
        facts: Mapping[str, Number] = {"block_count": self.block_count}
        if context.block is not None:
            facts = context.block.facts
        trail = context.trail.to(use).into(present.name, context.body, value.id)
        roles = self.roles_inside(block, use, self.roles_inside(block, present.meaning, present.roles))
        inline = use.inline or present.meaning.inline
        template, read = self.block_template(block, given, facts, value, trail, roles, inline)
        if context.block is not None:
            context.block.read.update(read)
        if inline:
            return self.append_inline(template, present.name, value, use.key, context.body, context.place)
        name = present.take_name()
        return self.append_block(template, name, value, use.key, context.body, present.name)

    def roles_inside(self, block: Block, use: Use, around: Roles) -> Roles:
        """What the roles mean inside a use of a block."""
        return self._roles_of_blocks.enter(block, use, around)

    def block_template(
        self,
        block: Block,
        given: Mapping[str, Given],
        facts: Mapping[str, Number],
        value: Val,
        trail: Trail,
        roles: Roles,
        inline: bool,
    ) -> tuple[Template, frozenset[str]]:
        """The expansion of a block for its arguments and input, and the index facts that it depends on. An equal one is reused.
        `trail` leads into the block, and `roles` hold in it. Raises UnknownValueError."""
        if block.invalid:
            raise UnknownValueError
        if len(trail.uses) > MAX_NESTING:
            help = f"check if `{block.name}` uses itself"
            raise refuse("too-deep", f"blocks are nested more than {MAX_NESTING} levels deep", trail.uses[-1].key, help)
        assert value.shape is not None
        scope = BlockScope(block, given, facts, value.shape[0], self.scope)
        arguments = [(name, scope.lookup(name)) for name in given]
        typed = tuple([(name, type(argument), argument) for name, argument in arguments])
        key = TemplateKey(block, value.shape, typed, roles, block.numbered and not inline)
        template = self._templates.find(key, facts)
        if template is None:
            template = self._expand_block(key, scope, trail)
            self._templates.add(key, facts, template)
        return template, template.read | scope.read

    def _expand_block(self, key: TemplateKey, scope: BlockScope, trail: Trail) -> Template:
        block, body = key.block, Body()
        start = Val(INPUT, key.entering)
        place = Place("", key.numbered)
        context = ExpansionContext(body, scope, trail, key.roles, place, scope, values={"input": start})
        value = self._expand_section(block.branch, start, context)
        join = block.join
        if join is not None:
            if join.when is None or self._holds(join.when, WithChannels(scope, value.channels), trail):
                shortcut = self._expand_section(block.shortcut, start, context)
                value = self._expand_join(join, shortcut, value, context)
            elif join.otherwise is not None:
                value = self.read(join.otherwise, join, context)
            context.values[join.name] = value
        value = self._expand_section(block.after, value, context)
        if not self._has_declared_channels(value, context):
            value = replace(value, shape=None)
        is_renamed = any(node.written for node in body.nodes) or any(region.written for region in body.regions)
        return Template(block.name, body, value, frozenset(scope.read), is_renamed)

    def _expand_section(self, uses: tuple[Use, ...], value: Val, context: ExpansionContext) -> Val:
        for use in uses:
            value = self.expand_entry(use, value, context)
        return value

    def _holds(self, when: ScalarNode, scope: Scope, trail: Trail) -> bool:
        """Whether a condition is true; one that cannot be evaluated is reported, and counts as true."""
        try:
            return boolean(when, scope)
        except UnknownValueError as unknown:
            self.findings.report_unknown(unknown, trail)
            return True

    def _expand_join(self, join: Use, shortcut: Val, branch: Val, context: ExpansionContext) -> Val:
        if join.invalid:
            return UNKNOWN
        if shortcut.shape is not None and branch.shape is not None:
            result = OPERATIONS[join.op]().shape(shortcut.shape, branch.shape)
            if isinstance(result, Problem):
                from resnet_spec.lowering.join_conflict import explain_join_conflict  # only specs with this mistake need it

                broken = BrokenNode(join.name, join.op, (shortcut.id, branch.id), result.message, join.key)
                context.body.broken.append(broken)
                named = replace(broken, name=context.trail.dotted(join.name), inputs=())
                finding = explain_join_conflict(self.spec, join, shortcut, branch, context)
                self.findings.report_conflict(finding, named, context.trail)
                return branch if self.ignore_conflicts else UNKNOWN
        return self.expand_use(replace(join, when=None), branch, context, [shortcut, branch])

    def _has_declared_channels(self, value: Val, context: ExpansionContext) -> bool:
        """Whether the output of a block has the number of channels that its `out_channels` declares."""
        scope = context.block
        if scope is None or scope.block.out_channels is None or value.shape is None:
            return True
        try:
            declared = scope.lookup("out_channels")
        except UnknownValueError as unknown:
            self.findings.report_unknown(unknown, context.trail)
            return False
        if declared == value.shape[0]:
            return True
        self.findings.report(explain_out_channels(context, value, declared), context.trail)
        return self.ignore_conflicts

    def append_block(self, template: Template, name: str, value: Val, span: Span, body: Body, written: str) -> Val:
        """Append a block as a module with a name, with the input `value`. `written` is its path in the file. Raises
        UnknownValueError if the network becomes too large."""
        self._check_room(template, body, span)
        return Val(body.copy(template, name, value.id, span, written), template.output.shape)

    def append_inline(self, template: Template, written: str, value: Val, span: Span, body: Body, place: Place) -> Val:
        """Append a block whose operations are children of a place, as `append_block` does."""
        self._check_room(template, body, span)
        return Val(body.copy_inline(template, place, value.id, span, written), template.output.shape)

    def _check_room(self, template: Template, body: Body, span: Span) -> None:
        if body.blocks + template.body.blocks >= MAX_BLOCKS:
            raise refuse("too-many-blocks", f"a network has at most {MAX_BLOCKS:,} blocks", span)
        self._check_size(body, len(template.body.nodes), span, len(template.body.regions))

    def _check_size(self, body: Body, nodes: int, span: Span, regions: int = 0) -> None:
        """Raise UnknownValueError if the network becomes too large with `nodes` and `regions` more."""
        if max(len(body.nodes) + nodes, len(body.regions) + regions) > MAX_OPERATIONS:
            raise refuse("too-many-operations", f"a network has at most {MAX_OPERATIONS:,} operations", span)


def _check_init(operation: Operation, init: ScalarNode, key: Span) -> None:
    """Reject an `init` for an operation without a weight, or a method for matrices if the weight is a vector."""
    weight = next((tensor for tensor in operation.tensors() if tensor.name == "weight"), None)
    if weight is None:
        message = f"`{operation.name}` has no weight to initialize"
        raise refuse(
            "init-without-weight", message, init.span, "remove it", fixes=propose("remove it", remove_field(key, "init"))
        )
    if not isinstance(init.value, str):
        if len(weight.shape) < 2:
            return
        message = (
            f"`init: {init.text}` is a number, which is for the weights of norms, but that of `{operation.name}` is a matrix"
        )
        fixes = propose("write `init: trunc_normal`", replace_value(init, "trunc_normal"))
        raise refuse("init-without-weight", message, init.span, "name a method, such as `trunc_normal`", fixes=fixes)
    if len(weight.shape) < 2 and init.text not in ("zeros", "ones", "pytorch"):
        message = f"`init: {init.text}` is for matrices, but the weight of `{operation.name}` is a vector"
        fixes = propose("write `init: zeros`", replace_value(init, "zeros"))
        raise refuse("init-without-weight", message, init.span, "use `zeros` or `ones`", fixes=fixes)
