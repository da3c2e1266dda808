"""The Spec: a merged document as typed values with their places. Nothing is evaluated: numbers may still be expressions.

`parsing` makes these values.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

from resnet_spec.diagnostics import Span
from resnet_spec.diagnostics.text import count_text, shorten
from resnet_spec.language.library import library_block_names
from resnet_spec.language.merge import Resolved
from resnet_spec.language.nodes import ScalarNode, SequenceNode

__all__ = [
    "FACTS",
    "ROLES",
    "Argument",
    "ArgumentValue",
    "Block",
    "Bounds",
    "Expect",
    "Group",
    "OutputEntry",
    "PublishedWeights",
    "ScalarNode",
    "SequenceNode",
    "Spec",
    "SpecEntry",
    "SpecLike",
    "Stage",
    "Use",
    "library",
]

ArgumentValue = ScalarNode | SequenceNode

ROLES = ("norm", "act")  # those that every spec has; `roles` declares others
# Operations that the language got after 0.1.0: a spec may have blocks of these names.
ADDED_LATER = frozenset(
    """
    upsample conv_transpose2d slice channel_shuffle pixel_shuffle pixel_unshuffle softmax log_softmax mean sum amax subtract
    scale conv1d prelu instance_norm local_response_norm softplus hardtanh selu
    """.split()  # noqa: SIM905
)
FACTS = ("in_channels", "out_channels", "first", "stage_index", "block_index", "block_count", "channels")


@dataclass(frozen=True, slots=True, eq=False)
class Argument:
    """A field of an operation or an argument of a block, as written."""

    key: Span
    value: ArgumentValue


def scalars_of(argument: Argument) -> Iterator[ScalarNode]:
    """The single values of an argument: itself, or those of a list and of the pairs in it."""
    pending: list[object] = [argument.value]
    while pending:
        node = pending.pop(0)
        if isinstance(node, ScalarNode):
            yield node
        elif isinstance(node, SequenceNode):
            pending[:0] = node.items


@dataclass(frozen=True, slots=True, eq=False)
class Use:
    """A use of an operation, a role or a block, under a name. Two uses are equal only if they are the same object.

    `roles` are those that hold inside a block that is used. `numbered`: the operations of a `sequential` are called 0, 1, ...
    `inline`: its entries are children of the module around. `invalid`: a finding was reported about it, so its consequences are
    not checked.
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
    like: ScalarNode | None = None  # the value whose size an operation takes
    otherwise: ScalarNode | None = None  # `else`: the value that it passes on where it is absent
    roles: dict[str, Use] = field(default_factory=dict)
    numbered: bool = False
    inline: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class Stage:
    """A stage: `block` already has the top-level default, the stage's own patch, and the stage's arguments and roles.

    `names` is the pattern of the names of its blocks, with expressions in braces. `inline`: its blocks are children of the
    module around.
    """

    name: str
    key: Span
    block: Use
    depth: ScalarNode | None
    stride: Argument | None
    inputs: tuple[ScalarNode, ...] = ()  # `from`
    names: ScalarNode | None = None
    inline: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class Group:
    """Entries under one name, which is a part of the names of their modules. `numbered`: they are called 0, 1, 2, ..."""

    name: str
    key: Span
    entries: tuple[SpecEntry, ...]
    numbered: bool = False
    inline: bool = False


SpecEntry = Use | Stage | Group


def open_groups(entries: Iterable[SpecEntry]) -> Iterator[Use | Stage]:
    """The operations, blocks and stages among entries and in their groups, in order."""
    for entry in entries:
        if isinstance(entry, Group):
            yield from open_groups(entry.entries)
        else:
            yield entry


def paths_of(entries: Iterable[SpecEntry], within: str = "") -> Iterator[tuple[str, Use | Stage]]:
    """As `open_groups`, each with its path in the file."""
    for entry in entries:
        if isinstance(entry, Group):
            yield from paths_of(entry.entries, f"{within}{entry.name}.")
        else:
            yield within + entry.name, entry


