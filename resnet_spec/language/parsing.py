"""Parses a merged document into a `Spec`, with findings about its form and its names.

The form is checked against the JSON Schema (`validation`). What a schema cannot say is checked here and in `parsing_entries`:
reserved names, names that are used twice, and fields that an entry cannot have where it is written.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from itertools import islice

from resnet_spec.diagnostics import Diagnostic, Source, Span, SpecError, closest
from resnet_spec.diagnostics.suggestions import show_suggestion
from resnet_spec.language.editing import remove_entry, replace_text, set_path
from resnet_spec.language.expectations import read_expect
from resnet_spec.language.fixes import Fixes, propose, propose_word
from resnet_spec.language.library import library_block, library_block_names, shipped_names
from resnet_spec.language.merge import BlockText, Resolved
from resnet_spec.language.nodes import Entry, MappingNode, ScalarNode, YamlNode, mark_invalid
from resnet_spec.language.parsing_entries import EntryParser, scalars_in, text_of
from resnet_spec.language.reserved import STAGE_WORDS
from resnet_spec.language.schemas import operation_names
from resnet_spec.language.spec import (
    ADDED_LATER,
    ROLES,
    Block,
    Group,
    OutputEntry,
    PublishedWeights,
    Spec,
    SpecEntry,
    Stage,
    Use,
)
from resnet_spec.language.validation import Validation, validate_block, validate_whole

_BLOCK_WORDS = ("type", "block_type", "kind", "name", "layer", "module", "unit")  # what others call the block of a stage
MOST_BLOCKS = 4  # of the spec's own that a suggestion tries
_NEEDED_PARTS = ("stem", "stages", "head", "blocks", "params", "norm", "act")  # without one of these the rest would be a guess


@dataclass(frozen=True, slots=True, eq=False)
class ParsedSpec:
    """The Spec of a merged document, or what could be read of one with mistakes, and the findings about its form.

    `spec` is None if most of it would be a guess; the parts that findings are about are marked as invalid. `whole`: stem,
    stages, head and input are known, so shapes can be computed.
    """

    findings: tuple[Diagnostic, ...]
    spec: Spec | None
    whole: bool = True


def parse_spec(resolved: Resolved) -> Spec:
    """Parse a merged document.

    Raises:
        SpecError: with everything that is wrong with the form of the document.
    """
    parsed = parse_partial(resolved)
    if parsed.spec is None or parsed.findings:
        raise SpecError([*parsed.findings, *resolved.warnings])
    return parsed.spec


def parse_partial(resolved: Resolved) -> ParsedSpec:
    """Parse a merged document as far as possible, with the findings about its form."""
    resolved, findings = _check_form(resolved)
    whole = True
    if findings:
        entries = resolved.root.entries
        keys = {entry.key for entry in entries.values()}
        if any(finding.code == "unknown-field" and finding.span in keys for finding in findings):
            return ParsedSpec(findings, None)  # a misspelled `stem` or `classes` would cause findings everywhere
        if any(entries[key].value.invalid for key in _NEEDED_PARTS if key in entries):
            return ParsedSpec(findings, None)
        whole = "input" in entries and not entries["input"].value.invalid
    declared = resolved.root.get("roles")
    roles = tuple(declared.entries) if isinstance(declared, MappingNode) else ()
    entries_parser = EntryParser(resolved.blocks, roles, well_formed=not findings)
    spec = _SpecParser(entries_parser, resolved.blocks).spec(resolved, whole)
    if not findings:  # the top-level `block` is parsed once for each stage, and its findings are reported once
        findings = tuple(dict.fromkeys(entries_parser.findings))
    if any(finding.code == "role-cycle" for finding in entries_parser.findings):
        return ParsedSpec(findings, None)
    return ParsedSpec(findings, spec, whole)


def _check_form(resolved: Resolved) -> tuple[Resolved, tuple[Diagnostic, ...]]:
    """Check the form of a document against the schema; returns it with the wrong nodes marked, and the findings."""
    own = ADDED_LATER & resolved.blocks.keys()
    found = validate_whole(resolved.root, own)
    findings = list(found.findings)
    root = _mark(resolved.root, found)
    blocks: dict[str, BlockText] = {}
    for name, text in resolved.blocks.items():
        found = validate_block(text.body, own)
        findings += found.findings
        blocks[name] = replace(text, body=_mark(text.body, found)) if found.findings else text
    return (replace(resolved, root=root, blocks=blocks) if findings else resolved), tuple(findings)


def _mark(mapping: MappingNode, found: Validation) -> MappingNode:
    marked = mark_invalid(mapping, found.paths)
    assert isinstance(marked, MappingNode)
    return marked


def parse_library_block(name: str) -> Block | None:
    """Parse a block of the library. A test checks the form of the library's files."""
    body = library_block(name)
    return None if body is None else EntryParser().block(BlockText(name, body.span, body, everywhere=True))


