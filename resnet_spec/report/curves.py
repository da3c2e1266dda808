"""Pictures of a run: its curves, and its confusion matrix, as PNG or SVG.

Goes in: rows, a confusion matrix. Comes out: the bytes of a picture, the same for the same facts; nothing is written, and no
state of matplotlib stays changed. It is imported when something is drawn. Names of classes and titles are foreign: they are
drawn as they stand, never read as TeX, and where the fonts at hand lack their letters, a PNG shows the number of the class.
"""

from __future__ import annotations

import io
import logging
import math
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray

from resnet_spec.report.names import short_name, text_width
from resnet_spec.report.record import Confusion, EpochRow, chosen_row

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Form = Literal["png", "svg"]
ChartTheme = Literal["light", "dark"]

_DPI = 150
_NUMBERED = 20  # classes up to which cells have numbers
_LABELLED = 50  # labels on an axis
_CELLS = 400  # on a side; of more classes, groups are drawn
_HUGE = 1e30  # of a loss that is still drawn


@dataclass(frozen=True, slots=True)
class _Ink:
    text: str
    faint: str
    paper: str
    train: str
    validation: str
    test: str
    right: tuple[str, ...]  # shades of a share of right answers, from none to all
    wrong: tuple[str, ...]


# Okabe and Ito's colours, which colour-blind readers can tell apart; the dark ones are lightened.
_INKS: dict[ChartTheme, _Ink] = {
    "light": _Ink(
        *("#1f2328", "#d5d9de", "#ffffff", "#0072b2", "#e69f00", "#c2185b"),
        right=("#ffffff", "#cfe3f3", "#5fa5d4", "#0b5c95"),
        wrong=("#ffffff", "#fddcb5", "#f58b45", "#b8370a"),
    ),
    "dark": _Ink(
        *("#e6edf3", "#3d444d", "#0d1117", "#56b4e9", "#f0b429", "#ff6f9f"),
        right=("#161b22", "#14344f", "#2672ab", "#7cc4f5"),
        wrong=("#161b22", "#5c3312", "#bd5f20", "#ffb37a"),
    ),
}


def draw_curves(rows: Sequence[EpochRow], form: Form, title: str, theme: ChartTheme = "light") -> bytes:
    """Loss, accuracy and learning rate over the epochs; what is NaN or infinite leaves a gap."""
    ink = _INKS[theme]
    with _matplotlib(ink):
        from matplotlib.figure import Figure
        from matplotlib.layout_engine import ConstrainedLayoutEngine

        figure = Figure(figsize=(10, 5.2), layout=ConstrainedLayoutEngine(w_pad=0.1, h_pad=0.08))
        axes = figure.subplot_mosaic([["loss", "accuracy"], ["rate", "rate"]], height_ratios=[3.4, 1])
        if title:
            figure.suptitle(short_name(title, 90), fontsize=13, fontweight="bold")
        _draw_loss(axes["loss"], rows, ink)
        _draw_accuracy(axes["accuracy"], rows, ink)
        _draw_rate(axes["rate"], rows, ink)
        for axis in axes.values():
            _style_epochs(axis, rows, ink)
        return _saved(figure, form)


def _draw_loss(axis: Axes, rows: Sequence[EpochRow], ink: _Ink) -> None:
    axis.set_title("loss", loc="left")
    drawn = [
        _line(axis, rows, lambda row: row.train_loss, "train", ink.train),
        _line(axis, rows, lambda row: row.validation_loss, "validation", ink.validation),
        _line(axis, rows, lambda row: row.test_loss, "test", ink.test),
    ]
    _scale(axis, np.concatenate(drawn), most=50)
    if any(np.isfinite(values).any() for values in drawn):
        axis.legend(loc="best")


