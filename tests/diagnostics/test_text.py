"""Untrusted text: inert in every format, and as wide as a terminal shows it."""

from __future__ import annotations

import re
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from resnet_spec.diagnostics.text import display_width, dot_text, html_text, pad, printable, shorten, workflow_text


@pytest.mark.parametrize(
    ("text", "width"),
    [("", 0), ("abc", 3), ("größe", 5), ("漢字", 4), ("e\u0301", 1), ("\uff08", 2), ("a\u200bb", 2), ("\u20dd", 0)],
)
def test_the_width_is_in_columns(text: str, width: int) -> None:
    assert display_width(text) == width


def test_padding_counts_columns() -> None:
    assert pad("漢", 4) == "漢  "
    assert pad("漢", 4, right=True) == "  漢"
    assert pad("abcd", 2) == "abcd"


@given(st.text(max_size=200), st.integers(6, 40))
def test_a_shortened_text_fits_and_is_printable(text: str, most: int) -> None:
    shown = shorten(text, most)
    assert display_width(shown) <= most
    assert len(shown) <= 2 * most
    assert shown.isprintable()


def test_a_shortened_text_keeps_its_beginning_and_its_end() -> None:
    assert shorten("x" * 5000 + "end", 20) == "x" * 13 + "…" + "xxxend"
    assert shorten("as it is", 20) == "as it is"


@given(st.text(max_size=50))
def test_no_format_lets_its_own_markup_through(text: str) -> None:
    assert printable(text).isprintable()
    assert not set("<>\"'") & set(html_text(text))
    assert re.fullmatch(r"(?:[^\\]|\\\\)*", dot_text(text))
    assert not set("\r\n:,") & set(workflow_text(text, ":,"))
    assert not any(unicodedata.category(c) in ("Cc", "Cf", "Zl", "Zp") for c in html_text(text))
