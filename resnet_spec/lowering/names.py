"""Checks what can be checked before anything is evaluated: unknown operations and names, missing arguments.

Everything that a spec uses is checked once, even if an `if` may leave it out, so all such mistakes are reported together.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from itertools import islice

from resnet_spec.diagnostics import SYNONYMS, Diagnostic, Fix, Label, Span, closest
from resnet_spec.diagnostics.suggestions import show_suggestion
from resnet_spec.language import expressions
from resnet_spec.language.editing import rename_field, replace_text, replace_value, set_field, set_path
from resnet_spec.language.expressions import expressions_in_braces
from resnet_spec.language.fixes import Fixes, pair_in, propose, propose_word
from resnet_spec.language.library import library_block_names
from resnet_spec.language.spec import (
    FACTS,
    ROLES,
    Argument,
    Block,
    Group,
    ScalarNode,
    Spec,
    SpecEntry,
    Stage,
    Use,
    library,
    scalars_of,
)
from resnet_spec.lowering.block_names import FACTS_OF_NAMES
from resnet_spec.lowering.earlier_values import EarlierValues, paths_with_groups
from resnet_spec.lowering.findings import merge_repeated
from resnet_spec.lowering.fixes import give_stride, likely_widths
from resnet_spec.lowering.invalid import mark_invalid_uses
from resnet_spec.lowering.name_help import (
    ARGUMENT_SYNONYMS,
    YAML_1_1_BOOLEANS,
    explain_operation,
    explain_variable,
    is_misspelled,
    meant_word,
)
from resnet_spec.lowering.name_sets import Names
from resnet_spec.lowering.uses import names_in, operation_of, sections_of, uses_of
from resnet_spec.ops import OPERATIONS, Field, fields_of

_CHANNELS = Names({"channels": None})
MOST_MISSING = 5  # arguments that are reported as missing from one use of a block
BLOCK_FACTS = tuple(fact for fact in FACTS if fact != "channels")


def check_names(spec: Spec) -> tuple[list[Diagnostic], Spec]:
    """Check the names in a spec; returns the findings in order of use, and the spec with what they are about marked as
    invalid. Blocks that are already marked are skipped."""
    checker = _NameChecker(spec)
    checker.check_spec()
    return merge_repeated(checker.findings), mark_invalid_uses(spec, checker.invalid, checker.seen)


class _NameChecker:
    def __init__(self, spec: Spec) -> None:
        self.spec = spec
        self.findings: list[Diagnostic] = []
        self.invalid: set[Use | Block] = set()
        self.current: list[Use] = []  # the uses that enclose what is being checked
        self.seen: set[Block] = set()
        self.pending: list[Block] = []  # blocks that are used but not yet checked
        self.inside: Block | None = None  # the block that is being checked
        self.undeclared: dict[str, set[str]] = {}  # by block: arguments that its uses give and it reads, but does not declare
        self.globals = Names(spec.params, {"classes": None} if spec.classes is not None else {})
        self.at_top = Names(self.globals, _CHANNELS)
        self.blocks = Names(dict.fromkeys(spec.block_names()))
        self.operations = Names(OPERATIONS, dict.fromkeys(("sequential", *ROLES)), spec.roles, self.blocks)
        self.names_in: dict[Block, set[str]] = {}
        self.strides: dict[Block, Fixes] = {}
        self.arguments: dict[tuple[Block, bool], Names] = {}  # by the block, and whether it is that of a stage
        self.visible: dict[Block, Names] = {}  # what the arguments of a stage may name

    def refuse(
        self,
        code: str,
        message: str,
        span: Span,
        help: str = "",
        related: tuple[Label, ...] = (),
        fixes: tuple[Fix, ...] = (),
    ) -> None:
        """Report a finding about the use that is being checked."""
        self._add(Diagnostic(code, message, span, related=related, help=help, fixes=fixes))

    def _add(self, finding: Diagnostic) -> None:
        self.findings.append(finding)
        if self.current:
            self.invalid.add(self.current[-1])

    def _is_invalid(self, block: Block) -> bool:
        """Whether a block is invalid as a whole, as was reported before."""
        return block.invalid or block in self.invalid

    def check_spec(self) -> None:
        spec = self.spec
        if not (spec.stem or spec.stages or spec.head):
            message = "there is nothing to build: the spec has no stem, stages or head"
            self.refuse("no-network", message, spec.span, "add one of them, or extend a network: `extends: NAME`")
        self._check_values(spec.params, self.globals, defines=True)
        for role in spec.roles.values():
            self.check_use(role, self.at_top)
        earlier = EarlierValues(dict(paths_with_groups((*spec.stem, *spec.stages, *spec.head))))
        self._check_entries((*spec.stem, *spec.stages, *spec.head), earlier)
        for output in spec.outputs:
            is_given = output.key.source.origin == "command line"  # it may also be the name of a module
            if not is_given and not earlier.knows(output.value.text):
                found = earlier.explain(output.value)
                self._add(
                    replace(found, message=found.message.replace("is not an earlier value", "is no entry of the network"))
                )
        for block in spec.blocks.values():
            self.check_block(block)
        while self.pending:
            self.check_block(self.pending.pop())

    def _check_entries(self, entries: Sequence[SpecEntry], earlier: EarlierValues) -> None:
        """Check the entries of stem, stages and head, or of a group; `earlier` are the values that they may read."""
        for entry in entries:
            match entry:
                case Group():
                    self._check_entries(entry.entries, earlier.inside(entry.name))
                case Stage():
                    self.check_stage(entry, earlier)
                case Use():
                    if not self._is_stage_with_op(entry):
                        self.check_use(entry, self.at_top, earlier)
            earlier.add(entry.name)

    def _check_roles(self, roles: Mapping[str, Use]) -> None:
        """Check the definitions of roles that hold in a stage, in a block, or in a use of a block."""
        for role in roles.values():
            self.check_use(role, self.at_top)

    @cached_property
    def placed_roles(self) -> set[str]:
        """The roles that some place defines otherwise than the top of the spec."""
        uses = [entry.block if isinstance(entry, Stage) else entry for entry in self.spec.entries]
        blocks = [*self.spec.blocks.values()]
        for block in blocks:
            uses += uses_of(block)
        places = [*(use.roles for use in uses), *(block.roles for block in blocks)]
        return {role for roles in places for role in roles}

    def _is_stage_with_op(self, use: Use) -> bool:
        """Whether an entry of the stages says `op` and has a depth, as only a stage has; reports it."""
        if "depth" not in use.arguments or operation_of(self.spec, use) or self.spec.is_role(use.op, use.op_span):
            return False
        block = self.spec.find_block(use.op, use.op_span)
        if block is None or "depth" in block.args or "depth" in block.defaults:
            return False
        message = f"`op` makes `{use.name}` a single use of the block `{use.op}`, which has no `depth`"
        fixes = propose(f"write `block: {use.op}`: then it is a stage", rename_field(use.key, "op", "block"), "safe")
        help = f"a stage names its block with `block`: `{use.name}: {{block: {use.op}, ...}}`"
        self.current.append(use)
        self.refuse("unknown-field", message, use.arguments["depth"].key, help, fixes=fixes)
        self.current.pop()
        return True

    def check_stage(self, stage: Stage, earlier: EarlierValues) -> None:
        self.current.append(stage.block)
        for name in stage.inputs:
            self._check_source(name, earlier)
        self._check_roles(stage.block.roles)
        for scalar in expressions_in_braces(stage.names) if stage.names is not None else ():
            self._check_value(scalar, Names(self.globals, dict.fromkeys(FACTS_OF_NAMES)))
        self._check_stage(stage)
        self.current.pop()

    def _check_stage(self, stage: Stage) -> None:
        use = stage.block
        if use.invalid:  # reported already: the stage has no block
            return
        if stage.depth is not None:
            self._check_value(stage.depth, self.globals)
        block = self.spec.find_block(use.op, use.op_span)
        if block is None:
            message = f"there is no block `{use.op}`"
            if operation_of(self.spec, use) is not None:
                message = f"`{use.op}` is an operation, but a stage consists of blocks"
            near = closest(use.op, self.blocks.vocabulary)
            help, fixes = show_suggestion(near, self.blocks.vocabulary), propose_word(use.op_span, near, use.op)
            self.refuse("unknown-block", message, use.op_span, help, fixes=fixes)
            return
        given = {**use.arguments, **({"stride": stage.stride} if stage.stride is not None else {})}
        if self._replaces_library_block(block, given):
            return
        if stage.stride is not None and not self._is_invalid(block):
            facts = dict.fromkeys(fact for fact in BLOCK_FACTS if fact != "out_channels")
            self._check_values({"stride": stage.stride}, Names(self.globals, facts))
            if "stride" not in block.args and "stride" not in block.defaults:
                message = f"the block `{block.name}` has no argument `stride`"
                help = "add it to the block: `defaults: {stride: 1}`"
                if block.key.source.origin == "library":
                    help = "add a pool between the stages, or use a block that has a stride"
                self.refuse("unknown-field", message, stage.stride.key, help, fixes=self._stride_for(block))
        if self._is_invalid(block):
            return
        self._check_arguments(use, block, stage.key, stage=True)
        if block not in self.visible:
            facts = dict.fromkeys((*BLOCK_FACTS, "stride"))
            self.visible[block] = Names(self.globals, facts, block.args, block.defaults)
        self._check_values(use.arguments, self.visible[block])
        self.pending.append(block)

    def _stride_for(self, block: Block) -> Fixes:
        """The fixes that give a block a stride; they are the same for all stages."""
        if block not in self.strides:
            self.strides[block] = give_stride(block)
        return self.strides[block]

    def _arguments_of(self, block: Block, stage: bool = False) -> Names:
        """The names of the arguments that a block takes; in a `stage`, also the depth."""
        key = (block, stage)
        if key not in self.arguments:
            self.arguments[key] = Names(block.args, block.defaults, {"depth": None} if stage else {})
        return self.arguments[key]

    def check_use(self, use: Use, visible: Names, earlier: EarlierValues | None = None, section: bool = False) -> None:
        """One operation, role or block; `earlier` are the values that `from` may name (None: not in a block).
        `section`: it is the `join` of a block, which has its inputs without `from`.
        """
        self.current.append(use)
        self._check_use(use, visible, earlier, section)
        self.current.pop()

    def _check_use(self, use: Use, visible: Names, earlier: EarlierValues | None, section: bool) -> None:
        meaning = use
        self._check_roles(use.roles)
        if self.spec.is_role(use.op, use.op_span):
            role = self.spec.roles.get(use.op)
            if role is None and use.op in self.placed_roles:
                return
            if role is None:
                usual = "batch_norm" if use.op == "norm" else "relu"
                help = f"define it at the top of the spec: `{use.op}: {usual}`"
                fixes = propose(help, set_path(self.spec.span.source, (use.op,), usual))
                self.refuse("unknown-name", f"the role `{use.op}` is not defined", use.op_span, help, fixes=fixes)
                return
            meaning = role
        operation = operation_of(self.spec, meaning)
        if operation is not None and meaning.op in self.spec.blocks:  # reported already: the name is taken
            self.invalid.add(use)
            return
        if use.when is not None:
            self._check_value(use.when, visible)
        if not section:
            self._check_inputs(use, meaning, earlier)
        if earlier is not None:
            for name in (use.like, use.otherwise):
                if name is not None:
                    self._check_source(name, earlier)
        if meaning.op == "sequential":
            for inner in use.ops:
                self.check_use(inner, visible)
            if use is not meaning and use.arguments:
                extra = next(iter(use.arguments.values()))
                message = f"`{use.op}` means `sequential` here, which has no fields"
                self.refuse("unknown-field", message, extra.key, "remove it")
        elif operation is not None:
            if use is not meaning and use.op not in self.placed_roles:
                self._check_role_fields(use, meaning)
            self._check_values(use.arguments, visible, fields_of(operation))
        else:
            self._check_nested(use, meaning, visible)

    def _check_nested(self, use: Use, meaning: Use, visible: Names) -> None:
        """Check a block among operations."""
        block = self.spec.find_block(meaning.op, meaning.op_span)
        if block is None:
            message, help, fixes = explain_operation(self.spec, meaning, self.inside, self.operations)
            self.refuse("unknown-operation", message, meaning.op_span, help, fixes=fixes)
            return
        if self._is_invalid(block):
            return
        if use.init is not None:
            message = f"`init` is for operations, but `{meaning.op}` is a block"
            self.refuse("unknown-field", message, use.init.span, "add it to an operation inside the block")
        whole = Use(use.name, use.key, meaning.op, use.op_span, {**meaning.arguments, **use.arguments})
        if self._replaces_library_block(block, whole.arguments):
            return
        self._check_arguments(whole, block, use.key, stage=False)
        self._check_values(use.arguments, visible)
        self.pending.append(block)

    def _check_role_fields(self, use: Use, meaning: Use) -> None:
        known = list(fields_of(OPERATIONS[meaning.op]))
        for name, argument in use.arguments.items():
            if name not in known:
                message = f"`{use.op}` means `{meaning.op}` here, which has no field `{name}`"
                related = (Label(meaning.key, f"`{use.op}` is defined here"),)
                near = closest(name, known, SYNONYMS)
                fixes = propose_word(argument.key, near, name) if near not in use.arguments else ()
                self.refuse("unknown-field", message, argument.key, show_suggestion(near, known), related, fixes)

    def _check_inputs(self, use: Use, meaning: Use, earlier: EarlierValues | None) -> None:
        operation = operation_of(self.spec, meaning)
        joins = operation is not None and operation.joins
        if joins and len(use.inputs) < 2:
            last = list(islice(reversed(earlier.names if earlier is not None else {}), 2))[::-1]
            text = f"[{', '.join(last)}]"
            help = f"add `from: {text if len(last) == 2 else '[NAME, NAME]'}`"
            fixes = propose(help, set_field(use.key, "from", text)) if len(last) == 2 and not use.inputs else ()
            self.refuse("missing-field", f"`{meaning.op}` needs two or more inputs", use.key, help, fixes=fixes)
        is_known = joins or operation is not None or meaning.op == "sequential"
        if not joins and len(use.inputs) > 1 and (is_known or self.spec.find_block(meaning.op, meaning.op_span) is not None):
            message = f"`{meaning.op}` takes one input"
            self.refuse("wrong-length", message, use.inputs[1].span, "join the values first, for example with `concat`")
        for name in use.inputs:
            if earlier is not None:
                self._check_source(name, earlier)

    def _check_source(self, name: ScalarNode, earlier: EarlierValues) -> None:
        """Check whether a name means an earlier value."""
        if not earlier.knows(name.text):
            self._add(earlier.explain(name, " of the block" if self.inside is not None else ""))

    def _replaces_library_block(self, block: Block, given: Mapping[str, Argument]) -> bool:
        """Whether a new block has the name of a library block but lacks one of its arguments that is `given` here."""
        patched = library(block.name)
        if patched is None or block.everywhere:
            return False
        takes, taken = self._arguments_of(block), self._arguments_of(patched)
        lacking = [name for name in given if name in taken and name not in takes]
        if lacking and not self._is_invalid(block):
            message = f"`{block.name}` is a new block here that replaces the library's, but has no argument `{lacking[0]}`"
            help = f"add `extends: {block.name}` to it, to patch the library's block instead"
            related = (Label(given[lacking[0]].key, f"`{lacking[0]}` is given here"),)
            fixes = propose(help, set_field(block.key, "extends", block.name))
            self._add(Diagnostic("unknown-field", message, block.key, related=related, help=help, fixes=fixes))
            self.invalid.add(block)
        return bool(lacking)

    def _check_arguments(self, use: Use, block: Block, key: Span, stage: bool) -> None:
        """Check whether a use passes the arguments that a block takes."""
        known = self._arguments_of(block)
        meant: set[str | None] = set()  # by misspelled arguments: these are not also missing
        words = self._arguments_of(block, stage).vocabulary
        unknown = [name for name in use.arguments if name not in known and self._is_undeclared(name, block)]
        undeclared = {name for name in unknown if not is_misspelled(name, known.vocabulary, use.arguments)}
        self.undeclared.setdefault(block.name, set()).update(undeclared)
        for name, argument in use.arguments.items():
            if name in undeclared:  # reported where the block reads it
                self.invalid.add(self.current[-1])
            elif name not in known:
                message = f"the block `{block.name}` has no argument `{name}`"
                near = closest(name, words, ARGUMENT_SYNONYMS)
                help = show_suggestion(near, words)
                if near is None:
                    blocks = [taker for each in library_block_names() if (taker := library(each)) is not None]
                    takers = [taker.name for taker in blocks if name in taker.args or name in taker.defaults]
                    help += f"; `{takers[0]}` has `{name}`" if takers else ""
                fixes = propose_word(argument.key, near, name) if near not in use.arguments else ()
                self.refuse("unknown-field", message, argument.key, help, fixes=fixes)
                meant.add(near)
        missing = (name for name in block.args if name not in use.arguments and name not in meant)
        missing = (name for name in missing if not (stage and name == "stride"))
        for name in islice(missing, MOST_MISSING):
            example = (self.widths.get(use, "64") if stage else "64") if name == "width" else "..."
            help = f"add `{name}: {example}`"
            fixes = propose(help, set_field(key, name, example)) if name == "width" else ()
            self.refuse("missing-field", f"the block `{block.name}` needs the argument `{name}`", key, help, fixes=fixes)
        if next(missing, None) is not None:
            message = f"the block `{block.name}` takes {len(block.args)} arguments, and {len(use.arguments)} are given"
            help = "give arguments a default where they have one: `defaults: {NAME: VALUE}`"
            self.refuse("missing-field", message, key, help)

    @cached_property
    def widths(self) -> dict[Use, str]:
        """The widths that the stages most likely have, by their uses of a block."""
        return likely_widths(self.spec)

    def _is_undeclared(self, name: str, block: Block) -> bool:
        """Whether a block uses a name that it does not declare, as if it were an argument."""
        if block not in self.names_in:
            self.names_in[block] = names_in(block)
        return name in self.names_in[block] and not (name in block.let or name in self.globals or name in FACTS)

    def check_block(self, block: Block) -> None:
        """Check the body of a block, once."""
        if block in self.seen or self._is_invalid(block):
            return
        self.seen.add(block)
        facts = dict.fromkeys(fact for fact in BLOCK_FACTS if fact != "out_channels" or block.out_channels is not None)
        visible = Names(block.args, block.defaults, block.let, self.globals, facts)
        self.inside = block
        self._check_values(block.defaults, visible, defines=True)
        self._check_values(block.let, visible, defines=True)
        if block.out_channels is not None:
            self._check_values({"out_channels": block.out_channels}, visible)
        in_sections = Names(visible, _CHANNELS)
        earlier = EarlierValues(dict(paths_with_groups(sections_of(block))))
        self._check_roles(block.roles)
        for use in sections_of(block):
            self.check_use(use, in_sections, earlier, section=use is block.join)
            earlier.add(use.name)
        if block.join is None or block.join.invalid or block.join in self.invalid:
            return
        if not (block.join.op in OPERATIONS and OPERATIONS[block.join.op].joins):
            joins = [name for name, operation in OPERATIONS.items() if operation.joins]
            self.invalid.add(block.join)
            message = f"`{block.join.op}` cannot join two values"
            near = closest(block.join.op, joins, SYNONYMS)
            fixes = propose_word(block.join.op_span, near, block.join.op)
            self.refuse("unknown-operation", message, block.join.op_span, show_suggestion(near, joins), (), fixes)

    def _check_values(
        self,
        arguments: Mapping[str, Argument],
        visible: Names,
        fields: Mapping[str, Field] | None = None,
        defines: bool = False,
    ) -> None:
        """Check the values of arguments; the keywords of `fields` are not expressions. `defines`: they define names, none of
        which can mean itself."""
        for name, argument in arguments.items():
            field = fields.get(name) if fields is not None else None
            if fields is not None and (field is None or field.kind == "word"):  # unknown fields were reported before
                continue
            words = field.words if field is not None else ()
            for item in scalars_of(argument):
                if item.value not in words:
                    self._check_value(item, visible, field, name if defines else "")

    def _check_value(self, scalar: ScalarNode, visible: Names, field: Field | None = None, defined: str = "") -> None:
        """Check a value that may be an expression: its form, and whether its names are visible."""
        if not isinstance(scalar.value, str):
            return
        parsed = expressions.parse(scalar.value)
        if isinstance(parsed, expressions.ExpressionError):
            found = expressions.diagnose(parsed, scalar)
            if (pair := pair_in(scalar.text, squared=field is not None and field.kind == "pair")) is not None:
                help = f"write `{pair}`, for a height and a width"
                found = replace(found, message=f"`{scalar.text}` is not a number, and not a list of two")
                found = replace(found, help=help, fixes=propose(help, replace_value(scalar, pair), "safe"))
            self._add(found)
            return
        for name, start, stop in parsed.names:
            if name not in visible:
                span = expressions.span_of(scalar, start, stop)
                undeclared = self.undeclared.get(self.inside.name, ()) if self.inside is not None else ()
                message = f"`{name}` is not defined here"
                help, fixes = explain_variable(self.spec, name, span, visible, self.inside, undeclared, defined)
                words = field.words if field is not None else ()
                if field is not None and words and name == scalar.text and (word := meant_word(name, words)) is not None:
                    help = f"did you mean `{word}`?" if word != "0" else f"write `0` for no {field.name}"
                    fixes = propose(help, replace_text(span, word), "safe" if word == name.lower() else "likely")
                if (meant := YAML_1_1_BOOLEANS.get(name.lower())) is not None:
                    message = f"`{name}` is not a boolean in YAML 1.2"
                    help = f"write `{meant}`"
                    fixes = propose(help, replace_text(span, meant), "safe")
                self.refuse("unknown-name", message, span, help, fixes=fixes)
