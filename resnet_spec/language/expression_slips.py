"""Slips in expressions, by people who know another notation: what is meant, and the corrected text.

A correction is suggested only if its result is an expression.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from resnet_spec.diagnostics import Applicability

MOST_CHARACTERS = 200


@dataclass(frozen=True, slots=True)
class ExpressionSlip:
    """What is wrong with an expression, and its corrected text."""

    help: str
    text: str
    applicability: Applicability = "safe"


_SIGNS = str.maketrans(
    {
        **dict.fromkeys("\u00d7\u2715\u22c5\u00b7\u2217", "*"),
        **dict.fromkeys("\u2212\u2013\u2014", "-"),
        **dict.fromkeys("\u00f7\u2215", "/"),
        "\u2264": "<=",
        "\u2265": ">=",
        "\u2260": "!=",
        "\u2018": "'",
        "\u2019": "'",
        "\u201c": '"',
        "\u201d": '"',
    }
)
_NAME = r"[A-Za-z_][A-Za-z0-9_]*"
_OPERAND = rf"(?:{_NAME}|[0-9.]+)"
# What is written, what it becomes, and what to say. They are tried one by one, and then all together.
_PATTERNS: tuple[tuple[re.Pattern[str], str, str], ...] = (
    (re.compile(r"\s*&&\s*"), " and ", "`&&` is written `and`"),
    (re.compile(r"\s*\|\|\s*"), " or ", "`||` is written `or`"),
    (re.compile(r"!(?!=)\s*"), "not ", "`!` is written `not`"),
    (re.compile(r"\bAND\b"), "and", "`AND` is written `and`"),
    (re.compile(r"\bOR\b"), "or", "`OR` is written `or`"),
    (re.compile(r"\bNOT\b"), "not", "`NOT` is written `not`"),
    (re.compile(r"<>"), "!=", "`<>` is written `!=`"),
    (re.compile(r"=(<|>)"), r"\1=", "the equals sign comes last: `<=`, `>=`"),
    (re.compile(r"([=!])=="), r"\1=", "`===` is written `==`"),
    (re.compile(r"(?<![=!<>])=(?!=)"), "==", "two values are compared with `==`"),
    (re.compile(r"\s+is\s+not\s+"), " != ", "`is not` is written `!=`"),
    (re.compile(r"\s+is\s+"), " == ", "`is` is written `==`"),
    (re.compile(r"\$?\{\s*(" + _NAME + r")\s*\}"), r"\1", "a name is written as it is, without `{}`"),
    (re.compile(r"\$(" + _NAME + r")"), r"\1", "a name is written as it is, without `$`"),
    (re.compile(r"\b(?:params|self|args|cfg|config|model|math|np|torch)\.(" + _NAME + r")"), r"\1", "names have no dots"),
    (re.compile(r"\bint\(\s*([^()/]+?)\s*/\s*([^()/]+?)\s*\)"), r"\1 // \2", "divide integers with `//`"),
    (re.compile(r"\b(?:int|trunc)\("), "floor(", "`int(x)` is written `floor(x)`"),
    (re.compile(rf"(?<=[A-Za-z0-9_)]) [xX] (?={_OPERAND}|\()"), " * ", "`x` is written `*`"),
    (
        re.compile(rf"\b([0-9]+)\s*(?=(?!e[0-9]|x[0-9]|and\b|or\b|if\b|else\b|is\b){_NAME})"),
        r"\1 * ",
        "write the `*` of a product",
    ),
    (re.compile(r"\b([0-9]+)\s*(?=\()"), r"\1 * ", "write the `*` of a product"),
    (re.compile(r"(\))\s*(?=\()|(?<=\))\s+(?=(?!and\b|or\b|if\b|else\b)[A-Za-z0-9_])"), r"\1 * ", "write the `*` of a product"),
    (re.compile(r"\s*[:;,]\s*$"), "", "nothing comes behind an expression"),
    (re.compile(r"^\s*=\s*"), "", "an expression does not begin with `=`"),
)
_PERCENT = re.compile(r"\s*([0-9]+(?:\.[0-9]+)?)\s*%\s*")
_CHOICE = re.compile(r"\s*(.+?)\s*\?\s*(.+?)\s*:\s*(.+?)\s*")
_MEMBER = re.compile(rf"(?P<name>{_NAME})\s+(?P<no>not\s+)?in\s*[\[({{](?P<values>[^\[\](){{}}]+)[\])}}]")


def find_slip(text: str, is_expression: Callable[[str], bool]) -> ExpressionSlip | None:
    """The slip in a text that is not an expression; None if there is no idea."""
    if len(text) > MOST_CHARACTERS:
        return None
    return next((slip for slip in _slips(text) if slip.text != text and is_expression(slip.text)), None)


def _slips(text: str) -> Iterator[ExpressionSlip]:
    plain_text = unicodedata.normalize("NFKC", text.translate(_SIGNS)) if not text.isascii() else text
    if plain_text != text:
        yield ExpressionSlip("write it in ASCII characters", plain_text)
    if (percent := _PERCENT.fullmatch(plain_text)) is not None:
        yield ExpressionSlip(f"write `{float(percent[1]) / 100:g}`", f"{float(percent[1]) / 100:g}")
    if (choice := _CHOICE.fullmatch(plain_text)) is not None:
        yield ExpressionSlip("a choice is written `a if condition else b`", f"{choice[2]} if {choice[1]} else {choice[3]}")
    if _MEMBER.search(plain_text) is not None:
        yield ExpressionSlip("compare with each value", _MEMBER.sub(_compare_each, plain_text))
    changed = plain_text
    said: list[str] = []
    for pattern, new, help in _PATTERNS:
        one = pattern.sub(new, plain_text).strip()
        if one != plain_text:
            yield ExpressionSlip(help, one)
        after = pattern.sub(new, changed).strip()
        if after != changed:
            changed, said = after, [*said, help]
    if len(said) > 1:
        yield ExpressionSlip("; ".join(dict.fromkeys(said)), changed)
    yield from _parentheses(changed)


def _compare_each(found: re.Match[str]) -> str:
    """`w in [4, 8]` as `(w == 4 or w == 8)`."""
    sign, word = ("!=", "and") if found["no"] else ("==", "or")
    parts = [f"{found['name']} {sign} {value.strip()}" for value in found["values"].split(",") if value.strip()]
    joined = f" {word} ".join(parts)
    return joined if found[0] == found.string.strip() else f"({joined})"


def _parentheses(text: str) -> Iterator[ExpressionSlip]:
    missing = text.count("(") - text.count(")")
    if missing > 0:
        yield ExpressionSlip("close the parenthesis", text + ")" * missing, "likely")
    if missing < 0:
        if text.endswith(")" * -missing):
            yield ExpressionSlip("remove the `)`, which nothing opens", text[:missing], "safe" if "(" not in text else "likely")
        yield ExpressionSlip("open the parenthesis", "(" * -missing + text, "likely")
