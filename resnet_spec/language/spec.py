"""The Spec: a merged, valid document as typed values that still know where they stand.

Goes in: `Resolved`. Comes out: `Spec`, or diagnostics about shape and names of the document (the JSON Schema's, reserved
names, places where something cannot stand). Nothing is evaluated here: numbers may still be expressions.
"""

from __future__ import annotations

import keyword
from collections.abc import Container, Iterator
from dataclasses import dataclass, field, replace
from typing import Literal

from resnet_spec.diagnostics import Diagnostic, Label, Span, SpecError, suggestion
from resnet_spec.language.library import library_block, library_block_names, shipped_names
from resnet_spec.language.merge import BlockText, Resolved
from resnet_spec.language.reader import Entry, MappingNode, ScalarNode, SequenceNode, YamlNode, mark_invalid
from resnet_spec.language.validation import Validation, operation_names, validate_block, validate_whole

__all__ = ["Argument", "ArgumentValue", "Block", "Expect", "ScalarNode", "SequenceNode", "Spec", "Stage", "Use", "parse_spec"]

ArgumentValue = ScalarNode | SequenceNode
Role = Literal["norm", "act"]

ROLES: tuple[Role, ...] = ("norm", "act")
FACTS = ("in_channels", "out_channels", "first", "stage_index", "block_index", "block_count", "channels")
STAGE_WORDS = ("block", "depth", "op", "ops", "if", "from", "init", "insert_before", "insert_after")
_NEEDED_PARTS = ("stem", "stages", "head", "blocks", "params", "norm", "act")  # without one of these the rest is a guess
_NOT_ARGUMENTS = ("op", "if", "from", "init", "ops", "insert_before", "insert_after")
# Names a child of a torch.nn.Module cannot have; a test compares the list with torch's own.
MODULE_ATTRIBUTES = frozenset(
    """
    T_destination _apply _backward_hooks _backward_pre_hooks _buffers _call_impl _compiled_call_impl _forward_hooks
    _forward_hooks_always_called _forward_hooks_with_kwargs _forward_pre_hooks _forward_pre_hooks_with_kwargs
    _get_backward_hooks _get_backward_pre_hooks _get_name _is_full_backward_hook _label _load_from_state_dict
    _load_state_dict_post_hooks _load_state_dict_pre_hooks _maybe_warn_non_full_backward_hook _modules
    _named_members _non_persistent_buffers_set _output _parameters _plan _register_load_state_dict_pre_hook _runs_in_order
    _register_state_dict_hook _registers _replicate_for_data_parallel _save_to_state_dict _slow_forward
    _state_dict_hooks _state_dict_pre_hooks _version _wrapped_call_impl add_module apply bfloat16 buffers
    call_super_init children compile cpu cuda double dump_patches eval extra_repr float forward get_buffer
    get_extra_state get_parameter get_submodule half ipu load_state_dict modules mtia named_buffers named_children
    named_modules named_parameters parameters register_backward_hook register_buffer register_forward_hook
    register_forward_pre_hook register_full_backward_hook register_full_backward_pre_hook
    register_load_state_dict_post_hook register_load_state_dict_pre_hook register_module register_parameter
    register_state_dict_post_hook register_state_dict_pre_hook requires_grad_ set_extra_state set_submodule
    share_memory state_dict to to_empty train training type xpu zero_grad
    """.split()  # noqa: SIM905
)


@dataclass(frozen=True, slots=True)
class Argument:
    """A field of an operation or an argument of a block, as written."""

    key: Span
    value: ArgumentValue


@dataclass(frozen=True, slots=True, eq=False)
class Use:
    """An operation, a role or a block where it is used, under its name. Two uses are equal only if they are the same use.

    `invalid`: a finding was reported about it, so what follows from it is not examined.
    """

    name: str
    key: Span
    op: str
    op_span: Span
    arguments: dict[str, Argument] = field(default_factory=dict)
    ops: tuple[Use, ...] = ()
    when: ScalarNode | None = None  # `if`
    inputs: tuple[ScalarNode, ...] = ()  # `from`
    init: ScalarNode | None = None
    invalid: bool = False


