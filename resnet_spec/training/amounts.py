"""Amounts as people read them."""

from __future__ import annotations


def count_text(number: int, thing: str) -> str:
    """`1 step`, `2,000 steps`, `4 processes`."""
    return f"{number:,} {thing}{'' if number == 1 else 'es' if thing.endswith('s') else 's'}"


def megabytes(count: int) -> str:
    """A number of bytes: `850 MB`, `1.2 GB`."""
    return f"{count / 1e9:.1f} GB" if count >= 1e9 else f"{count / 1e6:.0f} MB"
