"""Guesses what a file that is not UTF-8 is: a text in another encoding, or no text."""

from __future__ import annotations

import codecs
import shlex
import unicodedata
from collections.abc import Callable

MOST_BYTES = 65_536  # of a text that are looked at

_MARKS = (  # byte order marks; that of UTF-32 begins like that of UTF-16
    (codecs.BOM_UTF32_LE, "UTF-32"),
    (codecs.BOM_UTF32_BE, "UTF-32"),
    (codecs.BOM_UTF16_LE, "UTF-16"),
    (codecs.BOM_UTF16_BE, "UTF-16"),
)
_BINARIES = (  # how files begin that people name in the place of a spec; and whether these are weights
    (b"PK\x03\x04", "an archive, such as torch.save writes", True),
    *((bytes((0x80, protocol)), "a pickle, such as torch.save wrote", True) for protocol in range(2, 6)),
    (b"\x89PNG", "an image", False),
    (b"\xff\xd8\xff", "an image", False),
    (b"%PDF", "a PDF", False),
)
_LARGEST_HEADER = 1 << 30  # bytes, of safetensors


def recognize_binary(data: bytes) -> tuple[str, bool] | None:
    """What kind of file that is no text some bytes are, and whether it is one of weights; None if it may be a text."""
    for begin, what, is_weights in _BINARIES:
        if data.startswith(begin):
            return what, is_weights
    if data[8:9] == b"{" and int.from_bytes(data[:8], "little") < _LARGEST_HEADER:
        return "a file of safetensors", True
    return None


def guess_encoding(data: bytes) -> str:
    """The name, as `iconv` knows it, of the encoding that some bytes are most likely in; empty if there is no idea."""
    for mark, name in _MARKS:
        if data.startswith(mark):
            return name
    sample = data[:MOST_BYTES]
    even, odd = sample[::2].count(0), sample[1::2].count(0)
    if even + odd > len(sample) // 5 and abs(even - odd) > len(sample) // 5:  # ASCII text in UTF-16: one zero in every pair
        return "UTF-16LE" if odd > even else "UTF-16BE"
    if sample.count(0):
        return ""
    found = max(_USUAL, key=lambda name: _likelihood(sample, name))
    return found if _likelihood(sample, found) > 0.5 else ""


def _likelihood(sample: bytes, name: str) -> float:
    """How much of the text that is not ASCII is made of characters that are usual in texts of an encoding."""
    lead = next((at for at, byte in enumerate(sample) if byte > 127), len(sample))
    text = sample[lead:].decode(name, "replace")
    characters = [character for character in text if not character.isascii()]
    if not characters or "\ufffd" in text[:-1]:
        return 0.0
    usual = _USUAL[name]
    return sum(usual(character) for character in characters) / len(characters) * (0.9 if name in _OF_ONE_BYTE else 1.0)


def _is_common_chinese(character: str) -> bool:
    """Whether a character is in the first level of GB 2312, the 3,755 most frequent ones, or full-width punctuation."""
    try:
        encoded = character.encode("gb2312")
    except UnicodeEncodeError:
        return False
    return len(encoded) == 2 and (0xB0 <= encoded[0] <= 0xD7 or encoded[0] in (0xA1, 0xA3))


def _is_common_japanese(character: str) -> bool:
    """Whether a character is kana, full-width punctuation, or in the first level of JIS X 0208."""
    if "\u3000" <= character <= "\u30ff":
        return True
    try:
        encoded = character.encode("shift_jis")
    except UnicodeEncodeError:
        return False
    return len(encoded) == 2 and (0x88 <= encoded[0] <= 0x97 or encoded[0] in (0x81, 0x82))


def _is_letter(character: str) -> bool:
    return unicodedata.category(character)[0] == "L" or character in "\xb0\xb5\xd7\xb1\xa7\xb2\xb3"


_USUAL: dict[str, Callable[[str], bool]] = {
    "GBK": _is_common_chinese,
    "SHIFT_JIS": _is_common_japanese,
    "ISO-8859-1": _is_letter,
    "WINDOWS-1252": lambda character: _is_letter(character) or character in "\u2018\u2019\u201c\u201d\u2013\u2014\u2026\u20ac",
}
_OF_ONE_BYTE = ("ISO-8859-1", "WINDOWS-1252")


def describe_encoding(data: bytes, name: str) -> tuple[str, str]:
    """What a file most likely is, for a message, and the command that converts it."""
    found = guess_encoding(data)
    if not found:
        return "", "save the file as UTF-8"
    shown = {"ISO-8859-1": "Latin-1", "SHIFT_JIS": "Shift-JIS"}.get(found, found)
    file = shlex.quote(name) if name not in ("<stdin>", "-") else "FILE"
    return f", but {shown} by the look of it", f"save it as UTF-8, or convert it: `iconv -f {found} -t UTF-8 {file} > NEW.yaml`"
