"""Merges a chain of patches into one document: the language's defaults, the files that `extends` names, the file, and `--set`.

The result, `Resolved`, is one tree in which every value has the place where it was last written, and the blocks that the spec
defines. `extends` reads the files, `merge_tree` applies one patch, and this module applies them in order.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path

from resnet_spec.diagnostics import Diagnostic, DocumentKind, Source, Span, closest, document_error
from resnet_spec.diagnostics.suggestions import show_suggestion
from resnet_spec.language.editing import replace_text, set_field
from resnet_spec.language.extends import ExtendedBase, Location, read_chain, require_mapping
from resnet_spec.language.fixes import Help, is_misspelling, propose, propose_word, together
from resnet_spec.language.library import library_block, library_block_names
from resnet_spec.language.merge_tree import DEFAULTS, TreeMerger
from resnet_spec.language.nodes import MappingNode, ScalarNode, YamlNode
from resnet_spec.language.reader import parse
from resnet_spec.language.revisions import Revision

NOT_INHERITED = ("name", "about", "source", "weights", "expect")
RECIPE_NOT_INHERITED = ("name", "about", "source", "accuracy")


@dataclass(frozen=True, slots=True, eq=False)
class BlockText:
    """A block that the spec defines, as a tree.

    `everywhere`: it patches a library block under the library's own name, so other library blocks use it as well.
    """

    name: str
    key: Span
    body: MappingNode
    everywhere: bool


@dataclass(frozen=True, slots=True, eq=False)
class Resolved:
    """One document: the merged root without `blocks`, and the blocks."""

    source: Source
    root: MappingNode
    blocks: dict[str, BlockText]
    overridden: bool  # by `--set`; `expect` then does not apply
    warnings: tuple[Diagnostic, ...]
    replaced: dict[Span, YamlNode]  # the place of a value -> the value of an earlier file that it overrides
    leads: dict[Source, Span] = field(default_factory=dict)  # a shipped file -> the place in the user's file that leads there


def resolve(
    source: Source,
    folder: Path | None,
    root: Path | None,
    patches: Iterable[MappingNode] = (),
    base: ExtendedBase | None = None,
    revision: Revision | None = None,
) -> Resolved:
    """Read a spec and everything it extends, and merge.

    Args:
        folder: where relative `extends` start; None allows none.
        base: what is merged before the spec, as if the spec extended it first.
        root: the folder that `extends` may not leave; None allows the names of shipped specs only.
        patches: applied last; they may only change what exists (see `parse_set`).
        revision: of which `folder` and `root` are folders.

    Raises:
        SpecError: with every finding of the merge.
    """
    chain = read_chain(source, "spec", None if folder is None else Location(folder, root, revision), base)
    merger = TreeMerger()
    merged = _defaults("spec")
    blocks: dict[str, BlockText] = {}
    for number, document in enumerate(chain.documents):
        if number:
            merged = merged.without(NOT_INHERITED)
        blocks = _merge_blocks(merger, blocks, document.get("blocks"))
        merged = merger.merge(merged, document.without(("blocks", "extends")), "root")
    merged = replace(merged, span=chain.documents[-1].span)
    return _apply(merger, Resolved(source, merged, blocks, False, chain.warnings, merger.replaced, chain.leads), patches)


def apply_patches(resolved: Resolved, patches: Iterable[MappingNode]) -> Resolved:
    """A document with patches applied, as `resolve` applies them.

    Raises:
        SpecError: with every finding of the merge.
    """
    return _apply(TreeMerger(replaced=dict(resolved.replaced)), resolved, patches)


def _apply(merger: TreeMerger, resolved: Resolved, patches: Iterable[MappingNode]) -> Resolved:
    merged, blocks, overridden = resolved.root, resolved.blocks, resolved.overridden
    merger = replace(merger, strict=True)
    for patch in patches:
        if "extends" in patch.entries:
            message, help = "`--set` changes a spec, but cannot extend another one", "write a file with `extends`"
            merger.report("extends-not-allowed", message, patch.entries["extends"].key, help)
            continue
        overridden = True
        blocks = _merge_blocks(merger, blocks, patch.get("blocks"))
        merged = merger.merge(merged, patch.without(("blocks",)), "root")
    if merger.findings:
        raise document_error("spec")([*merger.findings, *resolved.warnings])
    root = replace(merged, span=resolved.root.span)
    return replace(resolved, root=root, blocks=blocks, overridden=overridden, replaced=merger.replaced)


def resolve_recipe(
    source: Source, folder: Path | None, root: Path | None, patches: Iterable[MappingNode] = ()
) -> tuple[MappingNode, tuple[Diagnostic, ...]]:
    """As `resolve`, for a recipe: the merged tree, and the warnings. `patches` (`--set-recipe`) may add what does not exist.

    Raises:
        RecipeError: with every finding of the merge.
    """
    chain = read_chain(source, "recipe", None if folder is None else Location(folder, root))
    merger = TreeMerger()
    merged = _defaults("recipe")
    for number, document in enumerate(chain.documents):
        if number:
            merged = merged.without(RECIPE_NOT_INHERITED)
        merged = merger.merge(merged, document.without(("extends",)), "recipe")
    for patch in patches:
        if "extends" in patch.entries:
            message, help = "`--set-recipe` changes a recipe, but cannot extend another one", "write a file with `extends`"
            merger.report("extends-not-allowed", message, patch.entries["extends"].key, help)
            continue
        merged = merger.merge(merged, patch, "recipe")
    if merger.findings:
        raise document_error("recipe")([*merger.findings, *chain.warnings])
    return replace(merged, span=chain.documents[-1].span), chain.warnings


@cache
def _defaults(kind: DocumentKind) -> MappingNode:
    return require_mapping(parse(DEFAULTS[kind])[0], kind)


# --- blocks -----------------------------------------------------------------------------------------------------------------


def _merge_blocks(merger: TreeMerger, below: dict[str, BlockText], node: YamlNode | None) -> dict[str, BlockText]:
    """Merge the blocks of one more file or `--set`. `extends` refers to blocks as the previous files define them."""
    if node is None:
        return below
    if isinstance(node, ScalarNode) and node.value is None and below:
        return {}
    if not isinstance(node, MappingNode):
        merger.report("wrong-type", "`blocks` must be a mapping of names to blocks", node.span)
        return below
    result = dict(below)
    for name, entry in node.entries.items():
        match entry.value:
            case ScalarNode(value=None):
                if result.pop(name, None) is None:
                    message = f"`blocks.{name}` is deleted here, but no extended file defines it"
                    merger.report("nothing-to-delete", message, entry.key)
            case MappingNode() as body:
                made = _merge_block(merger, name, entry.key, body, below, result)
                if made is not None:
                    result[name] = made
            case other:
                message = f"`blocks.{name}` must be a mapping with `branch` and other keys"
                merger.report("wrong-type", message, other.span)
    return result


def _merge_block(
    merger: TreeMerger, name: str, key: Span, body: MappingNode, below: dict[str, BlockText], here: dict[str, BlockText]
) -> BlockText | None:
    """Merge one block of a file: a new one, or a patch of the block that it extends, which may have the same name."""
    path = f"blocks.{name}"
    starts = body.get("extends")
    if starts is None and name not in below and not merger.strict:
        merger = replace(merger, find_hint=cache(lambda: _hint_of_block(name, key, below)))
        return BlockText(name, key, merger.merge(MappingNode({}, body.span), body, "block", path), everywhere=False)
    if starts is not None and not (isinstance(starts, ScalarNode) and isinstance(starts.value, str)):
        merger.report("wrong-type", "`extends` of a block takes the name of one other block", starts.span)
        return None
    parent, span = (name, key) if starts is None else (str(starts.value), starts.span)
    base, everywhere = _block_below(parent, below, here)
    if base is None:
        names = [*below, *library_block_names()]
        near = closest(parent, names)
        fixes = propose_word(span, near, parent)
        merger.report("unknown-block", f"there is no block `{parent}`", span, show_suggestion(near, names), fixes=fixes)
        return None
    merged = merger.merge(base, body.without(("extends",)), "block", path)
    at = below[name].key if merger.strict and name in below else key
    return BlockText(name, at, replace(merged, span=body.span), everywhere and parent == name)


def _hint_of_block(name: str, key: Span, below: dict[str, BlockText]) -> Help:
    """The help for what a new block patches or deletes, and its fixes: the block that it most likely patches."""
    if library_block(name) is not None:
        hint = f"write `extends: {name}` in the block to patch the library's block"
        return hint, propose(hint, set_field(key, "extends", name))
    near = closest(name, [*below, *library_block_names()])
    if near is None or not is_misspelling(name, near):
        return "", ()
    hint = f"did you mean the block `{near}`?"
    edits = replace_text(key, near)
    if near not in below:
        hint += f" Patch it with `{near}: {{extends: {near}, ...}}`"
        edits = together(edits, set_field(key, "extends", near))
    return hint, propose(hint, edits)


def _block_below(name: str, below: dict[str, BlockText], here: dict[str, BlockText]) -> tuple[MappingNode | None, bool]:
    """The block that an `extends` names: from an extended file, else from the library, else from further up in this file."""
    if name in below:
        return below[name].body, below[name].everywhere
    if (body := library_block(name)) is not None:
        return body, True
    return (here[name].body, False) if name in here else (None, False)


# --- a patch without its base -----------------------------------------------------------------------------------------------


def merge_onto_defaults(document: MappingNode) -> MappingNode:
    """The root of a document that consists of whole entries."""
    return replace(TreeMerger().merge(_defaults("spec"), document, "root"), span=document.span)


def merge_patch_blocks(node: YamlNode | None) -> tuple[dict[str, BlockText], list[str], list[Diagnostic]]:
    """Merge the blocks of a patch whose base is not known.

    Returns:
        The blocks that are whole, the names of those that the base has to define, and the findings.
    """
    blocks: dict[str, BlockText] = {}
    needed: list[str] = []
    findings: list[Diagnostic] = []
    for name, entry in node.entries.items() if isinstance(node, MappingNode) else ():
        body = entry.value
        if not isinstance(body, MappingNode):
            needed.append(name)
            continue
        starts = body.get("extends")
        parent = str(starts.value) if isinstance(starts, ScalarNode) else None
        known = parent is None or parent in blocks or parent in library_block_names()
        if parent is not None and not known and closest(parent, [*blocks, *library_block_names()]) is None:
            needed.append(parent)
            continue
        merger = TreeMerger()
        made = _merge_block(merger, name, entry.key, body, {}, blocks)
        if starts is None and (merger.findings or "branch" not in body.entries):  # it patches a block of the base
            needed.append(name)
            continue
        findings += merger.findings
        if made is not None:
            blocks[name] = made
    return blocks, needed, findings
