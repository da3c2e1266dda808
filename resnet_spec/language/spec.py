"""The Spec: a merged document as typed values with their places. Nothing is evaluated: numbers may still be expressions.

`parsing` makes these values.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Literal

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
    "Role",
    "ScalarNode",
    "SequenceNode",
    "Spec",
    "SpecLike",
    "Stage",
    "Use",
    "library",
]

ArgumentValue = ScalarNode | SequenceNode
Role = Literal["norm", "act"]

ROLES: tuple[Role, ...] = ("norm", "act")
FACTS = ("in_channels", "out_channels", "first", "stage_index", "block_index", "block_count", "channels")


@dataclass(frozen=True, slots=True, eq=False)
class Argument:
    """A field of an operation or an argument of a block, as written."""

    key: Span
    value: ArgumentValue


@dataclass(frozen=True, slots=True, eq=False)
class Use:
    """A use of an operation, a role or a block, under a name. Two uses are equal only if they are the same object.

    `invalid`: a finding was reported about it, so its consequences are not checked.
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


@dataclass(frozen=True, slots=True, eq=False)
class Stage:
    """A stage: `block` already has the top-level default, the stage's own patch and the stage's arguments."""

    name: str
    key: Span
    block: Use
    depth: ScalarNode | None
    stride: Argument | None


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
    stem: tuple[Use, ...]
    stages: tuple[Stage | Use, ...]
    head: tuple[Use, ...]
    blocks: dict[str, Block]
    expect: Expect | None
    document: Resolved = field(compare=False)  # the document that it was parsed from
    marked: dict[str, Block] = field(default_factory=dict)  # the names of library blocks that this spec makes invalid

    def __repr__(self) -> str:
        size = "x".join(map(str, self.input))
        return f"<Spec of {shorten(self.name, 60)}: {size}, {count_text(len(self.stages), 'stage')}>"

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
