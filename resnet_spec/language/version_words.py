"""A version of the language that is declared in another way."""

from __future__ import annotations

from resnet_spec.diagnostics import DocumentKind, Span
from resnet_spec.language.editing import replace_text
from resnet_spec.language.fixes import Fixes, propose
from resnet_spec.language.nodes import MappingNode, ScalarNode
from resnet_spec.language.restructuring import unwrap_entry

_WORDS = ("version", "format", "schema", "language", "config")  # what other formats call it


def explain_version(kind: DocumentKind, document: MappingNode) -> tuple[Span, str, Fixes] | None:
    """Where a document without a version most likely declares it, the help, and the fix: in its first entry, or below it."""
    for name, entry in list(document.entries.items())[:1]:
        if isinstance(entry.value, MappingNode) and kind in entry.value.entries:
            title = f"remove `{name}:`, and take what is below it to the top"
            return entry.key, title, propose(title, unwrap_entry(entry.key), "safe")
        if name in _WORDS and isinstance(entry.value, ScalarNode) and entry.value.value == 1:
            title = f"did you mean `{kind}`?"
            return entry.key, title, propose(title, replace_text(entry.key, kind), "safe")
    return None