@dataclass(frozen=True, slots=True)
class Stage:
    """A stage: `block` already has the top-level default, the stage's own patch and the stage's arguments."""

    name: str
    key: Span
    block: Use
    depth: ScalarNode | None
    stride: Argument | None


@dataclass(frozen=True, slots=True, eq=False)
class Block:
    """A kind of block. Two blocks are equal only if they are the same block.

    `everywhere`: it is the library's, or patches the library's for every use. `invalid`: a finding was reported about it as
    a whole, so its uses are not expanded.
    """

    name: str
    key: Span
    about: str
    args: dict[str, Span]
    defaults: dict[str, Argument]
    let: dict[str, Argument]
    out_channels: Argument | None
    branch: tuple[Use, ...]
    shortcut: tuple[Use, ...]
    join: Use | None
    after: tuple[Use, ...]
    everywhere: bool
    invalid: bool = False


@dataclass(frozen=True, slots=True)
class Expect:
    """The contract of a spec, and where each clause stands."""

    output: tuple[int, ...] | None
    counts: dict[str, int]  # params, buffers, macs
    squares: tuple[int, int | None] | None  # the least and the greatest size, in pixels
    spans: dict[str, Span]


@dataclass(frozen=True, slots=True)
class Spec:
    """One network as written: `input` is (C, H, W) in pixels."""

    span: Span
    name: str
    name_span: Span | None  # None: called after its file
    about: str
    source: str
    input: tuple[int, int, int]
    input_span: Span
    classes: ScalarNode | None
    params: dict[str, Argument]
    roles: dict[str, Use]
    init: str
    recipe: str | None  # the shipped recipe that it is trained with unless told
    stem: tuple[Use, ...]
    stages: tuple[Stage | Use, ...]
    head: tuple[Use, ...]
    blocks: dict[str, Block]
    expect: Expect | None
    replaced: dict[Span, YamlNode]  # where a value stands -> the value of a file below that it took the place of
    marked: dict[str, Block] = field(default_factory=dict)  # library blocks in which a use is invalid because of this spec

    def find_block(self, name: str, written: Span) -> Block | None:
        """The block a name means where it is `written`: inside the library, a spec's own new block does not count."""
        own = self.blocks.get(name)
        if own is not None and (own.everywhere or written.source.origin != "library"):
            return own
        return self.marked.get(name) or library(name)

    def block_names(self) -> list[str]:
        """All names that a use may give, the spec's own first."""
        return list(dict.fromkeys([*self.blocks, *library_block_names()]))


@dataclass(frozen=True, slots=True)
class ParsedSpec:
    """The Spec of a merged document, or what could be read of one with mistakes, and the findings about its form.

    `spec` is None where most of it would be a guess. What the findings are about is marked as invalid in it. `whole`: stem,
    stages, head and input are known, so that shapes can be computed.
    """

    findings: tuple[Diagnostic, ...]
    spec: Spec | None
    whole: bool = True


def parse_spec(resolved: Resolved) -> Spec:
    """The Spec of a merged document.

    Raises:
        SpecError: with everything that is wrong with the form of the document.
    """
    parsed = parse_partial(resolved)
    if parsed.spec is None or parsed.findings:
        raise SpecError([*parsed.findings, *resolved.warnings])
    return parsed.spec


def parse_partial(resolved: Resolved) -> ParsedSpec:
    """As much of a merged document as can be read, with the findings about its form."""
    resolved, findings = _check_form(resolved)
    reader = _SpecReader(well_formed=not findings)
    if findings:
        entries = resolved.root.entries
        keys = {entry.key for entry in entries.values()}
        if any(finding.code == "unknown-field" and finding.span in keys for finding in findings):
            return ParsedSpec(findings, None)  # a misspelled `stem` or `classes` would be missed everywhere
        if any(entries[key].value.invalid for key in _NEEDED_PARTS if key in entries):
            return ParsedSpec(findings, None)
        reader.whole = "input" in entries and not entries["input"].value.invalid
    spec = reader.spec(resolved)
    if not findings:  # the top-level `block` is read once for each stage, and its findings are reported once
        findings = tuple(dict.fromkeys(reader.findings))
    if any(finding.code == "role-cycle" for finding in reader.findings):
        return ParsedSpec(findings, None)
    return ParsedSpec(findings, spec, reader.whole)


