"""Slips of people who know another notation than YAML: parentheses, missing commas, `//` comments, missing spaces."""

from __future__ import annotations

import re
from collections.abc import Iterator

from resnet_spec.diagnostics import Edit, Fix, Source, Span
from resnet_spec.language.glued import separate_lines

Slip = tuple[str, Fix]  # what is wrong, and the fix

_IN_PARENTHESES = re.compile(r"^(\s*(?:-\s*)?[A-Za-z_][A-Za-z0-9_]*\s*:\s*)\((.*)\)(\s*(?:#.*)?)$")
_TEXT = re.compile(r"^((?:name|about|source|accuracy)\s*):\s+(\S[^#]*)")  # a key whose value is a text
_COMMENT = re.compile(r"^\s*(//|--(?!-)|;|%)")
MOST_CHARACTERS = 200  # of a word, with the spaces behind it
_WORD_BEFORE = re.compile(r"([A-Za-z_][A-Za-z0-9_]*)\s*$")


def find_slip(source: Source, span: Span) -> Slip | None:
    """The slip at the place where the reader of YAML stopped, or on the line before; None if there is none."""
    return next(_slips(source, span), None)


def _slips(source: Source, span: Span) -> Iterator[Slip]:
    lines = [number for number in (span.line, span.line - 1) if source.line(number).strip()]
    for number in lines:
        if (comment := _COMMENT.match(source.line(number))) is not None:
            edit = Edit(Span(source, number, comment.start(1) + 1, number, comment.end(1) + 1), "#")
            yield f"`{comment[1]}` does not begin a comment", Fix("a comment begins with `#`", (edit,), "safe")
    fences = [number for number in range(1, len(source.lines) + 1) if source.line(number).startswith("```")]
    if fences and span.line in fences:
        edits = tuple(Edit(Span(source, number, 1, number + 1, 1), "") for number in fences)
        yield "a fence of Markdown is not part of the text", Fix("remove the lines with ```", edits, "safe")
    line = source.line(span.line)
    if (text := _TEXT.match(line)) is not None and _is_unquoted(text[2]):
        value = text[2].rstrip()
        place = Span(source, span.line, text.start(2) + 1, span.line, text.start(2) + 1 + len(value))
        quoted = f'"{value}"' if '"' not in value and "\\" not in value else "'" + value.replace("'", "''") + "'"
        yield f"the text of `{text[1].strip()}` needs quotes", Fix(f"write `{quoted}`", (Edit(place, quoted),), "safe")
    if (found := _IN_PARENTHESES.match(line)) is not None and ":" in found[2]:
        opened, closed = found.end(1), found.end(2)
        edits = (_replace(source, span.line, opened, "{"), _replace(source, span.line, closed, "}"))
        fix = Fix("write braces, `{...}`, in the place of the parentheses", edits, "safe")
        yield "fields in parentheses are no mapping", fix
    yield from _missing_comma(source, span)
    yield from _unclosed(source, span)
    glued = [number for number in lines if _is_glued(source.line(number))]
    yield from (("a key and its value are one word", fix) for fix in separate_lines(source, glued))


def _is_unquoted(value: str) -> bool:
    """Whether a text has no quotes, and something in it means something else in YAML."""
    return value[0] not in "\"'|>" and (": " in value or value.rstrip().endswith(":") or value[0] in "@`%*&!{}[],?-#")


def _replace(source: Source, line: int, at: int, text: str) -> Edit:
    return Edit(Span(source, line, at + 1, line, at + 2), text)


def _is_glued(line: str) -> bool:
    """Whether a line has a key without a space behind its colon, and no other colon that would be that of a key."""
    return re.match(r"\s*[A-Za-z_][A-Za-z0-9_]*(:[^\s:]|\s*=\s*[^=])", line) is not None


def _missing_comma(source: Source, span: Span) -> Iterator[Slip]:
    """Two entries in braces without a comma: the reader stops at the second colon of `a: 1 b: 2`."""
    line = source.line(span.line)
    if line[span.column - 1 : span.column] != ":":
        return
    behind = max(0, span.column - 1 - MOST_CHARACTERS)
    word = _WORD_BEFORE.search(line[behind : span.column - 1])
    before = line[: behind + word.start()] if word is not None else ""
    if word is None or not before.strip() or before.rstrip()[-1] in "{,[:" or before == before.rstrip():
        return
    at = len(before.rstrip()) + 1
    fix = Fix(f"put a comma before `{word[1]}`", (Edit(Span(source, span.line, at, span.line, at), ","),), "safe")
    yield f"there is no comma before `{word[1]}`", fix


def _unclosed(source: Source, span: Span) -> Iterator[Slip]:
    """A bracket that is closed by one of another kind: `{kernel_size: [3, 3}`."""
    line = source.line(span.line)
    here = line[span.column - 1 : span.column]
    code = line[: span.column - 1]
    for opened, closed, other in (("[", "]", "}"), ("{", "}", "]")):
        if (
            here == other
            and code.count(opened) > code.count(closed)
            and code.rfind(opened) > code.rfind("[{"["[{".index(opened) - 1])
        ):
            at = Span(source, span.line, span.column, span.line, span.column)
            fix = Fix(f"close the `{opened}` with a `{closed}`", (Edit(at, closed),), "safe")
            yield f"the `{opened}` is not closed before the `{other}`", fix
