"""What a YAML file is, from its text: a spec, a recipe, or something else, such as a workflow of GitHub."""

from __future__ import annotations

import re

from resnet_spec.diagnostics import DocumentKind

# `spec: 1` as a key of the document: at the beginning of a line, or first in `{...}`. Kubernetes writes mappings under `spec:`.
_VERSION = re.compile(
    r"""(?:\A\ufeff?(?:\#.*\n|\s)*\{\s*|^\ufeff?)(["']?)(spec|recipe)\1[ \t]*:[ \t]+["']?[\w.+-]""", re.MULTILINE
)


_NEVER_IN_A_PATCH = re.compile(r"""^["']?(?:extends|input)["']?[ \t]*:""", re.MULTILINE)


def may_be_patch(text: str) -> bool:
    """Whether a text may be a spec that is only a patch: it has neither `extends` nor `input` at the beginning of a line."""
    return _NEVER_IN_A_PATCH.search(text) is None


def find_kind(text: str) -> DocumentKind | None:
    """The kind of document that a text declares to be, by its version (`spec: 1`, `recipe: 1`); None for any other text.

    Nothing is parsed, so this also holds for a text with mistakes.
    """
    found = _VERSION.search(text)
    if found is None:
        return None
    return "spec" if found[2] == "spec" else "recipe"