def _check_form(resolved: Resolved) -> tuple[Resolved, tuple[Diagnostic, ...]]:
    """The document with the nodes marked that do not have the form the schema asks for, and the findings about them."""
    found = validate_whole(resolved.root)
    findings = list(found.findings)
    root = _marked(resolved.root, found)
    blocks: dict[str, BlockText] = {}
    for name, text in resolved.blocks.items():
        found = validate_block(text.body)
        findings += found.findings
        blocks[name] = replace(text, body=_marked(text.body, found)) if found.findings else text
    return (replace(resolved, root=root, blocks=blocks) if findings else resolved), tuple(findings)


def _marked(mapping: MappingNode, found: Validation) -> MappingNode:
    marked = mark_invalid(mapping, found.paths)
    assert isinstance(marked, MappingNode)
    return marked


_LIBRARY: dict[str, Block] = {}


def library(name: str) -> Block | None:
    """A block of the library, read once. That the library's files are valid is tested, not checked here."""
    if name not in _LIBRARY:
        body = library_block(name)
        if body is None:
            return None
        _LIBRARY[name] = _SpecReader().block(BlockText(name, body.span, body, everywhere=True))
    return _LIBRARY[name]


class _SpecReader:
    """Trees to typed values, gathering findings about names and places.

    The trees have the form that the schema asks for, unless `well_formed` is false: then nodes that have not are marked as
    invalid, and so is what is made of them.
    """

    def __init__(self, well_formed: bool = True) -> None:
        self.findings: list[Diagnostic] = []
        self.well_formed = well_formed
        self.blocks: Container[str] = ()
        self.blockless = False
        self.whole = True  # but for the operations

    def refuse(self, code: str, message: str, span: Span, mend: str = "", first: Span | None = None) -> None:
        related = () if first is None else (Label(first, "first here"),)
        self.findings.append(Diagnostic(code, message, span, related=related, help=mend))

    def spec(self, resolved: Resolved) -> Spec:
        root = resolved.root
        self.blocks = resolved.blocks
        size = root.get("input") if self.whole else None
        channels, height, width = (int(part) for part in _text(size).split("x")) if size is not None else (1, 1, 1)
        classes = root.get("classes")
        default = root.entries.get("block")
        names: dict[str, Span] = {}
        stem = self.uses(root.get("stem"), names)
        stages = self.stages(root.get("stages"), default, names)
        head = self.uses(root.get("head"), names)
        for use in (*stem, *(entry for entry in stages if isinstance(entry, Use)), *head):
            self.no_from(use, "in stem, stages and head each operation takes the value before it")
        return Spec(
            span=root.span,
            name=_text(root.get("name")) or _stem_of(resolved.source.name),
            name_span=None if (named := root.entries.get("name")) is None else named.value.span,
            about=_text(root.get("about")),
            source=_text(root.get("source")),
            input=(channels, height, width),
            input_span=root.span if size is None else size.span,
            classes=classes if classes is None or isinstance(classes, ScalarNode) else ScalarNode(None, classes.span),
            params=self.variables(root.get("params"), "param"),
            roles=self.roles(root),
            init=_text(root.get("init")) or "pytorch",
            recipe=self.recipe(root.get("recipe")),
            stem=stem,
            stages=stages,
            head=head,
            blocks={name: self.own_block(text) for name, text in resolved.blocks.items()},
            expect=_expect(root.get("expect")) if self.well_formed else None,
            replaced=resolved.replaced,
        )

    def recipe(self, node: YamlNode | None) -> str | None:
        """The name of a shipped recipe; a spec that somebody sent names no file."""
        name = _text(node)
        if node is not None and name and name not in shipped_names("recipe"):
            mend = suggestion(name, shipped_names("recipe"))
            self.refuse("unknown-recipe", f"there is no shipped recipe `{name}`", node.span, mend)
        return name or None

    def uses(self, node: YamlNode | None, names: dict[str, Span]) -> tuple[Use, ...]:
        if not isinstance(node, MappingNode):
            return ()
        return tuple(self.use(name, entry, names) for name, entry in node.entries.items())

    def use(self, name: str, entry: Entry, names: dict[str, Span] | None) -> Use:
        """One operation under its name; `names` are those already taken in its place (None: not a child of a module)."""
        if names is not None:
            self.take(name, entry.key, names)
        before = len(self.findings)
        made = self.use_of(name, entry)
        invalid = len(self.findings) > before
        if not self.well_formed:
            heads = [entry.value]
            if isinstance(entry.value, MappingNode):
                heads += [node for key in _NOT_ARGUMENTS if (node := entry.value.get(key)) is not None]
            invalid = invalid or any(node.invalid for node in heads)
        return replace(made, invalid=True) if invalid else made

    def use_of(self, name: str, entry: Entry) -> Use:
        value = entry.value
        if not isinstance(value, MappingNode):
            return Use(name, entry.key, _text(value), value.span)
        op = value.get("op")
        if op is None:
            self.refuse("missing-field", f"`{name}` does not say what it is", entry.key, "add `op: ...`")
        inputs = value.get("from")
        when, init = value.get("if"), value.get("init")
        if "ops" in value.entries and _text(op) != "sequential" and self.means_something(_text(op)):
            self.refuse("unknown-field", f"`{_text(op)}` has no field `ops`", value.entries["ops"].key, "only `sequential` has")
        if "init" in value.entries and _text(op) == "sequential":
            self.refuse("unknown-field", "`sequential` has no weight that `init` could draw", value.entries["init"].key)
        ops = self.uses(value.get("ops"), {})
        for inner in ops:
            self.no_from(inner, "in `sequential` each operation takes the value before it")
        for word in ("insert_before", "insert_after"):  # where an entry has siblings, the merge has used it up
            if word in value.entries:
                self.refuse("unknown-field", f"`{name}` has no siblings, so `{word}` says nothing", value.entries[word].key)
        return Use(
            name,
            entry.key,
            _text(op),
            op.span if op is not None else entry.key,
            {key: self.argument(each) for key, each in value.entries.items() if key not in _NOT_ARGUMENTS},
            ops,
            when if isinstance(when, ScalarNode) else None,
            _scalars(inputs),
            init if isinstance(init, ScalarNode) else None,
        )

    def means_something(self, op: str) -> bool:
        """Whether a word is an operation, a role or a block; what is none is told elsewhere."""
        return op in operation_names() or op in ROLES or op in self.blocks or op in library_block_names()

    def argument(self, entry: Entry) -> Argument:
        """A field or argument: one value, or a list of single values."""
        value = entry.value
        items = value.items if isinstance(value, SequenceNode) else (value,)
        for item in items:
            if not isinstance(item, ScalarNode) or item.value is None:
                self.refuse("wrong-type", "a number, a truth value or an expression is expected here", item.span)
                return Argument(entry.key, ScalarNode(None, item.span))
        assert not isinstance(value, MappingNode)
        return Argument(entry.key, value)

    def take(self, name: str, key: Span, names: dict[str, Span]) -> None:
        if name in MODULE_ATTRIBUTES or keyword.iskeyword(name) or (name.startswith("__") and name.endswith("__")):
            what = "a word of Python" if keyword.iskeyword(name) else "an attribute of torch.nn.Module"
            self.refuse("reserved-name", f"`{name}` is {what}, so no operation can be called so", key, "choose another name")
        if name in names:
            message = f"`{name}` stands twice: stem, stages and head share one place, as do the sections of a block"
            self.refuse("duplicate-name", message, key, "rename one of them", names[name])
        names[name] = key

    def no_from(self, use: Use, why: str) -> None:
        if use.inputs:
            self.refuse("from-not-allowed", f"`from` does nothing here: {why}", use.inputs[0].span, "write a block for it")

    def roles(self, root: MappingNode) -> dict[str, Use]:
        roles: dict[str, Use] = {role: self.role(role, root.entries[role]) for role in ROLES if role in root.entries}
        for role in roles:
            reached: dict[str, Use] = {}
            pending = [role]
            while pending:
                for inner in _roles_in(roles[pending.pop()]):
                    if inner.op in roles and inner.op not in reached:
                        reached[inner.op] = inner
                        pending.append(inner.op)
            if role in reached:
                message = f"the role `{role}` stands inside what it means"
                example = "batch_norm" if role == "norm" else "relu"
                self.refuse("role-cycle", message, reached[role].op_span, f"name an operation there, such as `{example}`")
        return roles

    def role(self, role: Role, entry: Entry) -> Use:
        use = self.use(role, entry, None)
        if use.op in ROLES:
            self.refuse("role-cycle", f"the role `{role}` must mean an operation, and `{use.op}` is a role", use.op_span)
        for what, written in (("if", use.when), ("from", use.inputs[0] if use.inputs else None)):
            if written is not None:
                self.refuse("unknown-field", f"a role cannot have `{what}`", written.span, "write it where the role is used")
        return use

    def stages(self, node: YamlNode | None, default: Entry | None, names: dict[str, Span]) -> tuple[Stage | Use, ...]:
        if not isinstance(node, MappingNode):
            return ()
        found: list[Stage | Use] = []
        for name, entry in node.entries.items():
            if isinstance(entry.value, MappingNode) and "op" not in entry.value.entries:
                self.take(name, entry.key, names)
                found.append(self.stage(name, entry, entry.value, default))
            else:
                found.append(self.use(name, entry, names))
        return tuple(found)

    def stage(self, name: str, entry: Entry, body: MappingNode, default: Entry | None) -> Stage:
        own = body.entries.get("block")
        chosen = self.block_choice(name, entry, own, default)
        arguments = dict(chosen.arguments)
        for word in ("stride", "depth", "block"):
            if word in arguments:
                message = f"`{word}` belongs to a stage, not to its block"
                self.refuse("unknown-field", message, arguments.pop(word).key, f"write `{word}` in the stage")
        for key, each in body.entries.items():
            if key in ("block", "depth", "stride"):
                continue
            if key in STAGE_WORDS:
                mend = f"`{key}` belongs to operations, and a stage is made of blocks"
                self.refuse("unknown-field", f"a stage has no `{key}`", each.key, mend)
                continue
            arguments[key] = self.argument(each)
        depth, stride = body.entries.get("depth"), body.entries.get("stride")
        made = Use(name, entry.key, chosen.op, chosen.op_span, arguments, invalid=chosen.invalid or body.invalid)
        return Stage(
            name,
            entry.key,
            made,
            None
            if depth is None
            else depth.value
            if isinstance(depth.value, ScalarNode)
            else ScalarNode(None, depth.value.span),
            None if stride is None else self.argument(stride),
        )

    def block_choice(self, name: str, entry: Entry, own: Entry | None, default: Entry | None) -> Use:
        """The block of a stage with its arguments: the stage's own choice, else the top-level one patched by it."""
        for choice in (own, default):
            given = choice.value.entries if choice is not None and isinstance(choice.value, MappingNode) else {}
            for word in ("if", "from", "init"):
                if word in given:
                    message = f"`{word}` belongs to an operation, and this is the block of a stage"
                    self.refuse("unknown-field", message, given[word].key, "write it in a block of your own")
        if own is not None and not _is_patch(own.value):
            return self.use(name, own, None)
        if default is None and not self.blockless:  # once, for all stages that lack one
            self.blockless = True
            mend = "add `block: NAME` to it, or at the top of the spec for all stages"
            self.refuse("missing-field", f"the stage `{name}` does not say what its blocks are", entry.key, mend)
        if default is None:
            return Use(name, entry.key, "", entry.key)
        base = self.use(name, default, None)
        if own is None or not isinstance(own.value, MappingNode):
            return base
        patch = {key: self.argument(each) for key, each in own.value.entries.items()}
        return replace(base, arguments={**base.arguments, **patch})

    def variables(self, node: YamlNode | None, what: str) -> dict[str, Argument]:
        if not isinstance(node, MappingNode):
            return {}
        for name, entry in node.entries.items():
            self.variable(name, entry.key, what)
        return {name: self.argument(entry) for name, entry in node.entries.items()}

    def variable(self, name: str, key: Span, what: str) -> None:
        if name in FACTS or name in STAGE_WORDS or name in ("classes", "true", "false") or keyword.iskeyword(name):
            self.refuse("reserved-name", f"`{name}` has a meaning already, so no {what} can be called so", key, "rename it")

    def own_block(self, text: BlockText) -> Block:
        if text.name in ROLES or text.name in ("input", "join") or text.name in operation_names():
            message = f"`{text.name}` is an operation or a role, so no block can be called so"
            self.refuse("reserved-name", message, text.key, "choose another name")
        elif not (text.name.isascii() and text.name.isidentifier()):
            mend = "a block's name is letters, digits and underscores"
            self.refuse("invalid-name", f"`{text.name}` cannot be a name", text.key, mend)
        made = self.block(text)
        if self.well_formed:
            return made
        nodes = [text.body, *(entry.value for entry in text.body.entries.values())]
        nodes += [item for node in nodes if isinstance(node, SequenceNode) for item in node.items]
        return replace(made, invalid=True) if any(node.invalid for node in nodes) else made

    def block(self, text: BlockText) -> Block:
        body = text.body
        defaults = self.variables(body.get("defaults"), "argument")
        let = self.variables(body.get("let"), "name")
        listed = body.get("args")
        args = {_text(item): item.span for item in listed.items} if isinstance(listed, SequenceNode) else {}
        for name, span in args.items():
            self.variable(name, span, "argument")
        seen: dict[str, Span] = {}
        for name, span in [*args.items(), *((key, each.key) for key, each in (*defaults.items(), *let.items()))]:
            if name in seen:
                message = f"`{name}` is named twice among args, defaults and let"
                self.refuse("duplicate-name", message, span, "an argument with a default is not listed in `args`", seen[name])
            seen[name] = span
        names: dict[str, Span] = {}
        branch = self.uses(body.get("branch"), names)
        shortcut = self.uses(body.get("shortcut"), names)
        join_entry = body.entries.get("join")
        join = None
        if join_entry is not None:
            self.take("join", join_entry.key, names)
            join = self.use("join", join_entry, None)
            if join.inputs:
                self.refuse("from-not-allowed", "`join` takes the shortcut and the branch", join.inputs[0].span)
        elif shortcut:
            mend = "add `join: add`"
            self.refuse("missing-field", f"the block `{text.name}` has a shortcut and no `join`", shortcut[0].key, mend)
        out = body.entries.get("out_channels")
        return Block(
            text.name,
            text.key,
            _text(body.get("about")),
            args,
            defaults,
            let,
            None if out is None else self.argument(out),
            branch,
            shortcut,
            join,
            self.uses(body.get("after"), names),
            text.everywhere,
        )