@dataclass(frozen=True, slots=True, eq=False)
class OutputEntry:
    """An output of the network: `value` names an entry. `training_only`: there is none in evaluation."""

    name: str
    key: Span
    value: ScalarNode
    training_only: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class Block:
    """A kind of block. Two blocks are equal only if they are the same object.

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
    roles: dict[str, Use] = field(default_factory=dict)  # that hold in it, unless a use of it has others
    numbered: bool = False  # its entries are called 0, 1, 2, ...


@dataclass(frozen=True, slots=True, eq=False)
class Bounds:
    """The smallest and the largest number that `expect` allows; None: no bound. `spans`: the places of `least` and `most`."""

    least: int | None
    most: int | None
    spans: dict[str, Span]


@dataclass(frozen=True, slots=True, eq=False)
class Expect:
    """The `expect` of a spec. `nodes` are its exact clauses as they are written, by name."""

    output: tuple[int, ...] | None
    counts: dict[str, int]  # exact: params, buffers, macs
    bounds: dict[str, Bounds]  # of the same
    squares: tuple[int, int | None] | None  # the smallest and the largest size, in pixels
    accepts: tuple[tuple[int, int, Span], ...]  # height and width in pixels, and the place
    nodes: dict[str, ArgumentValue]
    outputs: dict[str, tuple[tuple[int, ...], Span]] = field(default_factory=dict)  # by name: the shape, and the place


@dataclass(frozen=True, slots=True)
class PublishedWeights:
    """Where weights of a network are published: `kind` is `torchvision` or `hf`. `top1`: their accuracy, in percent."""

    kind: str
    name: str
    top1: float | None = None


@dataclass(frozen=True, slots=True, repr=False)
class Spec:
    """A network as written: `input` is (C, H, W) in pixels. It can be passed wherever a spec is accepted."""

    span: Span
    name: str
    name_span: Span | None  # None: named after its file
    about: str
    source: str
    input: tuple[int, int, int]
    input_span: Span
    classes: ScalarNode | None
    params: dict[str, Argument]
    roles: dict[str, Use]
    init: str
    recipe: str | None  # the shipped recipe that it is trained with by default
    stem: tuple[SpecEntry, ...]
    stages: tuple[SpecEntry, ...]
    head: tuple[SpecEntry, ...]
    blocks: dict[str, Block]
    expect: Expect | None
    document: Resolved = field(compare=False)  # the document that it was parsed from
    marked: dict[str, Block] = field(default_factory=dict)  # the names of library blocks that this spec makes invalid
    outputs: tuple[OutputEntry, ...] = ()  # none: the last value is the output
    weights: PublishedWeights | None = None
    named_outputs: bool = False  # the module returns a dict of its outputs

    def __repr__(self) -> str:
        size = "x".join(map(str, self.input))
        return f"<Spec of {shorten(self.name, 60)}: {size}, {count_text(len(self.stages), 'stage')}>"

    @property
    def entries(self) -> Iterator[Use | Stage]:
        """The operations, blocks and stages of stem, stages and head, also those in groups, in order."""
        return open_groups((*self.stem, *self.stages, *self.head))

    def is_role(self, word: str, written: Span) -> bool:
        """Whether a word means a role where it is `written`: the library does not see the roles that the spec declares."""
        return word in ROLES or (word in self.roles and written.source.origin != "library")

    def is_own(self, name: str, written: Span) -> bool:
        """Whether the name of an operation means a block of the spec's own where it is `written`: the block wins over an
        operation that the language got later."""
        return name in ADDED_LATER and name in self.blocks and written.source.origin != "library"

    def find_block(self, name: str, written: Span) -> Block | None:
        """Find the block that a name refers to where it is `written`: the library does not see the spec's own new blocks."""
        own = self.blocks.get(name)
        if own is not None and (own.everywhere or written.source.origin != "library"):
            return own
        return self.marked.get(name) or library(name)

    def block_names(self) -> list[str]:
        """The names of all blocks, the spec's own first."""
        return list(dict.fromkeys([*self.blocks, *library_block_names()]))


# Everything that is accepted as a spec: a path, the name of a shipped spec, YAML text, data, or a loaded Spec.
SpecLike = str | Path | Mapping[str, object] | Spec


@cache
def library(name: str) -> Block | None:
    """A block of the library, parsed once; None if there is none of this name."""
    from resnet_spec.language.parsing import parse_library_block  # it imports the types above

    return parse_library_block(name)
