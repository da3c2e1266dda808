"""Checks what can be checked before anything is evaluated: unknown operations and names, missing arguments.

Everything that a spec uses is checked once, even if an `if` may leave it out, so all such mistakes are reported together.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Container, Iterator, Mapping
from dataclasses import replace
from functools import cached_property
from itertools import islice

from resnet_spec.diagnostics import SYNONYMS, Diagnostic, Fix, Label, Span, closest
from resnet_spec.diagnostics.suggestions import Vocabulary, list_known, show_suggestion
from resnet_spec.language import expressions
from resnet_spec.language.editing import remove_entry, rename_field, replace_text, replace_value, set_field, set_path
from resnet_spec.language.fixes import Fixes, is_misspelling, pair_in, propose, propose_word, together
from resnet_spec.language.library import library_block_names
from resnet_spec.language.spec import FACTS, ROLES, Argument, Block, ScalarNode, Spec, Stage, Use, library
from resnet_spec.lowering.findings import merge_repeated
from resnet_spec.lowering.fixes import give_stride, likely_widths
from resnet_spec.lowering.invalid import mark_invalid_uses
from resnet_spec.lowering.uses import names_in, sections_of
from resnet_spec.ops import OPERATIONS, Field, fields_of

_YAML_1_1_BOOLEANS = {"yes": "true", "on": "true", "no": "false", "off": "false"}
_ARGUMENT_SYNONYMS = {
    **SYNONYMS,
    **dict.fromkeys(("planes", "channels", "filters", "out_channels", "num_filters", "features", "out_planes", "dim"), "width"),
    **dict.fromkeys(("num_layers", "n_blocks", "repeat", "layers", "num_repeats"), "depth"),
    **dict.fromkeys(("cardinality", "num_groups"), "groups"),
    "width_per_group": "base_width",
}
_WHERE_OPERATIONS_ARE = "`resnet-spec list --operations` and `resnet-spec list --blocks` list what there is"
_SIZE = re.compile(r"[1-9][0-9]*x[1-9][0-9]*x[1-9][0-9]*")
_CALL = re.compile(r"([A-Za-z_][A-Za-z0-9_.]*)\((.*)\)")
_ATTENTION = "attention and other matrix products over tokens are not part of the language"
_NOT_OPERATIONS = {  # what people look for, and what there is instead
    **dict.fromkeys(("attention", "self_attention", "multihead_attention", "transformer", "embedding", "matmul"), _ATTENTION),
    **dict.fromkeys(("reshape", "view", "permute", "transpose"), "a map stays C x H x W until `flatten` makes a vector of it"),
}
MOST_EARLIER = 100  # the number of last values of a block that an unknown one is compared with
MOST_MISSING = 5  # arguments that are reported as missing from one use of a block
BLOCK_FACTS = tuple(fact for fact in FACTS if fact != "channels")


def check_names(spec: Spec) -> tuple[list[Diagnostic], Spec]:
    """Check the names in a spec; returns the findings in order of use, and the spec with what they are about marked as
    invalid. Blocks that are already marked are skipped."""
    checker = _NameChecker(spec)
    checker.check_spec()
    return merge_repeated(checker.findings), mark_invalid_uses(spec, checker.invalid, checker.seen)


class _Names(Collection[str]):
    """Names from several mappings, in order and each once. Nothing is copied, since thousands of scopes may share a mapping."""

    __slots__ = ("_layers", "_size", "_vocabulary")

    def __init__(self, *layers: Mapping[str, object] | _Names) -> None:
        self._layers = layers
        self._size = 0
        self._vocabulary: Vocabulary | None = None
        for number, layer in enumerate(layers):
            before = layers[:number]
            if len(layer) <= self._size:
                twice = sum(any(name in each for each in before) for name in layer)
            else:
                twice = sum(name in layer for name in {name for each in before for name in each})
            self._size += len(layer) - twice

    def __contains__(self, name: object) -> bool:
        return any(name in layer for layer in self._layers)

    def __iter__(self) -> Iterator[str]:
        for number, layer in enumerate(self._layers):
            yield from (name for name in layer if not any(name in before for before in self._layers[:number]))

    def __len__(self) -> int:
        return self._size

    @property
    def vocabulary(self) -> Vocabulary:
        """The names, indexed for suggestions."""
        if self._vocabulary is None:
            self._vocabulary = Vocabulary(self)
        return self._vocabulary


_CHANNELS = _Names({"channels": None})


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
        self.globals = _Names(spec.params, {"classes": None} if spec.classes is not None else {})
        self.blocks = _Names(dict.fromkeys(spec.block_names()))
        self.operations = _Names(OPERATIONS, dict.fromkeys(("sequential", *ROLES)), self.blocks)
        self.names_in: dict[Block, set[str]] = {}
        self.strides: dict[Block, Fixes] = {}
        self.arguments: dict[tuple[Block, bool], _Names] = {}  # by the block, and whether it is that of a stage
        self.visible: dict[Block, _Names] = {}  # what the arguments of a stage may name

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
        at_top = _Names(self.globals, _CHANNELS)
        for role in spec.roles.values():
            self.check_use(role, at_top)
        for use in spec.stem:
            self.check_use(use, at_top)
        for entry in spec.stages:
            if isinstance(entry, Stage):
                self.check_stage(entry)
            elif not self._is_stage_with_op(entry):
                self.check_use(entry, at_top)
        for use in spec.head:
            self.check_use(use, at_top)
        for block in spec.blocks.values():
            self.check_block(block)
        while self.pending:
            self.check_block(self.pending.pop())

    def _is_stage_with_op(self, use: Use) -> bool:
        """Whether an entry of the stages says `op` and has a depth, as only a stage has; reports it."""
        if "depth" not in use.arguments or use.op in OPERATIONS or use.op in ROLES:
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

    def check_stage(self, stage: Stage) -> None:
        self.current.append(stage.block)
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
            if use.op in OPERATIONS:
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
            self._check_values({"stride": stage.stride}, _Names(self.globals, facts))
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
            self.visible[block] = _Names(self.globals, facts, block.args, block.defaults)
        self._check_values(use.arguments, self.visible[block])
        self.pending.append(block)

    def _stride_for(self, block: Block) -> Fixes:
        """The fixes that give a block a stride; they are the same for all stages."""
        if block not in self.strides:
            self.strides[block] = give_stride(block)
        return self.strides[block]

    def _arguments_of(self, block: Block, stage: bool = False) -> _Names:
        """The names of the arguments that a block takes; in a `stage`, also the depth."""
        key = (block, stage)
        if key not in self.arguments:
            self.arguments[key] = _Names(block.args, block.defaults, {"depth": None} if stage else {})
        return self.arguments[key]

    def check_use(self, use: Use, visible: _Names, earlier: dict[str, None] | None = None, section: bool = False) -> None:
        """One operation, role or block; `earlier` are the values that `from` may name (None: not in a block).
        `section`: it is the `join` of a block, which has its inputs without `from`.
        """
        self.current.append(use)
        self._check_use(use, visible, earlier, section)
        self.current.pop()

    def _check_use(self, use: Use, visible: _Names, earlier: dict[str, None] | None, section: bool) -> None:
        meaning = use
        if use.op in ROLES:
            role = self.spec.roles.get(use.op)
            if role is None:
                usual = "batch_norm" if use.op == "norm" else "relu"
                help = f"define it at the top of the spec: `{use.op}: {usual}`"
                fixes = propose(help, set_path(self.spec.span.source, (use.op,), usual))
                self.refuse("unknown-name", f"the role `{use.op}` is not defined", use.op_span, help, fixes=fixes)
                return
            meaning = role
        if meaning.op in self.spec.blocks and meaning.op in OPERATIONS:  # reported already: the name is taken
            self.invalid.add(use)
            return
        if use.when is not None:
            self._check_value(use.when, visible)
        if not section:
            self._check_inputs(use, meaning, earlier)
        if meaning.op == "sequential":
            for inner in use.ops:
                self.check_use(inner, visible)
            if use is not meaning and use.arguments:
                extra = next(iter(use.arguments.values()))
                message = f"`{use.op}` means `sequential` here, which has no fields"
                self.refuse("unknown-field", message, extra.key, "remove it")
        elif meaning.op in OPERATIONS:
            if use is not meaning:
                self._check_role_fields(use, meaning)
            self._check_values(use.arguments, visible, fields_of(OPERATIONS[meaning.op]))
        else:
            self._check_nested(use, meaning, visible)

    def _check_nested(self, use: Use, meaning: Use, visible: _Names) -> None:
        """Check a block among operations."""
        block = self.spec.find_block(meaning.op, meaning.op_span)
        if block is None:
            message = f"there is no operation or block `{meaning.op}`"
            help, fixes = self._help_for_operation(meaning)
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

    def _help_for_call(self, use: Use, name: str, given: str) -> tuple[str, Fixes]:
        """The help for an operation or a block that is written like a call: `GroupNorm(32)`."""
        near = name if name in self.operations else closest(name.rpartition(".")[2], self.operations.vocabulary, SYNONYMS)
        block = None if near is None else self.spec.find_block(near, use.op_span)
        required = list(block.args) if block is not None else []
        if near in OPERATIONS:
            required = [key for key, field in fields_of(OPERATIONS[near]).items() if field.required]
        if near is None or len(required) != 1 or not re.fullmatch(r"[0-9.]+", given.strip()):
            return f"name its fields: `{{op: {near or name}, NAME: {given}}}`", ()
        text = f"{{op: {near}, {required[0]}: {given.strip()}}}"
        return f"name its fields: `{text}`", propose(f"write `{text}`", replace_text(use.op_span, text))

    def _help_for_operation(self, use: Use) -> tuple[str, Fixes]:
        """The help for an operation that there is not, and its fixes."""
        if (help := _NOT_OPERATIONS.get(use.op.lower(), "")) != "":
            return help, ()
        if self.inside is not None and (use.op in self.inside.args or use.op in self.inside.defaults):
            return (
                f"`{use.op}` is an argument, and the value of an argument cannot be an operation: name the operation here",
                (),
            )
        if (call := _CALL.fullmatch(use.op)) is not None:
            return self._help_for_call(use, call[1], call[2])
        if use.op in ("None", "none", "null") and use.name in ROLES:
            help = "write `identity` for none at all"
            return help, propose(help, replace_text(use.op_span, "identity"), "safe")
        if use.name == "input" and (size := _SIZE.fullmatch(use.op)) is not None:
            help = f"the size of the input belongs at the top: `input: {size[0]}`"
            source = use.key.source
            return help, propose(help, together(remove_entry(use.key), set_path(source, ("input",), size[0])), "safe")
        if use.op in ("None", "none", "null") and use.op_span.source.origin == "spec":
            help = "write `null` to delete the entry"
            return help, propose(help, replace_text(use.op_span, "null"))
        from resnet_spec.lowering.other_names import describe, equivalent, write_as  # only specs with this mistake need it

        other = equivalent(use.op)
        if other is not None:
            help = describe(use.op, *other)
            return help, write_as(use, use.op, *other, help)
        near = closest(use.op, self.operations.vocabulary, SYNONYMS)
        if near is None:
            return _WHERE_OPERATIONS_ARE, ()
        help = f"did you mean `{near}`?"
        return help, (*write_as(use, use.op, near, {}, help), *propose_word(use.op_span, near, use.op))

    def _check_role_fields(self, use: Use, meaning: Use) -> None:
        known = list(fields_of(OPERATIONS[meaning.op]))
        for name, argument in use.arguments.items():
            if name not in known:
                message = f"`{use.op}` means `{meaning.op}` here, which has no field `{name}`"
                related = (Label(meaning.key, f"`{use.op}` is defined here"),)
                near = closest(name, known, SYNONYMS)
                fixes = propose_word(argument.key, near, name) if near not in use.arguments else ()
                self.refuse("unknown-field", message, argument.key, show_suggestion(near, known), related, fixes)

    def _check_inputs(self, use: Use, meaning: Use, earlier: dict[str, None] | None) -> None:
        joins = meaning.op in OPERATIONS and OPERATIONS[meaning.op].joins
        if joins and len(use.inputs) < 2:
            last = list(islice(reversed(earlier or {}), 2))[::-1]
            text = f"[{', '.join(last)}]"
            help = f"add `from: {text if len(last) == 2 else '[NAME, NAME]'}`"
            fixes = propose(help, set_field(use.key, "from", text)) if len(last) == 2 and not use.inputs else ()
            self.refuse("missing-field", f"`{meaning.op}` needs two or more inputs", use.key, help, fixes=fixes)
        is_known = joins or meaning.op in OPERATIONS or meaning.op == "sequential"
        if not joins and len(use.inputs) > 1 and (is_known or self.spec.find_block(meaning.op, meaning.op_span) is not None):
            message = f"`{meaning.op}` takes one input"
            self.refuse("wrong-length", message, use.inputs[1].span, "join the values first, for example with `concat`")
        for name in use.inputs:
            if earlier is not None and name.text not in earlier:
                message = f"`{name.text}` is not an earlier value of the block"
                near = closest(name.text, islice(reversed(earlier), MOST_EARLIER))
                help = list_known(earlier) if near is None else f"did you mean `{near}`?"
                fixes = propose_word(name.span, near, name.text)
                self.refuse("unknown-name", message, name.span, help, fixes=fixes)

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
        undeclared = {name for name in unknown if not _is_misspelled(name, known.vocabulary, use.arguments)}
        self.undeclared.setdefault(block.name, set()).update(undeclared)
        for name, argument in use.arguments.items():
            if name in undeclared:  # reported where the block reads it
                self.invalid.add(self.current[-1])
            elif name not in known:
                message = f"the block `{block.name}` has no argument `{name}`"
                near = closest(name, words, _ARGUMENT_SYNONYMS)
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
        visible = _Names(block.args, block.defaults, block.let, self.globals, facts)
        self.inside = block
        self._check_values(block.defaults, visible, defines=True)
        self._check_values(block.let, visible, defines=True)
        if block.out_channels is not None:
            self._check_values({"out_channels": block.out_channels}, visible)
        in_sections = _Names(visible, _CHANNELS)
        earlier: dict[str, None] = {"input": None}
        for use in sections_of(block):
            self.check_use(use, in_sections, earlier, section=use is block.join)
            earlier[use.name] = None
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
        visible: _Names,
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
            value = argument.value
            for item in (value,) if isinstance(value, ScalarNode) else value.items:
                if isinstance(item, ScalarNode) and item.value not in words:
                    self._check_value(item, visible, field, name if defines else "")

    def _check_value(self, scalar: ScalarNode, visible: _Names, field: Field | None = None, defined: str = "") -> None:
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
                message, (help, fixes) = f"`{name}` is not defined here", self._help_for(name, span, visible, defined)
                words = field.words if field is not None else ()
                if field is not None and words and name == scalar.text and (word := _meant_word(name, words)) is not None:
                    help = f"did you mean `{word}`?" if word != "0" else f"write `0` for no {field.name}"
                    fixes = propose(help, replace_text(span, word), "safe" if word == name.lower() else "likely")
                if (meant := _YAML_1_1_BOOLEANS.get(name.lower())) is not None:
                    message = f"`{name}` is not a boolean in YAML 1.2"
                    help = f"write `{meant}`"
                    fixes = propose(help, replace_text(span, meant), "safe")
                self.refuse("unknown-name", message, span, help, fixes=fixes)

    def _help_for(self, name: str, span: Span, visible: _Names, defined: str = "") -> tuple[str, Fixes]:
        """The help for a name that is not defined, and its fixes."""
        if name == "classes":
            help = "add the number of classes at the top of the spec: `classes: 1000`"
            return help, propose(help, set_path(self.spec.span.source, ("classes",), "1000"))
        block = self.inside
        near = closest(name, visible.vocabulary, SYNONYMS)
        near = None if near == defined else near
        if near is None and (name in OPERATIONS or name in ROLES or library(name) is not None):
            return "an operation cannot be the value of an argument: name it as `op` where it is used", ()
        if block is not None:
            if name in self.undeclared.get(block.name, ()):
                near = None
            if near is None:
                return f"declare it in the block: `args: [{name}]`", ()
        return show_suggestion(near, visible.vocabulary), propose_word(span, near, name)


def _meant_word(name: str, words: Collection[str]) -> str | None:
    """The keyword of a field, or the number, that a word most likely means: `SAME` is `same`, `valid` is no padding."""
    return "0" if name.lower() in ("valid", "none", "no") else closest(name, words)


def _is_misspelled(name: str, words: Vocabulary, given: Container[str]) -> bool:
    """Whether an argument is most likely a misspelling of one of the words, which is not `given` itself."""
    near = closest(name, words)
    return near is not None and near not in given and is_misspelling(name, near)
