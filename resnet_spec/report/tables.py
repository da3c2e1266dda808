"""A confusion matrix for the terminal: itself while it is small, else its most frequent mistakes; and a line for each class.

Goes in: `Confusion`. Comes out: text whose columns are aligned, also where names have wide characters.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from resnet_spec.report.names import pad_text, short_name, text_width
from resnet_spec.report.record import Confusion

_NAME = 24  # columns of a name


def percent_text(share: float | None, places: int = 2) -> str:
    """`71.20%`; a dash for what was not measured, and for a share of nothing."""
    return "-" if share is None or math.isnan(share) else f"{100 * share:.{places}f}%"


def confusion_text(confusion: Confusion, most: int = 20) -> str:
    """The matrix of up to `most` classes, a row for each true class; of more, the `most` most frequent mistakes."""
    return _matrix(confusion) if len(confusion.classes) <= most else _mistakes(confusion, most)


def _matrix(confusion: Confusion) -> str:
    names = [short_name(name, _NAME) for name in confusion.classes]
    short = all(text_width(name) <= 6 for name in names)
    if not short:  # numbers stand over the columns, so rows have them too
        names = [f"{i:>{len(str(len(names) - 1))}} {name}" for i, name in enumerate(names)]
    heads = names if short else [str(i) for i in range(len(names))]
    body = [
        [name, *(str(n) if n else "." for n in row), percent_text(confusion.recall(i), 1)]
        for i, (name, row) in enumerate(zip(names, confusion.counts, strict=True))
    ]
    return _aligned([["true / predicted", *heads, "recall"], *body])


def _mistakes(confusion: Confusion, most: int) -> str:
    found = confusion.mistakes(most)
    if not found:
        return f"no mistakes in {confusion.images:,} images of {len(confusion.classes):,} classes\n"
    names = confusion.classes
    body = [
        [short_name(names[i], _NAME), short_name(names[j], _NAME), f"{n:,}", percent_text(n / sum(confusion.counts[i]), 1)]
        for i, j, n in found
    ]
    wrong = confusion.images - confusion.correct
    title = f"the most frequent mistakes ({wrong:,} of {confusion.images:,} images are mistaken):\n"
    return title + _aligned([["true", "predicted", "images", "of the class"], *body], names=2)


def per_class_text(confusion: Confusion, most: int | None = None) -> str:
    """Images, recall, precision and F1 of each class, and of all together; with `most`, only of the classes of least recall."""
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
    text = _aligned([["class", "images", "correct", "recall", "precision", "F1"], *body, last], ruled=True)
    return text + (f"({left_out:,} classes of higher recall are left out)\n" if left_out else "")


def _aligned(lines: Sequence[Sequence[str]], names: int = 1, ruled: bool = False) -> str:
    """Columns, the first `names` to the left, others to the right; a rule under the heads and (`ruled`) over the last line."""
    widths = [max(text_width(line[column]) for line in lines) for column in range(len(lines[0]))]
    shown = ["  ".join(pad_text(cell, widths[c], right=c >= names) for c, cell in enumerate(line)).rstrip() for line in lines]
    rule = "  ".join("-" * width for width in widths)
    shown.insert(1, rule)
    if ruled:
        shown.insert(-1, rule)
    return "\n".join(shown) + "\n"
