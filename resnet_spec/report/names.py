"""Names that others gave, such as class folders: made inert, short, and of a known width.

Goes in: foreign text. Comes out: one line of printable characters. SVG and HTML still need escapes of their own.
"""

from __future__ import annotations

import unicodedata

from resnet_spec.diagnostics import printable


def text_width(text: str) -> int:
    """The columns that `text` takes in a terminal: two for a wide character, none for one that combines."""
    return len(text) if text.isascii() else sum(map(_columns, text))


def _columns(c: str) -> int:
    if unicodedata.category(c) in ("Mn", "Me", "Cf"):
        return 0
    return 2 if unicodedata.east_asian_width(c) in "WF" else 1


def pad_text(text: str, width: int, right: bool = False) -> str:
    """`text` with spaces up to `width` columns, after it or (`right`) before it."""
    fill = " " * (width - text_width(text))
    return fill + text if right else text + fill


def short_name(name: str, most: int = 24) -> str:
    """`name`, printable, in at most `most` columns: of a longer one its beginning and its end, which both may tell it apart.

    A name of spaces, or of nothing, stands in quotation marks.
    """
    if not name.strip(" "):
        name = f'"{name}"'
    shown = printable(name if len(name) <= 5 * most else name[: 3 * most] + name[-2 * most :])
    if text_width(shown) <= most and len(shown) <= 2 * most:  # combining characters take no columns, and could pile up
        return shown
    end = _beginning(shown[::-1], most // 3)[::-1].lstrip()
    while end and not text_width(end[0]):  # a mark whose letter was left out
        end = end[1:]
    return _beginning(shown, most - 1 - text_width(end)).rstrip() + "…" + end


def _beginning(text: str, width: int) -> str:
    """As much of `text` as fits, and no more than two characters a column."""
    used, kept = 0, 0
    for c in text[: 2 * width]:
        used += text_width(c)
        if used > width:
            break
        kept += 1
    return text[:kept]
