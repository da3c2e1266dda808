"""Finds lines of YAML with the wrong indentation, the most frequent reason why a text is not YAML."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from resnet_spec.diagnostics.text import count_text


@dataclass(frozen=True, slots=True, eq=False)
class Misplaced:
    """A line (its number from 1) with the wrong indentation: what is wrong, and what to do.

    `indent`: the number of spaces that it should have, if that is known. `text`: what should be there instead of the line.
    """

    line: int
    what: str
    help: str
    indent: int | None = None
    text: str | None = None


@dataclass(frozen=True, slots=True, eq=False)
class _Line:
    """A line that is not blank: its number from 1, its indentation, and the rest."""

    number: int
    indent: int
    text: str

    @property
    def opens(self) -> bool:
        """Whether its value begins on the next line."""
        return self.text.partition(" #")[0].rstrip().endswith(":")


def too_deep(lines: Sequence[str], line: int, column: int) -> Misplaced | None:
    """The line to correct if a key, with its colon at `column`, is nested below a key that already has a value."""
    here, above = _at(lines, line), _above(lines, line)
    if above is None or ":" in lines[line - 1][: column - 1] or above.opens:
        return None
    if ":" not in above.text or here.indent <= above.indent:
        return None
    before = _above(lines, above.number)
    if before is not None and before.indent == here.indent:
        return _unlike(above, here)
    return _unlike(here, above)


def first_indented(lines: Sequence[str], line: int) -> Misplaced | None:
    """The first line of a document, if it is indented and the others are not."""
    found = [_at(lines, number) for number in range(1, line + 1)]
    filled = [each for each in found if each.text and not each.text.startswith("#")]
    if len(filled) < 2 or not filled[0].indent or filled[-1].indent:
        return None
    return _unlike(filled[0], filled[-1])


def out_of_line(lines: Sequence[str], line: int, column: int) -> Misplaced | None:
    """The line to correct if the entry at `column` has the indentation of no enclosing mapping."""
    here, above = _at(lines, line), _above(lines, line)
    if above is None or column != here.indent + 1:
        return None
    if here.text.startswith("- "):
        what = f"line {line} begins with a dash, but it is in a mapping and not in a list"
        return Misplaced(line, what, "remove the dash", text=" " * here.indent + here.text.removeprefix("- "))
    around = [each for each in _around(lines, line) if each.indent != here.indent]
    return _unlike(here, min(around, key=lambda each: abs(each.indent - here.indent))) if around else None


def _unlike(wrong: _Line, right: _Line) -> Misplaced:
    what = f"line {wrong.number} is indented by {_spaces(wrong)}, but line {right.number} by {_spaces(right)}"
    return Misplaced(
        wrong.number, what, "if they belong to the same mapping, indent both lines by the same number of spaces", right.indent
    )


def _spaces(line: _Line) -> str:
    return count_text(line.indent, "space")


def _at(lines: Sequence[str], line: int) -> _Line:
    text = lines[line - 1]
    return _Line(line, len(text) - len(text.lstrip(" ")), text.strip())


def _above(lines: Sequence[str], line: int) -> _Line | None:
    """The previous line, ignoring blank lines and comments."""
    found = (_at(lines, number) for number in range(line - 1, 0, -1))
    return next((each for each in found if each.text and not each.text.startswith("#")), None)


def _around(lines: Sequence[str], line: int) -> list[_Line]:
    """The last entry of each mapping that is still open at a line, the innermost first."""
    found: list[_Line] = []
    above = _above(lines, line)
    while above is not None:
        if not found or above.indent < found[-1].indent:
            found.append(above)
        above = _above(lines, above.number)
    return found
