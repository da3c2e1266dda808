"""What a spec defines and never uses: its own blocks, params, and the `let` variables of blocks."""

from __future__ import annotations

from collections.abc import Iterator

from resnet_spec.diagnostics import Diagnostic, Source, Span
from resnet_spec.language import expressions
from resnet_spec.language.spec import Argument, Block, ScalarNode, Spec, Stage, Use


def check_unused(spec: Spec) -> list[Diagnostic]:
    """A warning for each definition of the file itself that is never used. Those of files that it extends may be for others."""
    used = _Used(spec)
    places: list[tuple[str, dict[str, Span]]] = [
        ("block", {name: block.key for name, block in spec.blocks.items() if block not in used.blocks}),
        ("param", {name: each.key for name, each in spec.params.items() if name not in used.names}),
    ]
    for block in spec.blocks.values():
        if block in used.blocks:
            places.append(("`let` variable", {name: each.key for name, each in block.let.items() if name not in used.names}))
    return [finding for what, unused in places for finding in _unused(what, unused, spec.span.source)]


def _unused(what: str, places: dict[str, Span], main: Source) -> Iterator[Diagnostic]:
    for name, span in places.items():
        if span.source is main:
            message = f"the {what} `{name}` is never used"
            yield Diagnostic("unused-definition", message, span, help="remove it, or use it", severity="warning")


class _Used:
    """The blocks that a network uses, directly or not, and every name in their expressions."""

    def __init__(self, spec: Spec) -> None:
        self.spec = spec
        self.blocks: set[Block] = set()
        self.names: set[str] = set()
        for argument in spec.params.values():
            self.add_argument(argument)
        for use in (*spec.roles.values(), *spec.stem, *spec.head):
            self.add_use(use)
        for entry in spec.stages:
            if isinstance(entry, Stage):
                self.add_scalar(entry.depth)
                if entry.stride is not None:
                    self.add_argument(entry.stride)
                self.add_use(entry.block)
            else:
                self.add_use(entry)

    def add_use(self, use: Use) -> None:
        self.add_scalar(use.when)
        for argument in use.arguments.values():
            self.add_argument(argument)
        for inner in use.ops:
            self.add_use(inner)
        block = self.spec.find_block(use.op, use.op_span)
        if block is not None and block not in self.blocks:
            self.blocks.add(block)
            self.add_block(block)

    def add_block(self, block: Block) -> None:
        for argument in (*block.defaults.values(), *block.let.values()):
            self.add_argument(argument)
        if block.out_channels is not None:
            self.add_argument(block.out_channels)
        for use in (*block.branch, *block.shortcut, *((block.join,) if block.join else ()), *block.after):
            self.add_use(use)

    def add_argument(self, argument: Argument) -> None:
        value = argument.value
        for item in (value,) if isinstance(value, ScalarNode) else value.items:
            if isinstance(item, ScalarNode):
                self.add_scalar(item)

    def add_scalar(self, scalar: ScalarNode | None) -> None:
        if scalar is not None and isinstance(scalar.value, str):
            parsed = expressions.parse(scalar.value)
            if isinstance(parsed, expressions.Expression):
                self.names.update(name for name, _, _ in parsed.names)
