"""Full-width punctuation, as keyboards for Chinese and Japanese write it, in the place of that of YAML."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import lru_cache
from itertools import islice

from resnet_spec.diagnostics import Diagnostic, Edit, Fix, Source, Span

_ASCII = {
    "\uff1a": (":", "colon"),
    "\uff0c": (",", "comma"),
    "\u3001": (",", "comma"),
    "\uff08": ("(", "parenthesis"),
    "\uff09": (")", "parenthesis"),
    "\uff3b": ("[", "bracket"),
    "\uff3d": ("]", "bracket"),
    "\uff5b": ("{", "brace"),
    "\uff5d": ("}", "brace"),
    "\u201c": ('"', "quote"),
    "\u201d": ('"', "quote"),
    "\u2018": ("'", "quote"),
    "\u2019": ("'", "quote"),
    "\u3000": (" ", "space"),
}
_ANY = re.compile("[" + "".join(_ASCII) + "]")
# A key of a spec is ASCII; what follows one is text, in which such punctuation is right.
_KEY = re.compile(r"(?:^|[{\uff5b,\uff0c\u3001])[\s\u3000]*[A-Za-z_][A-Za-z0-9_.]*(\uff1a)")
_FLOW = re.compile(r"[{\[\uff5b\uff3b]")
MOST_LINES = 50
MOST_PLACES = 500  # of a line


@lru_cache(maxsize=8)  # it explains many findings about one text
def find_full_width(source: Source) -> tuple[Diagnostic, ...]:
    """A finding for each line with full-width punctuation in the place of that of YAML; for the first of very many."""
    if source.data or _ANY.search(source.text) is None:
        return ()
    lines = (_check_line(source, number, line) for number, line in enumerate(source.lines, 1) if _ANY.search(line))
    return tuple(islice(filter(None, lines), MOST_LINES))


def _check_line(source: Source, number: int, line: str) -> Diagnostic | None:
    places = sorted(islice(_places(line.partition(" #")[0]), MOST_PLACES))
    if not places or line.lstrip().startswith("#"):
        return None
    first = line[places[0]]
    ascii_text, name = _ASCII[first]
    what = f"a full-width {name}" if name != "quote" else "a typographic quote"
    message = f"`{first}` (U+{ord(first):04X}) is {what}, which has no meaning in YAML"
    help = "write ordinary spaces"
    if ascii_text != " ":
        help = f"write `{ascii_text}`" + (" and a space" if ascii_text == ":" else "")
    edits = tuple(Edit(_at(source, number, place), _replacement(line, place)) for place in places)
    return Diagnostic("full-width", message, _at(source, number, places[0]), help=help, fixes=(Fix(help, edits, "safe"),))


def _places(code: str) -> Iterator[int]:
    """The positions in a line at which YAML expects punctuation: behind keys, and in brackets if the line has some."""
    keys = [match.start(1) for match in _KEY.finditer(code)]
    yield from keys
    spaces = len(code) - len(code.lstrip(" \u3000"))
    if not _FLOW.search(code):
        yield from (place for place in range(spaces) if code[place] == "\u3000")
    if _FLOW.search(code):
        written = set(keys)
        yield from (match.start() for match in _ANY.finditer(code) if match.start() not in written)
    elif keys:
        rest = code[keys[0] + 1 :]
        yield from (keys[0] + 1 + match.start() for match in re.finditer("[\u201c\u201d\u2018\u2019]", rest))


def _replacement(line: str, place: int) -> str:
    text, _ = _ASCII[line[place]]
    follows = line[place + 1 : place + 2]
    return f"{text} " if text in ":," and follows and not follows.isspace() else text


def _at(source: Source, line: int, place: int) -> Span:
    return Span(source, line, place + 1, line, place + 2)