def _draw_accuracy(axis: Axes, rows: Sequence[EpochRow], ink: _Ink) -> None:
    axis.set_title("accuracy, %", loc="left")
    _line(axis, rows, lambda row: row.train_accuracy, "train", ink.train, 100)
    _line(axis, rows, lambda row: row.validation_accuracy, "validation", ink.validation, 100)
    _line(axis, rows, lambda row: row.test_accuracy, "test", ink.test, 100)
    _line(axis, rows, lambda row: row.validation_top5, "validation, top-5", ink.validation, 100, ":")
    _line(axis, rows, lambda row: row.test_top5, "test, top-5", ink.test, 100, ":")
    chosen = chosen_row(rows)
    if chosen is None:
        return
    low, high = axis.get_ylim()
    axis.set_ylim(max(-2.0, min(low, high - 10)), min(102.0, max(high, low + 10)))  # what hardly changes looks so
    row, best = chosen
    if best:
        value = 100 * (row.validation_accuracy or 0.0)
        label = f"best: {value:.2f} in epoch {row.epoch}"
        axis.plot([row.epoch], [value], "o", ms=7, mfc=ink.paper, mec=ink.validation, mew=2, label=label, zorder=5)
    axis.legend(loc="best")


def _draw_rate(axis: Axes, rows: Sequence[EpochRow], ink: _Ink) -> None:
    axis.set_title("learning rate", loc="left")
    rates = _finite([row.lr for row in rows])
    steps = len(set(rates.tolist())) <= max(2, len(rows) // 3)  # it holds its values, as a schedule of milestones does
    marker = "o" if len(rows) == 1 else ""
    axis.plot(
        [row.epoch for row in rows], rates, color=ink.text, drawstyle="steps-mid" if steps else "default", marker=marker, ms=4
    )
    _scale(axis, rates, most=20 if steps else math.inf)
    axis.set_xlabel("epoch")


def _line(
    axis: Axes,
    rows: Sequence[EpochRow],
    value: Callable[[EpochRow], float | None],
    label: str,
    colour: str,
    factor: float = 1.0,
    style: str = "-",
) -> NDArray[np.float64]:
    """Draw what was measured, as a line through the epochs that have it; returns the values."""
    measured = [(row.epoch, value(row)) for row in rows if value(row) is not None]
    values = _finite([number for _, number in measured]) * factor
    if np.isfinite(values).any():
        marker = "o" if len(measured) <= 30 else ""  # one point alone would be no line at all
        axis.plot([epoch for epoch, _ in measured], values, style, color=colour, label=label, marker=marker, ms=3.5)
    return values


def _finite(values: Sequence[float | None]) -> NDArray[np.float64]:
    """The values, with NaN for those that no axis can hold."""
    array = np.array([math.nan if value is None else value for value in values], dtype=np.float64)
    array[~(np.abs(array) < _HUGE)] = math.nan
    return array


def _scale(axis: Axes, values: NDArray[np.float64], most: float) -> None:
    """A logarithmic axis for values of which the largest is more than `most` times the smallest."""
    known = values[np.isfinite(values)]
    if len(known) and known.min() > 0 and known.max() / known.min() > most:
        axis.set_yscale("log")
        axis.set_title(axis.get_title(loc="left") + " (log scale)", loc="left")
        axis.yaxis.set_major_formatter(lambda value, _: f"{value:g}")
        axis.yaxis.set_minor_formatter(lambda _value, _: "")
    elif len(known) and known.min() >= 0:
        axis.set_ylim(0, 1.06 * known.max() or 1)


def _style_epochs(axis: Axes, rows: Sequence[EpochRow], ink: _Ink) -> None:
    from matplotlib.ticker import MaxNLocator

    first, last = (rows[0].epoch, rows[-1].epoch) if rows else (1, 1)
    if first == last:
        axis.set_xticks([first])
    else:
        axis.xaxis.set_major_locator(MaxNLocator(integer=True, steps=[1, 2, 5, 10]))
    axis.set_xlim(first - 0.5, last + 0.5 + (last - first) / 60)
    axis.grid(color=ink.faint, linewidth=0.6)
    axis.spines[["top", "right"]].set_visible(False)


def draw_confusion(confusion: Confusion, form: Form, theme: ChartTheme = "light") -> bytes:
    """The matrix, a row for each true class: blue for the share of it that was found, orange for what was taken for another.

    Up to 20 classes, cells say how many images. Of more than 400, each cell stands for a group of neighbouring classes.
    """
    ink = _INKS[theme]
    counts = np.array(confusion.counts, dtype=np.float64).reshape(len(confusion.classes), len(confusion.classes))
    shares, per = group_shares(row_shares(counts), _CELLS)
    with _matplotlib(ink):
        from matplotlib.figure import Figure

        labels = [short_name(name) for name in confusion.classes[::per]]
        if form == "png":
            labels = _drawable(labels, per)
        figure, axis = _confusion_figure(Figure, len(shares), labels)
        colours = _paint(axis, figure, shares, ink)
        if len(shares) <= _NUMBERED:
            _write_counts(axis, counts, colours)
        _label_classes(axis, labels, per)
        found = f"{confusion.correct:,} of {confusion.images:,} images right"
        share = f" ({100 * confusion.accuracy:.2f}%)" if confusion.images else ""
        axis.set_title(found + share + (f"; a cell is a group of {per} classes" if per > 1 else ""), loc="left")
        return _saved(figure, form, trim=True)


def row_shares(counts: NDArray[np.float64]) -> NDArray[np.float64]:
    """Each row of `(n, n)` counts divided by its sum; rows of nothing stay nothing."""
    sums = counts.sum(axis=1, keepdims=True)
    shares: NDArray[np.float64] = np.divide(counts, sums, out=np.zeros_like(counts), where=sums > 0)
    return shares


def group_shares(shares: NDArray[np.float64], most: int) -> tuple[NDArray[np.float64], int]:
    """Rows of shares for groups of neighbouring classes, so that no more than `most` are left; and the classes in a group.

    A cell is the mean, over the classes of its row's group, of the share that was taken for any class of its column's group.
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
    names = 0.085 * max((text_width(label) for label in labels), default=0)
    figure = make(figsize=(side + names + (0.9 if cell else 2.0), side + names + 0.9), layout="constrained")
    return figure, figure.add_subplot(aspect="equal")


def _paint(axis: Axes, figure: Figure, shares: NDArray[np.float64], ink: _Ink) -> NDArray[np.float64]:
    """Colour the cells; returns their colours, `(n, n, 4)`. Small shares of many classes are lifted, which a scale shows."""
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import LinearSegmentedColormap, PowerNorm

    n = len(shares)
    gamma = 0.65 if n <= _NUMBERED else 0.5
    diagonal = np.eye(n, dtype=bool)
    right = ScalarMappable(PowerNorm(gamma, 0, 1), LinearSegmentedColormap.from_list("right", list(ink.right)))
    top = 0.5 if n <= _NUMBERED else max(0.01, float(shares[~diagonal].max(initial=0.0)))
    wrong = ScalarMappable(PowerNorm(gamma, 0, top), LinearSegmentedColormap.from_list("wrong", list(ink.wrong)))
    colours: NDArray[np.float64] = np.where(diagonal[:, :, None], right.to_rgba(shares), wrong.to_rgba(shares))
    # Whole pixels for each cell, so that none is blurred where it is scaled.
    pixels = colours if n > 200 else np.kron(colours, np.ones((max(1, 800 // max(n, 1)),) * 2 + (1,)))
    if n <= _NUMBERED:
        axis.pcolormesh(np.arange(n + 1) - 0.5, np.arange(n + 1) - 0.5, colours, edgecolors=ink.faint, linewidth=0.6)
        axis.invert_yaxis()
    else:
        axis.imshow(pixels, extent=(-0.5, n - 0.5, n - 0.5, -0.5), interpolation="none")
        for mapped, label in ((wrong, "of a class: taken for another"), (right, "of a class: found")):
            bar = figure.colorbar(mapped, ax=axis, shrink=0.42, aspect=14, pad=0.02, format=lambda v, _: f"{100 * v:.3g}%")
            bar.set_label(label, fontsize=9)
            bar.outline.set_visible(False)
    return colours


def _write_counts(axis: Axes, counts: NDArray[np.float64], colours: NDArray[np.float64]) -> None:
    size = 10.5 if len(counts) <= 6 else 9 if len(counts) <= 12 else 7.5
    for i, row in enumerate(counts):
        for j, n in enumerate(row):
            if n:
                text = f"{n:.0f}" if n < 1e5 else f"{n:.0e}".replace("e+0", "e")
                dark = colours[i, j, :3] @ np.array([0.299, 0.587, 0.114]) < 0.55  # luma
                fit = min(1.0, 4.4 / len(text))
                axis.text(j, i, text, ha="center", va="center", size=size * fit, color="#ffffff" if dark else "#1f2328")


def _label_classes(axis: Axes, labels: Sequence[str], per: int) -> None:
    n = len(labels)
    every = max(1, math.ceil(n / _LABELLED))
    size = 9.5 if n <= _NUMBERED else 8 if n <= 30 else 6.5
    upright = all(text_width(label) <= 5 for label in labels) and n <= _NUMBERED
    places = list(range(0, n, every))
    shown = [labels[place] for place in places]
    axis.set_xticks(places, shown, rotation=0 if upright else 90, size=size)
    axis.set_yticks(places, shown, size=size)
    axis.tick_params(length=0 if n <= _NUMBERED else 2)
    axis.spines[:].set_visible(False)
    left_out = "" if every == per == 1 else f" (1 in {every * per} is named)"
    axis.set_xlabel("predicted class" + left_out)
    axis.set_ylabel("true class" + left_out)


def _drawable(labels: Sequence[str], per: int) -> list[str]:
    """The labels; instead of one whose letters no font has, the number of its class."""
    from matplotlib import font_manager, rcParams

    known: set[int] = set()
    for family in rcParams["font.family"]:
        known.update(font_manager.get_font(font_manager.findfont(font_manager.FontProperties(family=[family]))).get_charmap())
    return [label if all(ord(c) in known for c in label) else f"#{i * per}" for i, label in enumerate(labels)]


# Fonts with the letters that matplotlib's own lack, where a machine has one of them.
_MORE_FONTS = (
    *("Noto Sans CJK JP", "Noto Sans CJK SC", "Noto Sans JP", "Noto Sans SC", "Source Han Sans", "WenQuanYi Micro Hei"),
    *("Hiragino Sans", "PingFang SC", "Yu Gothic", "Microsoft YaHei", "Malgun Gothic", "Arial Unicode MS"),
)


@contextmanager
def _matplotlib(ink: _Ink) -> Iterator[None]:
    """Settings for one picture: matplotlib's own defaults and ours, never the user's, and no warnings."""
    logger = logging.getLogger("matplotlib")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            import matplotlib
            from matplotlib import font_manager

            fonts = {entry.name for entry in font_manager.fontManager.ttflist}
            with matplotlib.rc_context():
                matplotlib.rcdefaults()
                matplotlib.rc("text", parse_math=False, color=ink.text)
                matplotlib.rc("font", family=["DejaVu Sans", *(f for f in _MORE_FONTS if f in fonts), "sans-serif"], size=9.5)
                matplotlib.rc("axes", facecolor=ink.paper, edgecolor=ink.text, labelcolor=ink.text, titlesize=10.5)
                matplotlib.rc("figure", facecolor=ink.paper)
                matplotlib.rc("xtick", color=ink.text)
                matplotlib.rc("ytick", color=ink.text)
                matplotlib.rc("legend", facecolor=ink.paper, edgecolor=ink.faint, fontsize=9)
                matplotlib.rc("lines", linewidth=1.8)
                # The letters of any script, by the fonts of who looks; and the same names of parts each time.
                matplotlib.rc("svg", fonttype="none", hashsalt="resnet-spec")
                yield
    finally:
        logger.setLevel(level)


def _saved(figure: Figure, form: Form, trim: bool = False) -> bytes:
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    FigureCanvasAgg(figure)
    told = ("Software",) if form == "png" else ("Date", "Creator", "Format", "Type")
    picture = io.BytesIO()
    metadata = dict.fromkeys(told)  # none of it, least of all the date
    figure.savefig(picture, format=form, dpi=_DPI, metadata=metadata, bbox_inches="tight" if trim else None, pad_inches=0.12)
    return picture.getvalue()
