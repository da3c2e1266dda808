"""Parses the entries of a document into typed values: operations, blocks, arguments."""

from __future__ import annotations

from collections.abc import Container
from dataclasses import replace

from resnet_spec.diagnostics import Diagnostic, Label, Span
from resnet_spec.language.editing import set_field
from resnet_spec.language.fixes import Fixes, propose
from resnet_spec.language.library import library_block_names
from resnet_spec.language.merge import BlockText
from resnet_spec.language.nodes import Entry, MappingNode, ScalarNode, SequenceNode, YamlNode
from resnet_spec.language.reserved import is_reserved_variable, meaning_of_module_name
from resnet_spec.language.schemas import operation_names
from resnet_spec.language.spec import ROLES, Argument, Block, Use

_NOT_ARGUMENTS = ("op", "if", "from", "init", "ops", "insert_before", "insert_after")


class EntryParser:
    """Parses entries, and gathers findings about names and places.

    Args:
        blocks: the names of the spec's own blocks.
        well_formed: whether all nodes conform to the schema. Otherwise those that do not are marked as invalid, and so is what
            is parsed from them.
    """

    def __init__(self, blocks: Container[str] = (), well_formed: bool = True) -> None:
        self.findings: list[Diagnostic] = []
        self.blocks = blocks
        self.well_formed = well_formed

    def refuse(self, code: str, message: str, span: Span, help: str = "", first: Span | None = None, fixes: Fixes = ()) -> None:
        related = () if first is None else (Label(first, "first here"),)
        self.findings.append(Diagnostic(code, message, span, related=related, help=help, fixes=fixes))

    def uses(self, node: YamlNode | None, names: dict[str, Span]) -> tuple[Use, ...]:
        if not isinstance(node, MappingNode):
            return ()
        return tuple(self.use(name, entry, names) for name, entry in node.entries.items())

    def use(self, name: str, entry: Entry, names: dict[str, Span] | None) -> Use:
        """Parse one operation; `names` are those that are already used in its place (None: it is not a child of a module)."""
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
            return Use(name, entry.key, text_of(value), value.span)
        op = value.get("op")
        if op is None:
            self.refuse("missing-field", f"`{name}` does not name an operation or a block", entry.key, "add `op: ...`")
        inputs = value.get("from")
        when, init = value.get("if"), value.get("init")
        if "ops" in value.entries and text_of(op) != "sequential" and self.is_known(text_of(op)):
            self.refuse(
                "unknown-field", f"`{text_of(op)}` has no field `ops`", value.entries["ops"].key, "only `sequential` has `ops`"
            )
        if "init" in value.entries and text_of(op) == "sequential":
            self.refuse("unknown-field", "`sequential` has no weight that `init` could initialize", value.entries["init"].key)
        ops = self.uses(value.get("ops"), {})
        for inner in ops:
            self.no_from(inner, "in `sequential` each operation reads the previous value")
        for word in ("insert_before", "insert_after"):  # the merge removes it from entries that have siblings
            if word in value.entries:
                self.refuse("unknown-field", f"`{name}` has no siblings, so `{word}` has no effect", value.entries[word].key)
        return Use(
            name,
            entry.key,
            text_of(op),
            op.span if op is not None else entry.key,
            {key: self.argument(each) for key, each in value.entries.items() if key not in _NOT_ARGUMENTS},
            ops,
            when if isinstance(when, ScalarNode) else None,
            scalars_in(inputs),
            init if isinstance(init, ScalarNode) else None,
        )

    def is_known(self, op: str) -> bool:
        """Whether a word is the name of an operation, a role or a block; other words are reported elsewhere."""
        return op in operation_names() or op in ROLES or op in self.blocks or op in library_block_names()

    def argument(self, entry: Entry) -> Argument:
        """Parse a field or argument: one value, or a list of single values."""
        value = entry.value
        items = value.items if isinstance(value, SequenceNode) else (value,)
        for item in items:
            if not isinstance(item, ScalarNode) or item.value is None:
                self.refuse("wrong-type", "a number, a boolean or an expression is expected here", item.span)
                return Argument(entry.key, ScalarNode(None, item.span))
        assert not isinstance(value, MappingNode)
        return Argument(entry.key, value)

    def take(self, name: str, key: Span, names: dict[str, Span]) -> None:
        """Add a name to `names`; report it if a child of a module cannot have it, or if it is already there."""
        if what := meaning_of_module_name(name):
            message = f"`{name}` is {what}, so an operation cannot have this name"
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
            self.refuse("reserved-name", f"`{name}` already has a meaning, so a {what} cannot have this name", key, "rename it")

    def own_block(self, text: BlockText) -> Block:
        if text.name in ROLES or text.name in ("input", "join") or text.name in operation_names():
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
        )


def text_of(node: YamlNode | None) -> str:
    """The text of a single value; empty for anything else."""
    return "" if not isinstance(node, ScalarNode) or node.value is None else str(node.value)


def scalars_in(node: YamlNode | None) -> tuple[ScalarNode, ...]:
    """The single values of a list, or a single value as a tuple of one."""
    items = () if node is None else node.items if isinstance(node, SequenceNode) else (node,)
    return tuple(item for item in items if isinstance(item, ScalarNode))
