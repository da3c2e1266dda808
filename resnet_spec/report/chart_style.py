"""Shared style of the pictures of a run: colors, matplotlib's settings, and saving without dates."""

from __future__ import annotations

import importlib
import io
import logging
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from resnet_spec._system.packages import require_packages
from resnet_spec.diagnostics import ArgumentError
from resnet_spec.report.lettering import find_families

if TYPE_CHECKING:
    from matplotlib.figure import Figure

ChartFormat = Literal["png", "svg"]
ChartTheme = Literal["light", "dark"]

_DPI = 150


@dataclass(frozen=True, slots=True)
class Ink:
    """The colors of a picture."""

    text: str
    faint: str
    paper: str
    train: str
    validation: str
    test: str
    right: tuple[str, ...]  # color map for the share of correct predictions, from 0 to 1
    wrong: tuple[str, ...]  # color map for the share of wrong predictions


# Okabe and Ito's colors, which color-blind readers can distinguish; those of the dark theme are lighter.
INKS: dict[ChartTheme, Ink] = {
    "light": Ink(
        *("#1f2328", "#d5d9de", "#ffffff", "#0072b2", "#e69f00", "#c2185b"),
        right=("#ffffff", "#cfe3f3", "#5fa5d4", "#0b5c95"),
        wrong=("#ffffff", "#fddcb5", "#f58b45", "#b8370a"),
    ),
    "dark": Ink(
        *("#e6edf3", "#3d444d", "#0d1117", "#56b4e9", "#f0b429", "#ff6f9f"),
        right=("#161b22", "#14344f", "#2672ab", "#7cc4f5"),
        wrong=("#161b22", "#5c3312", "#bd5f20", "#ffb37a"),
    ),
}

# Fonts with letters that matplotlib's own font lacks, used if they are installed.
_MORE_FONTS = (
    *("Noto Sans CJK JP", "Noto Sans CJK SC", "Noto Sans JP", "Noto Sans SC", "Source Han Sans", "WenQuanYi Micro Hei"),
    *("Hiragino Sans", "PingFang SC", "Yu Gothic", "Microsoft YaHei", "Malgun Gothic", "Arial Unicode MS"),
)


def find_problem() -> str:
    """Why figures cannot be drawn; empty if they can. A package that is installed may still not be importable."""
    try:
        require_packages("drawing figures", "matplotlib")
        importlib.import_module("matplotlib.figure")
    except ArgumentError as error:
        return error.diagnostics[0].message
    except ImportError as error:
        return f"matplotlib cannot be imported ({error})"
    return ""


@contextmanager
def matplotlib_settings(ink: Ink, drawn: Sequence[str] = ()) -> Iterator[None]:
    """Draw with matplotlib's defaults and the settings below, independently of the user's settings, and without warnings.

    `drawn` are texts for whose letters fonts are looked for.
    """
    require_packages("drawing the figures of a run", "matplotlib")
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
                families = ("DejaVu Sans", *(name for name in _MORE_FONTS if name in fonts))
                families = (*families, *find_families(drawn, families))
                matplotlib.rc("font", family=list(families), size=9.5)
                matplotlib.rc("axes", facecolor=ink.paper, edgecolor=ink.text, labelcolor=ink.text, titlesize=10.5)
                matplotlib.rc("figure", facecolor=ink.paper)
                matplotlib.rc("xtick", color=ink.text)
                matplotlib.rc("ytick", color=ink.text)
                matplotlib.rc("legend", facecolor=ink.paper, edgecolor=ink.faint, fontsize=9)
                matplotlib.rc("lines", linewidth=1.8)
                # Text stays text, shown in the reader's fonts; ids in the SVG are reproducible.
                matplotlib.rc("svg", fonttype="none", hashsalt="resnet-spec")
                yield
    finally:
        logger.setLevel(level)


def save_figure(figure: Figure, form: ChartFormat, trim: bool = False) -> bytes:
    """Save a figure as a picture; `trim` cuts off its empty border."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    FigureCanvasAgg(figure)
    keys = ("Software",) if form == "png" else ("Date", "Creator", "Format", "Type")
    metadata = dict.fromkeys(keys)  # None omits a key, so that equal figures are saved as equal bytes
    picture = io.BytesIO()
    figure.savefig(picture, format=form, dpi=_DPI, metadata=metadata, bbox_inches="tight" if trim else None, pad_inches=0.12)
    return picture.getvalue()
