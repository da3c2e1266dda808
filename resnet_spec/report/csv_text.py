"""Writes CSV text, in which a spreadsheet does not read names as formulas."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence

from resnet_spec.diagnostics import printable

# Also the full-width forms, which some spreadsheets treat alike.
_FORMULA = ("=", "+", "-", "@", "\uff1d", "\uff0b", "\uff0d", "\uff20")


def write_csv(lines: Iterable[Sequence[str]]) -> str:
    """Write lines of cells as CSV text."""
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(lines)
    return text.getvalue()


def text_cell(text: str) -> str:
    """A name as a cell: printable, and never a formula."""
    shown = printable(text)
    return "'" + shown if shown.lstrip().startswith(_FORMULA) else shown