def _roles_in(use: Use) -> Iterator[Use]:
    """The uses of roles among the operations of a sequence."""
    for inner in use.ops:
        if inner.op in ROLES:
            yield inner
        yield from _roles_in(inner)


def _is_patch(node: YamlNode) -> bool:
    return isinstance(node, MappingNode) and "op" not in node.entries


def _text(node: YamlNode | None) -> str:
    return "" if not isinstance(node, ScalarNode) or node.value is None else str(node.value)


def _scalars(node: YamlNode | None) -> tuple[ScalarNode, ...]:
    items = () if node is None else node.items if isinstance(node, SequenceNode) else (node,)
    return tuple(item for item in items if isinstance(item, ScalarNode))


def _stem_of(name: str) -> str:
    return name.rpartition("/")[2].removesuffix(".yaml").removesuffix(".yml")


def _count(scalar: ScalarNode) -> int:
    """A whole number of `expect`; the schema lets `4.0` and `1e3` be whole."""
    assert isinstance(scalar.value, int | float)
    return int(scalar.value)


def _expect(node: YamlNode | None) -> Expect | None:
    if not isinstance(node, MappingNode):
        return None
    output = node.get("output")
    counts: dict[str, int] = {}
    for key in ("params", "buffers", "macs"):
        value = node.get(key)
        if isinstance(value, ScalarNode):
            counts[key] = _count(value)
    ends = _scalars(node.get("squares"))
    squares = (_count(ends[0]), None if ends[1].value is None else _count(ends[1])) if len(ends) == 2 else None
    return Expect(
        tuple(map(_count, _scalars(output))) if output is not None else None,
        counts,
        squares,
        {key: entry.value.span for key, entry in node.entries.items()},
    )
