"""Draws the curves of a run: loss, accuracy and learning rate over the epochs, as PNG or SVG.

Equal rows are drawn as equal bytes. matplotlib is imported only when something is drawn.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from resnet_spec.report.chart_style import INKS, ChartFormat, ChartTheme, Ink, matplotlib_settings, save_figure
from resnet_spec.report.lettering import spell
from resnet_spec.report.names import short_name
from resnet_spec.report.record import EpochRow, choose_row

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_HUGE = 1e30  # losses from this value on are not drawn


def draw_curves(
    rows: Sequence[EpochRow], form: ChartFormat, title: str, theme: ChartTheme = "light", mixed: bool = False
) -> bytes:
    """Draw loss, accuracy and learning rate over the epochs; NaN and infinite values leave a gap.

    `mixed`: training accuracy is that of mixed images, and is marked as such.
    """
    ink = INKS[theme]
    title = short_name(title, 90) if title else ""
    with matplotlib_settings(ink, [title] if form == "png" else ()):
        from matplotlib import rcParams
        from matplotlib.figure import Figure
        from matplotlib.layout_engine import ConstrainedLayoutEngine

        figure = Figure(figsize=(10, 5.2), layout=ConstrainedLayoutEngine(w_pad=0.1, h_pad=0.08))
        axes = figure.subplot_mosaic([["loss", "accuracy"], ["rate", "rate"]], height_ratios=[3.4, 1])
        if title:
            shown = short_name(spell(title, tuple(rcParams["font.family"])), 90) if form == "png" else title
            figure.suptitle(shown, fontsize=13, fontweight="bold")
        _draw_loss(axes["loss"], rows, ink)
        _draw_accuracy(axes["accuracy"], rows, ink, "train (mixed images)" if mixed else "train")
        _draw_rate(axes["rate"], rows, ink)
        for axis in axes.values():
            _style_epochs(axis, rows, ink)
        return save_figure(figure, form)


def _draw_loss(axis: Axes, rows: Sequence[EpochRow], ink: Ink) -> None:
    axis.set_title("loss", loc="left")
    drawn = [
        _line(axis, rows, lambda row: row.train_loss, "train", ink.train),
        _line(axis, rows, lambda row: row.validation_loss, "validation", ink.validation),
        _line(axis, rows, lambda row: row.test_loss, "test", ink.test),
    ]
    _scale(axis, np.concatenate(drawn), most=50)
    if any(np.isfinite(values).any() for values in drawn):
        axis.legend(loc="best")


def _draw_accuracy(axis: Axes, rows: Sequence[EpochRow], ink: Ink, train: str) -> None:
    axis.set_title("accuracy, %", loc="left")
    _line(axis, rows, lambda row: row.train_accuracy, train, ink.train, 100)
    _line(axis, rows, lambda row: row.validation_accuracy, "validation", ink.validation, 100)
    _line(axis, rows, lambda row: row.test_accuracy, "test", ink.test, 100)
    _line(axis, rows, lambda row: row.validation_top5, "validation, top-5", ink.validation, 100, ":")
    _line(axis, rows, lambda row: row.test_top5, "test, top-5", ink.test, 100, ":")
    chosen = choose_row(rows)
    if chosen is None:
        return
    low, high = axis.get_ylim()
    axis.set_ylim(max(-2.0, min(low, high - 10)), min(102.0, max(high, low + 10)))  # a small change should not fill the axis
    row, best = chosen
    if best:
        value = 100 * (row.validation_accuracy or 0.0)
        label = f"best: {value:.2f} in epoch {row.epoch}"
        axis.plot([row.epoch], [value], "o", ms=7, mfc=ink.paper, mec=ink.validation, mew=2, label=label, zorder=5)
    axis.legend(loc="best")


def _draw_rate(axis: Axes, rows: Sequence[EpochRow], ink: Ink) -> None:
    axis.set_title("learning rate", loc="left")
    rates = _finite([row.lr for row in rows])
    steps = len(set(rates.tolist())) <= max(2, len(rows) // 3)  # constant for many epochs, as with a schedule of milestones
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
    color: str,
    factor: float = 1.0,
    style: str = "-",
) -> NDArray[np.float64]:
    """Draw a line through the epochs in which a value was measured, and return the values."""
    measured = [(row.epoch, value(row)) for row in rows if value(row) is not None]
    values = _finite([number for _, number in measured]) * factor
    if np.isfinite(values).any():
        marker = "o" if len(measured) <= 30 else ""  # a single point is no line
        axis.plot([epoch for epoch, _ in measured], values, style, color=color, label=label, marker=marker, ms=3.5)
    return values


def _finite(values: Sequence[float | None]) -> NDArray[np.float64]:
    """The values, with NaN for those that are too large for an axis."""
    array = np.array([math.nan if value is None else value for value in values], dtype=np.float64)
    array[~(np.abs(array) < _HUGE)] = math.nan
    return array


def _scale(axis: Axes, values: NDArray[np.float64], most: float) -> None:
    """Use a logarithmic axis where the largest value is more than `most` times the smallest."""
    known = values[np.isfinite(values)]
    if len(known) and known.min() > 0 and known.max() / known.min() > most:
        axis.set_yscale("log")
        axis.set_title(axis.get_title(loc="left") + " (log scale)", loc="left")
        axis.yaxis.set_major_formatter(lambda value, _: f"{value:g}")
        axis.yaxis.set_minor_formatter(lambda _value, _: "")
    elif len(known) and known.min() >= 0:
        axis.set_ylim(0, 1.06 * known.max() or 1)


def _style_epochs(axis: Axes, rows: Sequence[EpochRow], ink: Ink) -> None:
    from matplotlib.ticker import MaxNLocator

    first, last = (rows[0].epoch, rows[-1].epoch) if rows else (1, 1)
    if first == last:
        axis.set_xticks([first])
    else:
        axis.xaxis.set_major_locator(MaxNLocator(integer=True, steps=[1, 2, 5, 10]))
    axis.set_xlim(first - 0.5, last + 0.5 + (last - first) / 60)
    axis.grid(color=ink.faint, linewidth=0.6)
    axis.spines[["top", "right"]].set_visible(False)
