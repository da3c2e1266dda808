"""The classes of a network: one for each distinct kind of block, whatever its numbers and whether a part is absent."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice, product

from resnet_spec.ops.source import SourceCall
from resnet_spec.outputs.source.names import Namespace, class_name
from resnet_spec.outputs.source.parts import Signature, SourcePart, level_signature, signature_of

MOST_TRIED = 16  # wirings that are tried for a block without some parts


@dataclass(eq=False)
class BlockClass:
    """A class and its uses. `parts` are those of its first whole use; the places of optional ones are in `optional`.

    `present[n]` are the parts of use `n` by place, None where one is absent.
    """

    name: str
    label: str
    parts: tuple[SourcePart, ...]
    signature: Signature
    uses: list[SourcePart] = field(default_factory=list)
    present: list[tuple[SourcePart | None, ...]] = field(default_factory=list)
    optional: set[int] = field(default_factory=set)
    passes: dict[int, int] = field(default_factory=dict)  # which input an optional part passes on where it is absent

    @property
    def model(self) -> SourcePart:
        """The use that has all parts."""
        return next(use for use, present in zip(self.uses, self.present, strict=True) if None not in present)


class Classes:
    """Finds the classes of all blocks, the inner ones first."""

    def __init__(self, top: Sequence[SourcePart], taken: frozenset[str]) -> None:
        self.names = Namespace(taken)
        self.of: dict[int, BlockClass] = {}  # by the id of the part
        self.all: list[BlockClass] = []
        blocks = list(_blocks(top))
        heights = _heights(blocks)
        for height in sorted(set(heights.values())):
            by_label: dict[str, list[SourcePart]] = {}
            for block in blocks:
                if heights[block.label] == height:
                    by_label.setdefault(block.label, []).append(block)
            before = len(self.all)
            for label, members in by_label.items():
                self._assign(label, members)
            self.all[before:] = sorted(self.all[before:], key=_first_use)

    def _assign(self, label: str, members: Sequence[SourcePart]) -> None:
        """Classes for the blocks of a label: the larger ones first, so that others can be these without a part."""
        for block in members:
            for inner in _blocks(block.parts):
                if id(inner) not in self.of and inner.label == label:
                    self._assign_one(label, inner)
        own: list[BlockClass] = []
        for block in sorted(members, key=lambda each: (-len(each.parts), each.start)):
            if id(block) in self.of:
                continue
            for known in own:
                present = _fit(known, block)
                if present is not None:
                    self._use(known, block, present)
                    break
            else:
                own.append(self._assign_one(label, block))

    def _assign_one(self, label: str, block: SourcePart) -> BlockClass:
        signature = ("block", *level_signature(block))
        for known in self.all:
            if known.signature == signature:
                self._use(known, block, block.parts)
                return known
        made = BlockClass("", label, block.parts, signature)
        self.all.append(made)
        self._use(made, block, block.parts)
        return made

    def _use(self, known: BlockClass, block: SourcePart, present: tuple[SourcePart | None, ...]) -> None:
        known.uses.append(block)
        known.present.append(present)
        known.optional |= {place for place, part in enumerate(present) if part is None}
        self.of[id(block)] = known
        block.signature = ("class", id(known))

    def finish(self) -> None:
        """Put the uses in order, and give the classes their names, in the order in which they are first used."""
        for known in self.all:
            order = sorted(range(len(known.uses)), key=lambda number: known.uses[number].start)
            known.uses = [known.uses[number] for number in order]
            known.present = [known.present[number] for number in order]
        for known in sorted(self.all, key=_first_use):
            known.name = self.names.give(class_name(known.label))


def _fit(known: BlockClass, block: SourcePart) -> tuple[SourcePart | None, ...] | None:
    """The parts of a block at the places of a class, None where one is absent; None if it is of another class."""
    if len(block.parts) > len(known.parts):
        return None
    found: list[SourcePart | None] = []
    missing: list[int] = []
    at = 0
    for place, part in enumerate(known.parts):
        here = block.parts[at] if at < len(block.parts) else None
        if here is not None and here.path == part.path and signature_of(here) == signature_of(part):
            found.append(here)
            at += 1
            continue
        if not may_be_absent(part) or (known.passes.get(place, 0) and len(part.inputs) == 1):
            return None
        found.append(None)
        missing.append(place)
    joins = any(len(known.parts[place].inputs) > 1 for place in missing)
    if at < len(block.parts) or not block.parts or len(missing) > max(2 if joins else 1, len(known.parts) // 2):
        return None
    wanted = level_signature(block)
    choices = [[known.passes[place]] if place in known.passes else range(len(known.parts[place].inputs)) for place in missing]
    for chosen in islice(product(*choices), MOST_TRIED):
        passes = dict(zip(missing, chosen, strict=True))
        if level_signature(known.model, passes) == wanted:
            known.passes |= passes
            return tuple(found)
    return None


def _first_use(known: BlockClass) -> int:
    return min(use.start for use in known.uses)


def may_be_absent(part: SourcePart) -> bool:
    """Whether a class can have a part in some uses only: a module of one input, or a join of two values."""
    joins = part.op is not None and part.op.joins not in (None, "concatenation") and len(part.inputs) == 2
    is_single = len(part.inputs) == 1 and not part.is_parameter and part.output not in part.inputs
    return (is_single or joins) and len(part.path) == 1


def _blocks(parts: Sequence[SourcePart]) -> Iterator[SourcePart]:
    """All blocks in parts, the inner ones first."""
    for part in parts:
        yield from _blocks(part.parts)
        if part.kind == "block":
            yield part


def _heights(blocks: Sequence[SourcePart]) -> dict[str, int]:
    """For each label, how many labels of blocks are nested in its blocks at most."""
    inner: dict[str, set[str]] = {}
    for block in blocks:
        inner.setdefault(block.label, set()).update(each.label for each in _blocks(block.parts))
    heights: dict[str, int] = {}

    def height(label: str, around: tuple[str, ...]) -> int:
        if label not in heights:
            below = [height(each, (*around, label)) for each in sorted(inner[label]) if each != label and each not in around]
            heights[label] = 1 + max(below, default=0)
        return heights[label]

    for label in inner:
        height(label, ())
    return heights


def calls(part: SourcePart) -> Iterator[tuple[tuple[int, ...], SourceCall]]:
    """The calls of a part and of the sequences in it, with their places."""
    if part.kind == "layer" and part.call is not None:
        yield (), part.call
    for place, inner in enumerate(part.parts if part.kind == "sequence" else ()):
        for path, call in calls(inner):
            yield (place, *path), call
