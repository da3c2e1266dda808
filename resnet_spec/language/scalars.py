"""Unquoted scalars by the core schema of YAML 1.2, in which `no` and `1:30` are strings.

There is a warning for a scalar that YAML 1.1, and so many readers, read as something else.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from resnet_spec.language.nodes import ScalarValue

MAX_DIGITS = 18

_KEYWORDS: dict[str, ScalarValue] = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL"), None),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
}
_INT = re.compile(r"[-+]?[0-9]+")
_OTHER_BASE = re.compile(r"0o[0-7]+|0x[0-9a-fA-F]+")
_NOT_FINITE = re.compile(r"[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_OLD_BOOLS = {"yes": "true", "on": "true", "y": "true", "no": "false", "off": "false", "n": "false"}
_OLD_BASE_60 = re.compile(r"[-+]?[1-9][0-9_]*(:[0-5]?[0-9])+(\.[0-9_]*)?")
_OLD_UNDERSCORES = re.compile(r"[-+]?[0-9][0-9_]*_[0-9_]*")
_OLD_OCTAL = re.compile(r"[-+]?0[0-7]+")


@dataclass(frozen=True, slots=True)
class Remark:
    """Why a scalar is rejected, or how YAML 1.1 reads it; and a suggested fix, in words and as the text to write."""

    message: str
    help: str
    text: str = ""


class ScalarError(Exception):
    """A number that is too large or not finite."""

    def __init__(self, message: str, help: str = "") -> None:
        super().__init__(message)
        self.remark = Remark(message, help)


def read_scalar(text: str) -> tuple[ScalarValue, Remark | None]:
    """Read an unquoted scalar: its value, and a remark if YAML 1.1 has another value for it; raises ScalarError."""
    if text in _KEYWORDS:
        return _KEYWORDS[text], None
    if _INT.fullmatch(text):
        if len(text.lstrip("+-0")) > MAX_DIGITS:
            raise ScalarError(f"an integer of more than {MAX_DIGITS} digits", "write fewer digits")
        value = int(text)
        if _OLD_OCTAL.fullmatch(text):
            return value, Remark(
                f"`{text}` is the decimal number {value} (YAML 1.1 read it as octal)", f"write {value}", str(value)
            )
        return value, None
    if _OTHER_BASE.fullmatch(text):
        if len(text) > MAX_DIGITS:
            raise ScalarError(f"an integer of more than {MAX_DIGITS} digits", "write fewer digits")
        return int(text, 0), None
    if _NOT_FINITE.fullmatch(text):
        raise ScalarError(f"`{text}` is not a finite number", "write a finite number, or quote it if it is a string")
    if _FLOAT.fullmatch(text):
        number = float(text)
        if number in (float("inf"), float("-inf")):
            raise ScalarError(f"`{text}` is too large for a 64-bit float")
        return number, None
    return text, _remark_on_string(text)


def _remark_on_string(text: str) -> Remark | None:
    """How YAML 1.1 reads a string."""
    if (meant := _OLD_BOOLS.get(text.lower())) is not None and len(text) > 1:
        return Remark(
            f"`{text}` is a string (YAML 1.1 read it as {meant})", f'write {meant}, or "{text}" for the string', str(meant)
        )
    if _OLD_BASE_60.fullmatch(text):
        return Remark(
            f"`{text}` is a string (YAML 1.1 read it as a number in base 60)", f'write "{text}" in quotes', f'"{text}"'
        )
    if _OLD_UNDERSCORES.fullmatch(text):
        digits = text.replace("_", "")
        return Remark(f"`{text}` is a string (YAML 1.1 read it as {digits})", f"write {digits}", digits)
    return None
