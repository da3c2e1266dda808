"""Untrusted text, made safe for where it is shown, and measured in the columns of a terminal.

Names of classes, files and parts of a spec come from other people. `printable` is the first step of every output: it leaves
one line without anything that a terminal would obey. The other functions add what their format needs.
"""

from __future__ import annotations

import unicodedata

ELLIPSIS = "…"


def printable(text: str) -> str:
    """`text` with control characters, line breaks and invisible characters as escapes, such as `\\x1b`."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in text)


def display_width(text: str) -> int:
    """The columns that `text` takes on a terminal: two for a wide character, none for one that combines with the one before."""
    return len(text) if text.isascii() else sum(map(_columns, text))


def _columns(character: str) -> int:
    if unicodedata.category(character) in ("Mn", "Me", "Cf"):
        return 0
    return 2 if unicodedata.east_asian_width(character) in "WF" else 1


def pad(text: str, width: int, right: bool = False) -> str:
    """`text` with spaces up to `width` columns: after it, or before it where it is to be flush `right`."""
    fill = " " * (width - display_width(text))
    return fill + text if right else text + fill


def shorten(text: str, most: int) -> str:
    """`text`, printable and in at most `most` columns: of a longer one its beginning and its end, which may both matter.

    There are at most two characters to a column: combining characters take no columns and could pile up.
    """
    shown = printable(text if len(text) <= 5 * most else text[: 3 * most] + text[-2 * most :])
    if display_width(shown) <= most and len(shown) <= 2 * most:
        return shown
    end = beginning(shown[::-1], most // 3)[::-1].lstrip()
    while end and not display_width(end[0]):  # a combining mark without its letter
        end = end[1:]
    return beginning(shown, most - 1 - display_width(end)).rstrip() + ELLIPSIS + end


def beginning(text: str, width: int) -> str:
    """As much of `text` as fits into `width` columns, in at most two characters to a column."""
    used = kept = 0
    for character in text[: 2 * width]:
        used += display_width(character)
        if used > width:
            break
        kept += 1
    return text[:kept]


def html_text(text: str) -> str:
    """Text for HTML, XML and SVG, between tags and in quoted attributes."""
    import html  # importing it takes time, and few outputs need it

    return html.escape(printable(text))


def dot_text(text: str) -> str:
    """Text for a quoted label of Graphviz, in which no character begins one of its escape sequences."""
    return printable(text).replace("\\", "\\\\").replace("\n", " ")


def uri(path: str) -> str:
    """A path as the relative URI of a file."""
    from urllib.parse import quote  # importing it takes time, and one format needs it

    try:
        return quote(path.encode("utf-8", "surrogateescape"))  # a name that is not UTF-8 keeps its bytes
    except UnicodeEncodeError:
        return quote(path, errors="replace")


def workflow_text(text: str, also: str = "") -> str:
    """Text for a workflow command of GitHub: nothing in it starts another command. `also` are more characters to escape."""
    return "".join(f"%{ord(c):02X}" if c in "%\r\n" + also else c for c in printable(text))
