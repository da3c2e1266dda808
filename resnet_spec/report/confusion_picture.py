"""Draws a confusion matrix as PNG or SVG.

Equal matrices are drawn as equal bytes. Names of classes are untrusted: they are drawn literally and never interpreted as TeX.
If no installed font has their letters, a PNG spells them and says so. matplotlib is imported only when it is needed.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from resnet_spec.diagnostics.text import display_width
from resnet_spec.report.chart_style import INKS, ChartFormat, ChartTheme, Ink, matplotlib_settings, save_figure
from resnet_spec.report.confusion import ConfusionMatrix
from resnet_spec.report.lettering import CAPTION, spell
from resnet_spec.report.names import short_name

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_NUMBERED = 20  # classes up to which cells have numbers
_LABELED = 50  # labels on an axis
_CELLS = 400  # on a side; more classes are drawn as groups


def draw_confusion(confusion: ConfusionMatrix, form: ChartFormat, theme: ChartTheme = "light") -> bytes:
    """Draw a confusion matrix, a row for each true class: blue for its correct predictions, orange for wrong ones.

    With up to 20 classes, cells show the number of images. With more than 400, each cell is a group of neighboring classes.
    """
    ink = INKS[theme]
    counts = np.array(confusion.counts, dtype=np.float64).reshape(len(confusion.classes), len(confusion.classes))
    shares, per = group_shares(row_shares(counts), _CELLS)
    names = [short_name(name) for name in confusion.classes[::per]]
    with matplotlib_settings(ink, names if form == "png" else ()):
        from matplotlib import rcParams
        from matplotlib.figure import Figure

        labels = names
        if form == "png":
            spelled = (spell(name, tuple(rcParams["font.family"])) for name in names)
            labels = [
                own if own == name else f"#{i * per} {short_name(own)}"
                for i, (own, name) in enumerate(zip(spelled, names, strict=True))
            ]
        figure, axis = _confusion_figure(Figure, len(shares), labels)
        colors = _paint(axis, figure, shares, ink)
        if len(shares) <= _NUMBERED:
            _write_counts(axis, counts, colors)
        _label_classes(axis, labels, per, "" if labels == names else f"\n{CAPTION}")
        correct = f"{confusion.correct:,} of {confusion.images:,} images correct"
        share = f" ({100 * confusion.accuracy:.2f}%)" if confusion.images else ""
        axis.set_title(correct + share + (f"; a cell is a group of {per} classes" if per > 1 else ""), loc="left")
        return save_figure(figure, form, trim=True)


def row_shares(counts: NDArray[np.float64]) -> NDArray[np.float64]:
    """Each row of `(n, n)` counts divided by its sum; rows without images stay zero."""
    sums = counts.sum(axis=1, keepdims=True)
    shares: NDArray[np.float64] = np.divide(counts, sums, out=np.zeros_like(counts), where=sums > 0)
    return shares


def group_shares(shares: NDArray[np.float64], most: int) -> tuple[NDArray[np.float64], int]:
    """Shares for groups of neighboring classes, at most `most` of them, and the number of classes in a group.

    A cell is the mean, over the classes of its row's group, of the share that was predicted as any class of its column's group.
    """
    n = len(shares)
    per = max(1, math.ceil(n / most))
    starts = np.arange(0, n, per)
    if per == 1:
        return shares, 1
    sums = np.add.reduceat(np.add.reduceat(shares, starts, axis=1), starts, axis=0)
    return sums / np.diff(np.append(starts, n))[:, None], per


def _confusion_figure(make: type[Figure], n: int, labels: Sequence[str]) -> tuple[Figure, Axes]:
    cell = 0.95 if n <= 3 else 0.72 if n <= 6 else 0.58 if n <= 12 else 0.5 if n <= _NUMBERED else 0
    side = max(cell * n, 2.4) if cell else 6.4 if n <= 60 else 7.6
    names = 0.085 * max((display_width(label) for label in labels), default=0)
    figure = make(figsize=(side + names + (0.9 if cell else 2.0), side + names + 0.9), layout="constrained")
    return figure, figure.add_subplot(aspect="equal")


def _paint(axis: Axes, figure: Figure, shares: NDArray[np.float64], ink: Ink) -> NDArray[np.float64]:
    """Color the cells, and return their colors `(n, n, 4)`. Small shares are amplified, as color bars show."""
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import LinearSegmentedColormap, PowerNorm

    n = len(shares)
    gamma = 0.65 if n <= _NUMBERED else 0.5
    diagonal = np.eye(n, dtype=bool)
    right = ScalarMappable(PowerNorm(gamma, 0, 1), LinearSegmentedColormap.from_list("right", list(ink.right)))
    top = 0.5 if n <= _NUMBERED else max(0.01, float(shares[~diagonal].max(initial=0.0)))
    wrong = ScalarMappable(PowerNorm(gamma, 0, top), LinearSegmentedColormap.from_list("wrong", list(ink.wrong)))
    colors: NDArray[np.float64] = np.where(diagonal[:, :, None], right.to_rgba(shares), wrong.to_rgba(shares))
    # Several pixels for each cell, so that scaling blurs none.
    pixels = colors if n > 200 else np.kron(colors, np.ones((max(1, 800 // max(n, 1)),) * 2 + (1,)))
    if n <= _NUMBERED:
        axis.pcolormesh(np.arange(n + 1) - 0.5, np.arange(n + 1) - 0.5, colors, edgecolors=ink.faint, linewidth=0.6)
        axis.invert_yaxis()
    else:
        axis.imshow(pixels, extent=(-0.5, n - 0.5, n - 0.5, -0.5), interpolation="none")
        for mapped, label in ((wrong, "of a class: predicted as another"), (right, "of a class: correct")):
            bar = figure.colorbar(mapped, ax=axis, shrink=0.42, aspect=14, pad=0.02, format=lambda v, _: f"{100 * v:.3g}%")
            bar.set_label(label, fontsize=9)
            bar.outline.set_visible(False)
    return colors


def _write_counts(axis: Axes, counts: NDArray[np.float64], colors: NDArray[np.float64]) -> None:
    size = 10.5 if len(counts) <= 6 else 9 if len(counts) <= 12 else 7.5
    for i, row in enumerate(counts):
        for j, n in enumerate(row):
            if n:
                text = f"{n:.0f}" if n < 1e5 else f"{n:.0e}".replace("e+0", "e")
                dark = colors[i, j, :3] @ np.array([0.299, 0.587, 0.114]) < 0.55  # luma
                fit = min(1.0, 4.4 / len(text))
                axis.text(j, i, text, ha="center", va="center", size=size * fit, color="#ffffff" if dark else "#1f2328")


def _label_classes(axis: Axes, labels: Sequence[str], per: int, caption: str) -> None:
    n = len(labels)
    every = max(1, math.ceil(n / _LABELED))
    size = 9.5 if n <= _NUMBERED else 8 if n <= 30 else 6.5
    upright = all(display_width(label) <= 5 for label in labels) and n <= _NUMBERED
    places = list(range(0, n, every))
    shown = [labels[place] for place in places]
    axis.set_xticks(places, shown, rotation=0 if upright else 90, size=size)
    axis.set_yticks(places, shown, size=size)
    axis.tick_params(length=0 if n <= _NUMBERED else 2)
    axis.spines[:].set_visible(False)
    left_out = "" if every == per == 1 else f" (1 in {every * per} is named)"
    axis.set_xlabel("predicted class" + left_out + caption)
    axis.set_ylabel("true class" + left_out)
