"""Text of any script in pictures whose text is drawn, as that of a PNG is.

matplotlib's own fonts have the letters of Latin, Greek, Cyrillic, Arabic, Hebrew and a few other scripts. For further ones, any
font that is installed and has them is used. Where there is none, letters are transliterated (kana, hangul, letters of full
width), described (symbols) or written as escapes; a caption then says so. matplotlib is imported only when it is needed.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable
from functools import lru_cache

from resnet_spec.diagnostics.text import printable

CAPTION = "No installed font has the letters of some names: these are spelled, after their index in per_class.csv."
_LAST_RESORT = "Last Resort"  # a font of matplotlib's that has a sign for each script, and no letters
_SYLLABLES = ("HANGUL SYLLABLE ", "HIRAGANA LETTER ", "KATAKANA LETTER ")


@lru_cache(maxsize=256)
def _letters_of(family: str) -> frozenset[int]:
    """The code points that a font has."""
    from matplotlib import font_manager

    found = font_manager.findfont(font_manager.FontProperties(family=[family]))
    return frozenset(font_manager.get_font(found).get_charmap())


def _lacking(texts: Iterable[str], families: Iterable[str]) -> set[int]:
    """The code points of texts that none of the fonts has."""
    letters = {ord(c) for text in texts for c in text if not c.isspace()}
    for family in families if letters else ():
        letters = letters - _letters_of(family)
    return letters


def find_families(texts: Iterable[str], families: tuple[str, ...]) -> tuple[str, ...]:
    """Fonts for the letters that `families` lack, of those that are installed; the one with the most of these letters first."""
    lacking = _lacking(texts, families)
    if not lacking:
        return ()
    from matplotlib import font_manager

    installed = sorted({entry.name for entry in font_manager.fontManager.ttflist} - set(families))
    having = {name: _letters_of(name) & lacking for name in installed if not name.startswith(_LAST_RESORT)}
    found: list[str] = []
    while lacking and having:
        best = max(having, key=lambda name: len(having[name] & lacking))
        if not having[best] & lacking:
            break
        lacking -= having.pop(best)
        found.append(best)
    return tuple(found)


def spell(text: str, families: tuple[str, ...]) -> str:
    """`text` in letters that the fonts have; the same text where they have all of them."""
    lacking = _lacking([text], families)
    return "".join(_spell_letter(c) if ord(c) in lacking else c for c in text) if lacking else text


def _spell_letter(letter: str) -> str:
    """A letter in ASCII: `ne` for a kana, `go` for a hangul syllable, `(grinning face)` for a symbol, else an escape."""
    plain = unicodedata.normalize("NFKC", letter)
    if plain.isascii():
        return printable(plain)
    name = unicodedata.name(letter, "")
    for kind in _SYLLABLES:
        if name.startswith(kind):
            return name.removeprefix(kind).removeprefix("SMALL ").lower().replace(" ", "")
    if unicodedata.category(letter) == "So" and name:
        return f"({name.lower()})"
    return letter.encode("unicode_escape").decode("ascii")
