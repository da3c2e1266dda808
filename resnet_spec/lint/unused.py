"""What a spec defines or passes, and nothing reads: blocks, params, `let` variables, arguments."""

from __future__ import annotations

from collections.abc import Iterator
from math import prod

from resnet_spec.diagnostics import Diagnostic, Label, Source, Span
from resnet_spec.diagnostics.text import count_text
from resnet_spec.language.editing import remove_entry
from resnet_spec.language.fixes import propose
from resnet_spec.language.spec import ADDED_LATER
from resnet_spec.lint.reading import BlockReading
from resnet_spec.lint.registry import LintContext, rule


@rule("unused-definition")
def unused_definition(context: LintContext) -> Iterator[Diagnostic]:
    """A block, a param or a `let` variable of the file itself that nothing reads. Those of files that it extends may be for
    others."""
    spec, reading = context.spec, context.reading
    places: list[tuple[str, dict[str, Span]]] = [
        ("block", {name: block.key for name, block in spec.blocks.items() if block not in reading.blocks}),
        ("param", {name: each.key for name, each in spec.params.items() if name not in reading.names}),
    ]
    places += [("`let` variable", each.unread_variables) for each in reading.blocks.values()]
    for what, unused in places:
        for name, span in unused.items():
            if span.source is spec.span.source:
                message = f"the {what} `{name}` is never used"
                fixes = propose("remove it", remove_entry(span))
                help = "remove it, or use it"
                yield Diagnostic("unused-definition", message, span, help=help, severity="warning", fixes=fixes)


@rule("dead-operation")
def dead_operation(context: LintContext) -> Iterator[Diagnostic]:
    """Operations that no output of the network depends on: they cost parameters, memory and time."""
    graph = context.graph
    needed = graph.needed_by(graph.returned)
    dead = [position for position in range(len(graph.nodes)) if position not in needed]
    for position in dead:
        if not context.readers[position]:
            behind = graph.needed_by((position,)) - needed
            tensors = [tensor for each in behind for tensor in graph.nodes[each].op.tensors()]
            params = sum(prod(tensor.shape) for tensor in tensors if not tensor.buffer)
            what = (
                f"{count_text(len(behind), 'operation')} with {params:,} parameters"
                if params
                else count_text(len(behind), "operation")
            )
            message = f"no output depends on {graph.nodes[position].name}: {what} for nothing"
            yield context.warning(
                position, "dead-operation", message, "name it in `outputs`, read it with `from`, or remove it"
            )


@rule("shadowed-operation")
def shadowed_operation(context: LintContext) -> Iterator[Diagnostic]:
    """A block with the name of an operation that the language got later."""
    for name, block in context.spec.blocks.items():
        if name in ADDED_LATER and block.key.source is context.spec.span.source:
            message = f"the block `{name}` has the name of an operation, which this file cannot use"
            help = "give the block another name"
            yield Diagnostic("shadowed-operation", message, block.key, help=help, severity="warning")


@rule("unused-argument")
def unused_argument(context: LintContext) -> Iterator[Diagnostic]:
    """An argument that nothing in its block reads, as where the stride of a stage never reaches a convolution."""
    main = context.spec.span.source
    for reading in context.reading.blocks.values():
        for name, declared in reading.unread_arguments.items():
            finding = _ignored(reading, name, declared, main)
            if finding is not None:
                yield finding


def _ignored(reading: BlockReading, name: str, declared: Span, main: Source) -> Diagnostic | None:
    """The finding about an argument that a block does not read: where it is given, else where it is declared. There is none
    where only files that the spec extends are involved."""
    block = reading.block
    help = f"use `{name}` inside the block, or remove the argument"
    if name == "stride":
        help = "write `stride: stride` in the convolution (or the pool) that is to have the stride"
    places = dict.fromkeys(reading.given.get(name, ()))  # the top-level `block` gives its arguments to each stage
    given = [span for span in places if span.source is main or span.source.origin == "command line"]
    if given:
        message = f"`{name}` has no effect: nothing in the block `{block.name}` reads it"
        notes = (f"and in {count_text(len(given) - 1, 'more place')}",) if len(given) > 1 else ()
        related = (Label(declared, "the argument is declared here"),)
        return Diagnostic("unused-argument", message, given[0], "", related, help, notes, "warning")
    message = f"nothing in the block `{block.name}` reads its argument `{name}`"
    for span in (declared, block.key):
        if span.source is main:
            return Diagnostic("unused-argument", message, span, help=help, severity="warning")
    return None
