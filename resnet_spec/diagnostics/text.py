"""Untrusted text, made safe for where it is shown, and measured in the columns of a terminal.

Names of classes, files and parts of a spec are untrusted. `printable` is the first step of every output: it returns one line
that contains nothing a terminal would interpret. The other functions add the escapes of their format.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence

ELLIPSIS = "…"


def printable(text: str) -> str:
    """`text` with control characters, line breaks and invisible characters as escapes, such as `\\x1b`."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in text)


def display_width(text: str) -> int:
    """The columns that `text` takes on a terminal: two for each wide character, none for a combining one."""
    return len(text) if text.isascii() else sum(map(_columns, text))


def _columns(character: str) -> int:
    if unicodedata.category(character) in ("Mn", "Me", "Cf"):
        return 0
    return 2 if unicodedata.east_asian_width(character) in "WF" else 1


def pad(text: str, width: int, right: bool = False) -> str:
    """`text` padded with spaces to `width` columns: on the right, or on the left to align it `right`."""
    fill = " " * (width - display_width(text))
    return fill + text if right else text + fill


def shorten(text: str, most: int) -> str:
    """`text`, printable and in at most `most` columns; a longer one keeps its beginning and its end.

    At most two characters are kept for each column: combining characters take no columns and could pile up.
    """
    shown = printable(text if len(text) <= 5 * most else text[: 3 * most] + text[-2 * most :])
    if display_width(shown) <= most and len(shown) <= 2 * most:
        return shown
    end = beginning(shown[::-1], most // 3)[::-1].lstrip()
    while end and not display_width(end[0]):  # a combining character without its base character
        end = end[1:]
    return beginning(shown, most - 1 - display_width(end)).rstrip() + ELLIPSIS + end


def beginning(text: str, width: int) -> str:
    """The longest prefix of `text` that fits into `width` columns, with at most two characters for each column."""
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
    """Text for a workflow command of GitHub, which cannot start another command. `also`: further characters to escape."""
    return "".join(f"%{ord(c):02X}" if c in "%\r\n" + also else c for c in printable(text))


def join_words(texts: Sequence[str], last: str) -> str:
    """`a, b and c`, where `last` is `and`."""
    return f" {last} ".join([", ".join(texts[:-1]), texts[-1]] if len(texts) > 1 else texts)


def join_first(texts: Sequence[str], most: int = 3) -> str:
    """The first `most` texts, and the number of the others: `a, b, c, and 4 more`."""
    return ", ".join(texts[:most]) + (f", and {len(texts) - most:,} more" if len(texts) > most else "")


def quote_first(names: Sequence[str], most: int = 3) -> str:
    """The first names in quotes, and the number of the others: "`a`, `b`, and 4 more"."""
    return join_first([f"`{printable(name)}`" for name in names], most)


def quote_all(names: Sequence[str]) -> str:
    """Names in quotes, as a list in a sentence: "`a`, `b` and `c`"."""
    return join_words([f"`{printable(name)}`" for name in names], "and")


def count_text(number: int, thing: str) -> str:
    """`1 step`, `2,000 steps`, `4 processes`, `3 fixes`."""
    return f"{number:,} {thing}{'' if number == 1 else 'es' if thing.endswith(('s', 'x')) else 's'}"
