"""What a spec defines or passes, and nothing reads: blocks, params, `let` variables, arguments."""

from __future__ import annotations

from collections.abc import Iterator

from resnet_spec.diagnostics import Diagnostic, Span
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
                yield Diagnostic("unused-definition", message, span, help="remove it, or use it", severity="warning")
