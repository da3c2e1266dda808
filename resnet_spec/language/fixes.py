"""Proposes fixes that several parts of the language use. A fix that cannot be made in the text is left out."""

from __future__ import annotations

import re
from functools import lru_cache

from resnet_spec.diagnostics import Applicability, Edit, Fix, Span
from resnet_spec.language.editing import Edits, replace_text

Fixes = tuple[Fix, ...]
Help = tuple[str, Fixes]  # what to do, in words, and as fixes

DIGITS = "0123456789"
MOST_LETTERS = 40  # of a word or a number that is looked at
_SQUARE = re.compile(r"\s*([0-9]{1,4})\s*(?:\^\s*2|\*\*\s*2|\u00b2)\s*")
_PAIR = re.compile(r"\s*[\[(]?\s*([0-9]{1,4})\s*[,x*\u00d7]\s*([0-9]{1,4})\s*[\])]?\s*")


def propose(title: str, edits: Edits, applicability: Applicability = "likely", is_help: bool = False) -> Fixes:
    """A fix of some edits; none if there are none."""
    return (Fix(title, edits, applicability, is_help),) if edits else ()


def propose_word(span: Span, word: str | None, written: str = "") -> Fixes:
    """A fix that writes `word`, the known word that was most likely meant.

    It is safe if `written` has almost the same letters; the equivalent of a name from another library is only likely.
    """
    if word is None:
        return ()
    return propose(f"did you mean `{word}`?", replace_text(span, word), "safe" if is_misspelling(written, word) else "likely")


def is_misspelling(written: str, word: str) -> bool:
    """Whether two words have almost the same letters. Words that differ only in a number at their end are two names."""
    return _is_misspelling(written[:MOST_LETTERS], word[:MOST_LETTERS])


@lru_cache(maxsize=1024)  # one word is often misspelled in many places
def _is_misspelling(written: str, word: str) -> bool:
    if written.rstrip(DIGITS) == word.rstrip(DIGITS):
        return False
    import difflib  # importing it takes time, and only a spec with a mistake needs it

    first, second = written.lower(), word.lower()
    return bool(first) and difflib.SequenceMatcher(None, first, second).ratio() >= 0.75


def pair_in(text: str, squared: bool = False) -> str | None:
    """`[1, 7]` for `1x7`, `(1, 7)` or `1, 7`, and `3` for `3x3`, and for `3^2` if `squared`; None for any other text."""
    if len(text) > MOST_LETTERS:
        return None
    found = _PAIR.fullmatch(text)
    if squared and (square := _SQUARE.fullmatch(text)) is not None:
        return square[1]
    if found is None:
        return None
    first, second = int(found[1]), int(found[2])
    return str(first) if first == second else f"[{first}, {second}]"


def together(*groups: Edits) -> Edits:
    """All edits of several groups together; none if one of the groups is empty, since then the rest would be half a fix."""
    edits: list[Edit] = []
    for group in groups:
        if not group:
            return ()
        edits += group
    return tuple(edits)
