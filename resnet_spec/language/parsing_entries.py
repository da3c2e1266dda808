"""Parses the entries of a document into typed values: operations, blocks, arguments."""

from __future__ import annotations

from collections.abc import Container, Iterator, Mapping
from dataclasses import replace

from resnet_spec.diagnostics import Diagnostic, Label, Span
from resnet_spec.language.editing import remove_field, replace_text, set_field
from resnet_spec.language.fixes import Fixes, propose
from resnet_spec.language.library import library_block, library_block_names
from resnet_spec.language.merge import BlockText
from resnet_spec.language.nodes import Entry, MappingNode, ScalarNode, SequenceNode, YamlNode
from resnet_spec.language.reserved import is_reserved_variable, meaning_of_module_name
from resnet_spec.language.schemas import operation_names
from resnet_spec.language.spec import ADDED_LATER, ROLES, Argument, Block, Use

_NOT_ARGUMENTS = ("op", "if", "else", "from", "init", "ops", "insert_before", "insert_after")
_WORDS_OF_BLOCKS = ("inline", "roles")  # on a use of a block, unless the block takes an argument of this name
_WORDS_OF_SEQUENCES = ("inline", "numbered")


class EntryParser:
    """Parses entries, and gathers findings about names and places.

    Args:
        blocks: the spec's own blocks.
        roles: the names of the roles that the spec declares.
        well_formed: whether all nodes conform to the schema. Otherwise those that do not are marked as invalid, and so is what
            is parsed from them.
    """

    def __init__(
        self, blocks: Mapping[str, BlockText] | None = None, roles: Container[str] = (), well_formed: bool = True
    ) -> None:
        self.findings: list[Diagnostic] = []
        self.blocks = blocks or {}
        self.declared_roles = roles
        self.well_formed = well_formed

    def refuse(self, code: str, message: str, span: Span, help: str = "", first: Span | None = None, fixes: Fixes = ()) -> None:
        related = () if first is None else (Label(first, "first here"),)
        self.findings.append(Diagnostic(code, message, span, related=related, help=help, fixes=fixes))

    def uses(self, node: YamlNode | None, names: dict[str, Span] | None, dotted: bool = True) -> tuple[Use, ...]:
        """Parse operations in order. `dotted`: their names may be paths."""
        if not isinstance(node, MappingNode):
            return ()
        return tuple(self.use(name, entry, names, dotted) for name, entry in node.entries.items())

    def use(self, name: str, entry: Entry, names: dict[str, Span] | None, dotted: bool = True) -> Use:
        """Parse one operation; `names` are those that are already used in its place (None: it is not a child of a module)."""
        if names is not None:
            self.take(name, entry.key, names)
        if not dotted:
            self.refuse_path(name, entry.key, "`sequential`")
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
            return Use(name, entry.key, text_of(value), value.span)
        op = value.get("op")
        if op is None:
            self.refuse("missing-field", f"`{name}` does not name an operation or a block", entry.key, "add `op: ...`")
        word = text_of(op)
        when, init, otherwise = value.get("if"), value.get("init"), value.get("else")
        if "ops" in value.entries and word != "sequential" and self.is_known(word):
            self.refuse(
                "unknown-field", f"`{word}` has no field `ops`", value.entries["ops"].key, "only `sequential` has `ops`"
            )
        if "init" in value.entries and word == "sequential":
            self.refuse("unknown-field", "`sequential` has no weight that `init` could initialize", value.entries["init"].key)
        if otherwise is not None and when is None:
            help = "add a condition, or remove it: a present operation passes on its own output"
            fixes = propose("remove it", remove_field(entry.key, "else"))
            self.refuse("unknown-field", "`else` without `if` has no effect", value.entries["else"].key, help, fixes=fixes)
        for position in ("insert_before", "insert_after"):  # the merge removes it from entries that have siblings
            if position in value.entries:
                message = f"`{name}` has no siblings, so `{position}` has no effect"
                self.refuse("unknown-field", message, value.entries[position].key)
        special = self._special_words(word)
        numbered = self.flag(value.entries.get("numbered")) if "numbered" in special else False
        roles = self.roles_in(value, special, word)
        known = {*_NOT_ARGUMENTS, *special, *roles}
        return Use(
            name,
            entry.key,
            word,
            op.span if op is not None else entry.key,
            {key: self.argument(each) for key, each in value.entries.items() if key not in known},
            self._sequence(value.get("ops"), numbered),
            when if isinstance(when, ScalarNode) else None,
            scalars_in(value.get("from")),
            init if isinstance(init, ScalarNode) else None,
            like=_single(value.get("like")) if "like" in special else None,
            otherwise=_single(otherwise),
            roles=roles,
            numbered=numbered,
            inline=self.flag(value.entries.get("inline")) if "inline" in special else False,
        )

    def _sequence(self, node: YamlNode | None, numbered: bool) -> tuple[Use, ...]:
        """The operations of a `sequential`."""
        ops = self.uses(node, None if numbered else {}, dotted=False)
        for inner in ops:
            self.no_from(inner, "in `sequential` each operation reads the previous value")
            if inner.otherwise is not None:
                help = "write a block for it"
                self.refuse("from-not-allowed", "`else` is not allowed here, as `from` is not", inner.otherwise.span, help)
            if numbered:
                self.refuse_number(inner.name, inner.key)
        return ops

    def _special_words(self, op: str) -> tuple[str, ...]:
        """The keys that are no fields or arguments of a use of `op`."""
        if self.is_block(op):
            return tuple(word for word in (*_WORDS_OF_BLOCKS, *ROLES) if not self.takes(op, word))
        return _WORDS_OF_SEQUENCES if op == "sequential" else ("like",)

    def is_block(self, op: str) -> bool:
        """Whether a word means a block where the spec itself uses it."""
        if op in self.blocks:
            return op in ADDED_LATER or op not in operation_names()
        return op in library_block_names()

    def takes(self, block: str, name: str) -> bool:
        """Whether a block has an argument of a name."""
        body = self.blocks[block].body if block in self.blocks else library_block(block)
        if body is None:
            return False
        args, defaults = body.get("args"), body.get("defaults")
        listed = {text_of(item) for item in args.items} if isinstance(args, SequenceNode) else ()
        return name in listed or (isinstance(defaults, MappingNode) and name in defaults.entries)

    def roles_in(self, value: MappingNode, special: Container[str], block: str = "") -> dict[str, Use]:
        """The roles that hold inside a block: those of the keys `norm` and `act` and of the declared roles, and of `roles`."""
        if "roles" not in special and not block:
            return {}
        found: dict[str, Use] = {}
        for key, entry in value.entries.items():
            if (key in ROLES and key in special) or self._is_declared_role(key, block):
                found[key] = self.role(key, entry)
        inner = value.get("roles")
        if "roles" in special and isinstance(inner, MappingNode):
            for key, entry in inner.entries.items():
                found[key] = self.role(key, entry)
                if key not in ROLES and key not in self.declared_roles:
                    help = f"declare it at the top of the spec: `roles: {{{key}: ...}}`"
                    self.refuse("unknown-name", f"there is no role `{key}`", entry.key, help)
        self.refuse_cycles(found)
        return found

    def refuse_cycles(self, roles: Mapping[str, Use]) -> None:
        """Report roles of one place that are defined by themselves."""
        for role in roles:
            reached: dict[str, Use] = {}
            pending = [role]
            while pending:
                for inner in _roles_in(roles[pending.pop()], roles):
                    if inner.op in roles and inner.op not in reached:
                        reached[inner.op] = inner
                        pending.append(inner.op)
            if role in reached:
                message = f"the role `{role}` is used in its own definition"
                example = "batch_norm" if role == "norm" else "relu"
                self.refuse("role-cycle", message, reached[role].op_span, f"use an operation, such as `{example}`")

    def _is_declared_role(self, key: str, block: str) -> bool:
        return key in self.declared_roles and self.is_block(block) and not self.takes(block, key)

    def role(self, role: str, entry: Entry) -> Use:
        """Parse the definition of a role."""
        use = self.use(role, entry, None)
        if use.op in ROLES or use.op in self.declared_roles:
            message = f"the role `{role}` must name an operation, but `{use.op}` is a role"
            self.refuse("role-cycle", message, use.op_span)
        for what, written in (("if", use.when), ("from", use.inputs[0] if use.inputs else None)):
            if written is not None:
                help = "write it where the role is used"
                self.refuse("unknown-field", f"a role cannot have `{what}`", written.span, help)
        return use

    def flag(self, entry: Entry | None) -> bool:
        """A key that is true or false."""
        if entry is None:
            return False
        value = entry.value
        if isinstance(value, ScalarNode) and isinstance(value.value, bool):
            return value.value
        self.refuse("wrong-type", "true or false is expected here", value.span)
        return False

    def refuse_path(self, name: str, key: Span, where: str) -> None:
        """Report a name that is a path, where names are single."""
        if "." in name:
            message = f"`{name}` is a path, but the entries of {where} have names without dots"
            last = name.rpartition(".")[2]
            self.refuse(
                "invalid-name", message, key, f"write `{last}`", fixes=propose(f"write `{last}`", replace_text(key, last))
            )

    def refuse_number(self, name: str, key: Span) -> None:
        """Report a whole number as the name of an entry that is numbered."""
        self.refuse_path(name, key, "a numbered place")
        if name.isdigit():
            message = f"`{name}` is a number, but the entries here are `numbered`: 0, 1, 2, ... in their order"
            self.refuse("invalid-name", message, key, "give it a name, or remove `numbered`")

    def is_known(self, op: str) -> bool:
        """Whether a word is the name of an operation, a role or a block; other words are reported elsewhere."""
        is_role = op in ROLES or op in self.declared_roles
        return op in operation_names() or is_role or op in self.blocks or op in library_block_names()

    def argument(self, entry: Entry) -> Argument:
        """Parse a field or argument: one value, or a list of single values or pairs."""
        value = entry.value
        items = value.items if isinstance(value, SequenceNode) else (value,)
        for item in items:
            is_pair = isinstance(item, SequenceNode) and item is not value and all(map(_has_value, item.items))
            if not _has_value(item) and not is_pair:
                self.refuse("wrong-type", "a number, a boolean or an expression is expected here", item.span)
                return Argument(entry.key, ScalarNode(None, item.span))
        assert not isinstance(value, MappingNode)
        return Argument(entry.key, value)

    def take(self, name: str, key: Span, names: dict[str, Span]) -> None:
        """Add a name to `names`; report it if a child of a module cannot have it, or if it is already there."""
        for part in name.split("."):
            if what := meaning_of_module_name(part):
                message = f"`{part}` is {what}, so an operation cannot have this name"
                self.refuse("reserved-name", message, key, "choose another name")
        if name in names:
            message = f"the name `{name}` is used twice: stem, stages and head share their names, as do the sections of a block"
            self.refuse("duplicate-name", message, key, "rename one of them", names[name])
        names[name] = key

    def no_from(self, use: Use, why: str) -> None:
        if use.inputs:
            self.refuse("from-not-allowed", f"`from` is not allowed here: {why}", use.inputs[0].span, "write a block for it")

    def variables(self, node: YamlNode | None, what: str) -> dict[str, Argument]:
        if not isinstance(node, MappingNode):
            return {}
        for name, entry in node.entries.items():
            self.variable(name, entry.key, what)
        return {name: self.argument(entry) for name, entry in node.entries.items()}

    def variable(self, name: str, key: Span, what: str) -> None:
        """Report a name that an argument or a param cannot have."""
        if is_reserved_variable(name):
            article = "an" if what == "argument" else "a"
            message = f"`{name}` already has a meaning, so {article} {what} cannot have this name"
            self.refuse("reserved-name", message, key, "rename it")

    def own_block(self, text: BlockText) -> Block:
        is_role = text.name in ROLES or text.name in self.declared_roles
        is_operation = text.name in operation_names() and text.name not in ADDED_LATER
        if is_role or text.name in ("input", "join") or is_operation:
            message = f"`{text.name}` is an operation or a role, so a block cannot have this name"
            self.refuse("reserved-name", message, text.key, "choose another name")
        elif not (text.name.isascii() and text.name.isidentifier()):
            help = "a block's name consists of letters, digits and underscores"
            self.refuse("invalid-name", f"`{text.name}` is not a valid name", text.key, help)
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
        args = {text_of(item): item.span for item in listed.items} if isinstance(listed, SequenceNode) else {}
        for name, span in args.items():
            self.variable(name, span, "argument")
        seen: dict[str, Span] = {}
        for name, span in [*args.items(), *((key, each.key) for key, each in (*defaults.items(), *let.items()))]:
            if name in seen:
                message = f"`{name}` is named twice among args, defaults and let"
                self.refuse("duplicate-name", message, span, "an argument with a default is not listed in `args`", seen[name])
            seen[name] = span
        numbered = self.flag(body.entries.get("numbered"))
        names: dict[str, Span] | None = None if numbered else {}
        if numbered:
            for section in map(body.get, ("branch", "shortcut", "after")):
                for name, entry in section.entries.items() if isinstance(section, MappingNode) else ():
                    self.refuse_number(name, entry.key)
        branch = self.uses(body.get("branch"), names)
        shortcut = self.uses(body.get("shortcut"), names)
        join_entry = body.entries.get("join")
        join = None
        if join_entry is not None:
            if names is not None:
                self.take("join", join_entry.key, names)
            join = self.use("join", join_entry, None)
            if join.inputs:
                self.refuse("from-not-allowed", "`join` takes the shortcut and the branch", join.inputs[0].span)
        elif shortcut:
            help = "add `join: add`"
            fixes = propose(help, set_field(text.key, "join", "add"))
            message = f"the block `{text.name}` has a shortcut and no `join`"
            self.refuse("missing-field", message, shortcut[0].key, help, fixes=fixes)
        out = body.entries.get("out_channels")
        return Block(
            text.name,
            text.key,
            text_of(body.get("about")),
            args,
            defaults,
            let,
            None if out is None else self.argument(out),
            branch,
            shortcut,
            join,
            self.uses(body.get("after"), names),
            text.everywhere,
            roles=self.roles_in(body, (*ROLES, "roles")),
            numbered=numbered,
        )


def text_of(node: YamlNode | None) -> str:
    """The text of a single value; empty for anything else."""
    return "" if not isinstance(node, ScalarNode) or node.value is None else str(node.value)


def scalars_in(node: YamlNode | None) -> tuple[ScalarNode, ...]:
    """The single values of a list, or a single value as a tuple of one."""
    items = () if node is None else node.items if isinstance(node, SequenceNode) else (node,)
    return tuple(item for item in items if isinstance(item, ScalarNode))


def _roles_in(use: Use, roles: Mapping[str, Use]) -> Iterator[Use]:
    """The uses of roles among the operations of a sequence."""
    for inner in use.ops:
        if inner.op in ROLES or inner.op in roles:
            yield inner
        yield from _roles_in(inner, roles)


def _single(node: YamlNode | None) -> ScalarNode | None:
    return node if isinstance(node, ScalarNode) else None


def _has_value(node: YamlNode) -> bool:
    return isinstance(node, ScalarNode) and node.value is not None
