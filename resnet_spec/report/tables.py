"""A confusion matrix as text for the terminal, and a table with the figures of each class.

A matrix of many classes is replaced by its most frequent mistakes. Columns are aligned, also with wide characters in names.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from resnet_spec.diagnostics.text import display_width, pad
from resnet_spec.report.confusion import ConfusionMatrix
from resnet_spec.report.names import short_name

_NAME = 24  # columns of a name


def percent_text(share: float | None, places: int = 2) -> str:
    """`71.20%`; a dash for what was not measured or is undefined."""
    return "-" if share is None or math.isnan(share) else f"{100 * share:.{places}f}%"


def confusion_text(confusion: ConfusionMatrix, most: int = 20) -> str:
    """The matrix of up to `most` classes, a row for each true class; for more, the `most` most frequent mistakes."""
    return _matrix(confusion) if len(confusion.classes) <= most else _mistakes(confusion, most)


def _matrix(confusion: ConfusionMatrix) -> str:
    names = [short_name(name, _NAME) for name in confusion.classes]
    short = all(display_width(name) <= 6 for name in names)
    if not short:  # the columns are numbered, so the rows are too
        names = [f"{i:>{len(str(len(names) - 1))}} {name}" for i, name in enumerate(names)]
    header = names if short else [str(i) for i in range(len(names))]
    body = [
        [name, *(str(n) if n else "." for n in row), percent_text(confusion.recall(i), 1)]
        for i, (name, row) in enumerate(zip(names, confusion.counts, strict=True))
    ]
    return _align([["true / predicted", *header, "recall"], *body])


def _mistakes(confusion: ConfusionMatrix, most: int) -> str:
    mistakes = confusion.mistakes(most)
    if not mistakes:
        return f"no mistakes in {confusion.images:,} images of {len(confusion.classes):,} classes\n"
    names = confusion.classes
    body = [
        [short_name(names[i], _NAME), short_name(names[j], _NAME), f"{n:,}", percent_text(n / sum(confusion.counts[i]), 1)]
        for i, j, n in mistakes
    ]
    wrong = confusion.images - confusion.correct
    title = f"the most frequent mistakes ({wrong:,} of {confusion.images:,} images are wrong):\n"
    return title + _align([["true", "predicted", "images", "of the class"], *body], names=2)


def per_class_text(confusion: ConfusionMatrix, most: int | None = None) -> str:
    """Images, recall, precision and F1 of each class, and the total; with `most`, only of the classes of lowest recall."""
    order = list(range(len(confusion.classes)))
    if most is not None and most < len(order):
        order.sort(key=lambda i: (math.isnan(recall := confusion.recall(i)), recall))  # sorted() keeps ties in order
        order = order[:most]
    body = [
        [
            short_name(confusion.classes[i], _NAME),
            f"{sum(confusion.counts[i]):,}",
            f"{confusion.counts[i][i]:,}",
            *(percent_text(share, 1) for share in (confusion.recall(i), confusion.precision(i), confusion.f1(i))),
        ]
        for i in order
    ]
    left_out = len(confusion.classes) - len(order)
    last = ["all classes", f"{confusion.images:,}", f"{confusion.correct:,}", percent_text(confusion.accuracy, 1), "", ""]
    text = _align([["class", "images", "correct", "recall", "precision", "F1"], *body, last], ruled=True)
    return text + (f"({left_out:,} classes with a higher recall are left out)\n" if left_out else "")


def _align(lines: Sequence[Sequence[str]], names: int = 1, ruled: bool = False) -> str:
    """Columns, the first `names` flush left, others right; a rule under the header and (`ruled`) above the last line."""
    widths = [max(display_width(line[column]) for line in lines) for column in range(len(lines[0]))]
    shown = ["  ".join(pad(cell, widths[c], right=c >= names) for c, cell in enumerate(line)).rstrip() for line in lines]
    rule = "  ".join("-" * width for width in widths)
    shown.insert(1, rule)
    if ruled:
        shown.insert(-1, rule)
    return "\n".join(shown) + "\n"
