"""Strategies for shapes and pairs of numbers."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st


def sizes(most: int = 12) -> st.SearchStrategy[int]:
    return st.integers(1, most)


def images(channels: int = 8, most: int = 12) -> st.SearchStrategy[tuple[int, int, int]]:
    """Shapes (C, H, W)."""
    return st.tuples(st.integers(1, channels), sizes(most), sizes(most))


def anything() -> st.SearchStrategy[tuple[int, ...]]:
    """Shapes of any rank that can arise: images, images with joined pixels, vectors."""
    return st.one_of(images(), images().map(lambda x: (x[0], x[1] * x[2])), images().map(lambda x: (x[0] * x[1] * x[2],)))


def pairs(least: int, most: int) -> st.SearchStrategy[tuple[int, int]]:
    """Equal numbers half of the time."""
    number = st.integers(least, most)
    return st.one_of(number.map(lambda n: (n, n)), st.tuples(number, number))


def fields(required: dict[str, st.SearchStrategy[Any]], optional: dict[str, st.SearchStrategy[Any]]) -> st.SearchStrategy[Any]:
    """What a spec writes: all required fields, some optional ones."""
    return st.fixed_dictionaries(required, optional=optional)
