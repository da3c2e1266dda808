"""Untrusted names, such as those of class folders, in a table or a picture."""

from __future__ import annotations

from resnet_spec.diagnostics.text import shorten


def short_name(name: str, most: int = 24) -> str:
    """`name`, printable and in at most `most` columns. A blank name is put in quotation marks."""
    return shorten(name if name.strip(" ") else f'"{name}"', most)