class _SpecParser:
    def __init__(self, entries: EntryParser, blocks: Mapping[str, BlockText]) -> None:
        self.entries, self.blocks = entries, blocks
        self.default: Entry | None = None  # the top-level `block`
        self.numbered: dict[str, Span] = {}  # the groups that number their entries, with the places where they are opened first
        self.opened: dict[str, Span] = {}  # all groups
        self.blockless = False  # whether a stage without a block was reported

    def spec(self, resolved: Resolved, whole: bool) -> Spec:
        """Parse a document; if it is not `whole`, a placeholder replaces its input size."""
        root, entries = resolved.root, self.entries
        size = root.get("input") if whole else None
        channels, height, width = (int(part) for part in text_of(size).split("x")) if size is not None else (1, 1, 1)
        classes, name = root.get("classes"), root.get("name")
        self.default = root.entries.get("block")
        names: dict[str, Span] = {}
        stem, stages, head = (self.section(part, root.get(part), names) for part in ("stem", "stages", "head"))
        outputs, named = self.outputs(root.entries.get("outputs"))
        return Spec(
            span=root.span,
            name=text_of(name) or _stem_of(resolved.source.name),
            name_span=None if name is None else name.span,
            about=text_of(root.get("about")),
            source=text_of(root.get("source")),
            input=(channels, height, width),
            input_span=root.span if size is None else size.span,
            classes=None if classes is None else _scalar(classes),
            params=entries.variables(root.get("params"), "param"),
            roles=self.roles(root),
            init=text_of(root.get("init")) or "pytorch",
            recipe=self.recipe(root.get("recipe")),
            stem=stem,
            stages=stages,
            head=head,
            blocks={name: entries.own_block(text) for name, text in resolved.blocks.items()},
            expect=read_expect(root.get("expect"), entries.refuse) if entries.well_formed else None,
            document=resolved,
            outputs=outputs,
            weights=self.weights(root.entries.get("weights")),
            named_outputs=named,
        )

    def recipe(self, node: YamlNode | None) -> str | None:
        """The name of a shipped recipe. A spec is untrusted, so it cannot name a file."""
        name = text_of(node)
        if node is not None and name and name not in shipped_names("recipe"):
            near = closest(name, shipped_names("recipe"))
            help, fixes = show_suggestion(near, shipped_names("recipe")), propose_word(node.span, near, name)
            self.entries.refuse("unknown-recipe", f"there is no shipped recipe `{name}`", node.span, help, fixes=fixes)
        return name or None

    def roles(self, root: MappingNode) -> dict[str, Use]:
        roles = {role: self.entries.role(role, root.entries[role]) for role in ROLES if role in root.entries}
        declared = root.get("roles")
        for role, entry in declared.entries.items() if isinstance(declared, MappingNode) else ():
            if role in ROLES or role in library_block_names() or role in ("input", "join") or role in operation_names():
                help = f"write `{role}: ...` at the top" if role in ROLES else "choose another name"
                self.entries.refuse(
                    "reserved-name", f"`{role}` already has a meaning, so a role cannot have this name", entry.key, help
                )
            roles[role] = self.entries.role(role, entry)
        self.entries.refuse_cycles(roles)
        return roles

    def weights(self, entry: Entry | None) -> PublishedWeights | None:
        """Where weights of the network are published."""
        if entry is None or not isinstance(entry.value, MappingNode) or not self.entries.well_formed:
            return None
        kinds = [kind for kind in ("torchvision", "hf") if kind in entry.value.entries]
        if len(kinds) != 1:
            help = "write `{torchvision: ResNet50_Weights.IMAGENET1K_V2}` or `{hf: timm/resnet50d.ra2_in1k}`"
            self.entries.refuse("missing-field", "`weights` names one place where weights are published", entry.key, help)
            return None
        top1 = entry.value.get("top1")
        accuracy = float(top1.value) if isinstance(top1, ScalarNode) and isinstance(top1.value, int | float) else None
        return PublishedWeights(kinds[0], text_of(entry.value.get(kinds[0])), accuracy)

    def outputs(self, entry: Entry | None) -> tuple[tuple[OutputEntry, ...], bool]:
        """The outputs that a spec names, and whether the module returns a dict of them."""
        if entry is None:
            return (), False
        if isinstance(entry.value, ScalarNode):
            return (OutputEntry("", entry.key, entry.value),), False
        found: list[OutputEntry] = []
        for name, each in entry.value.entries.items() if isinstance(entry.value, MappingNode) else ():
            value, training_only = each.value, False
            if isinstance(value, MappingNode):
                flag = value.get("training_only")
                training_only = isinstance(flag, ScalarNode) and flag.value is True
                value = value.get("from") or ScalarNode(name, each.key, name)
            found.append(OutputEntry(name, each.key, _scalar(value), training_only))
        if not found and self.entries.well_formed:
            self.entries.refuse("no-output", "`outputs` names no output", entry.key, "name an entry: `outputs: {logits: fc}`")
        elif all(each.training_only for each in found) and self.entries.well_formed:
            message = "every output is `training_only`, so there would be none in evaluation"
            self.entries.refuse("no-output", message, entry.key, "remove `training_only` from one of them")
        return tuple(found), True

    def section(self, part: str, node: YamlNode | None, names: dict[str, Span]) -> tuple[SpecEntry, ...]:
        """The entries of the stem, the stages or the head."""
        if not isinstance(node, MappingNode):
            return ()
        return tuple(self.entry(name, entry, (), names, part == "stages") for name, entry in node.entries.items())

    def entry(self, name: str, entry: Entry, around: tuple[str, ...], names: dict[str, Span], stages: bool) -> SpecEntry:
        """One entry of a section, or of a group in it.

        Args:
            around: the groups that it is in.
            names: the paths of modules that are already known, with their places.
            stages: whether an entry without `op` is a stage.
        """
        value = entry.value
        *groups, last = name.split(".")
        path = (*around, *groups)
        is_inside_numbered = ".".join(around) in self.numbered and bool(around)
        if is_inside_numbered:
            self.entries.refuse_number(name, entry.key)
        for length in range(len(around) + 1, len(path) + 1):
            self.open_group(path[:length], entry.key, names)
        if isinstance(value, MappingNode) and "op" not in value.entries and isinstance(value.get("stages"), MappingNode):
            return self.group(name, entry, (*path, last), names, is_inside_numbered)
        inline = isinstance(value, MappingNode) and value.get("inline") is not None
        if not is_inside_numbered and not inline and not (path and ".".join(path) in self.numbered):
            self.entries.take(".".join((*path, last)), entry.key, names)
        if stages and isinstance(value, MappingNode) and "op" not in value.entries:
            return self.stage(name, entry, value, self.default)
        return self.entries.use(name, entry, None)

    def open_group(self, path: tuple[str, ...], key: Span, names: dict[str, Span]) -> None:
        """Open a group, or open it again."""
        dotted = ".".join(path)
        if dotted not in self.opened:
            self.entries.take(dotted, key, names)
            self.opened[dotted] = key

    def group(self, name: str, entry: Entry, path: tuple[str, ...], names: dict[str, Span], is_item: bool) -> Group:
        body = entry.value
        assert isinstance(body, MappingNode)
        for key, each in body.entries.items():
            if key not in ("stages", "numbered", "inline"):
                help = "a group has `stages`, with its entries, and may be `numbered` or `inline`"
                fixes = propose("remove it", remove_entry(each.key))
                self.entries.refuse("unknown-field", f"a group has no `{key}`", each.key, help, fixes=fixes)
        inline, dotted = self.entries.flag(body.entries.get("inline")), ".".join(path)
        again = dotted in self.opened
        if not is_item and not inline:
            self.open_group(path, entry.key, names)
        numbered = self.entries.flag(body.entries.get("numbered"))
        if numbered and again and dotted not in self.numbered:
            message = f"`{dotted}` is opened again here, after entries with names"
            first = self.opened[dotted]
            self.entries.refuse(
                "unknown-field", message, body.entries["numbered"].key, "write `numbered` where it is opened first", first
            )
        if numbered:
            self.numbered.setdefault(dotted, entry.key)
        inner = body.get("stages")
        assert isinstance(inner, MappingNode)
        made = tuple(self.entry(each, value, path, names, stages=True) for each, value in inner.entries.items())
        return Group(name, entry.key, made, dotted in self.numbered, inline)

    def stage(self, name: str, entry: Entry, body: MappingNode, default: Entry | None) -> Stage:
        own = body.entries.get("block")
        chosen = self.block_choice(name, entry, own, default)
        arguments = dict(chosen.arguments)
        for word in ("stride", "depth", "block"):
            if word in arguments:
                message = f"`{word}` belongs to a stage, not to its block"
                self.entries.refuse("unknown-field", message, arguments.pop(word).key, f"write `{word}` in the stage")
        special = [word for word in ("inline", "names", "roles", *ROLES) if not self.entries.takes(chosen.op, word)]
        roles = {**chosen.roles, **self.entries.roles_in(body, special, chosen.op)}
        for key, each in body.entries.items():
            if key in ("block", "depth", "stride", "from") or key in special or key in roles:
                continue
            if key in STAGE_WORDS:
                help = f"only operations have `{key}`; a stage consists of blocks"
                fixes = propose("remove it", remove_entry(each.key))
                self.entries.refuse("unknown-field", f"a stage has no `{key}`", each.key, help, fixes=fixes)
                continue
            arguments[key] = self.entries.argument(each)
        depth, stride = body.entries.get("depth"), body.entries.get("stride")
        invalid = chosen.invalid or body.invalid
        made = Use(name, entry.key, chosen.op, chosen.op_span, arguments, invalid=invalid, roles=roles, inline=chosen.inline)
        names = body.get("names") if "names" in special else None
        return Stage(
            name,
            entry.key,
            made,
            None if depth is None else _scalar(depth.value),
            None if stride is None else self.entries.argument(stride),
            scalars_in(body.get("from")),
            names if isinstance(names, ScalarNode) else None,
            self.entries.flag(body.entries.get("inline")) if "inline" in special else False,
        )

    def block_choice(self, name: str, entry: Entry, own: Entry | None, default: Entry | None) -> Use:
        """The block of a stage with its arguments: the stage's own choice, else the top-level one patched by it."""
        for choice in (own, default):
            given = choice.value.entries if choice is not None and isinstance(choice.value, MappingNode) else {}
            for word in ("if", "from", "init"):
                if word in given:
                    message = f"`{word}` belongs to an operation, but this is the block of a stage"
                    self.entries.refuse("unknown-field", message, given[word].key, "use it inside a block that you define")
        if own is not None and not _is_patch(own.value):
            return self.entries.use(name, own, None)
        if default is None and not self.blockless:  # once, for all stages that lack one
            self.blockless = True
            help = "add `block: NAME` to the stage, or to the top of the spec for all stages"
            message = f"the stage `{name}` does not name its block"
            fixes = self._name_block(entry.key.source)
            for word in _BLOCK_WORDS:
                if isinstance(entry.value, MappingNode) and word in entry.value.entries:
                    help = f"a stage names its block with `block`, not with `{word}`"
                    fixes = propose(help, replace_text(entry.value.entries[word].key, "block"), "safe")
                    break
            self.entries.refuse("missing-field", message, entry.key, help, fixes=fixes)
        if default is None:
            return Use(name, entry.key, "", entry.key, invalid=True)
        base = self.entries.use(name, default, None)
        if own is None or not isinstance(own.value, MappingNode):
            return base
        patched = self.entries.roles_in(
            own.value, [word for word in ("roles", *ROLES) if not self.entries.takes(base.op, word)], base.op
        )
        keys = [key for key in own.value.entries if key not in patched and key != "roles"]
        patch = {key: self.entries.argument(own.value.entries[key]) for key in keys}
        return replace(base, arguments={**base.arguments, **patch}, roles={**base.roles, **patched})

    def _name_block(self, source: Source) -> Fixes:
        """Fixes that name a block for all stages: one of the spec's own, or of the library."""
        names = [*islice(self.blocks, MOST_BLOCKS), *library_block_names()]
        return tuple(fix for name in names for fix in propose(f"write `block: {name}`", set_path(source, ("block",), name)))


def _is_patch(node: YamlNode) -> bool:
    return isinstance(node, MappingNode) and "op" not in node.entries


def _scalar(node: YamlNode) -> ScalarNode:
    """A single value; anything else, which is reported elsewhere, becomes one without a value."""
    return node if isinstance(node, ScalarNode) else ScalarNode(None, node.span)


def _stem_of(name: str) -> str:
    return name.rpartition("/")[2].removesuffix(".yaml").removesuffix(".yml")
