"""Amounts as people read them."""

from __future__ import annotations

from resnet_spec.diagnostics.text import count_text

__all__ = ["count_text", "megabytes"]


def megabytes(count: int) -> str:
    """A number of bytes: `850 MB`, `1.2 GB`."""
    return f"{count / 1e9:.1f} GB" if count >= 1e9 else f"{count / 1e6:.0f} MB"
