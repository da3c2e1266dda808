"""How a diagram looks: its options, the colors and shapes of boxes, and the colors of costs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, get_args

from resnet_spec.ops.definition import Family

DiagramDetail = Literal["stage", "block", "op"]
DiagramTheme = Literal["light", "dark"]
Direction = Literal["down", "right"]
Heat = Literal["params", "macs", "memory"]
Show = Literal["shapes", "params", "macs", "memory"]
SHOWS: tuple[Show, ...] = get_args(Show)

Attributes = dict[str, str]  # of Graphviz
BoxKind = Family | Literal["stage", "input", "output", "broken"]
ShortcutKind = Literal["identity", "transformed", "skip"]

SHORTCUT = "#d55e00"
SKIP = "#0072b2"  # across stages
BROKEN = "#c00000"
_DARK_TEXT, _LIGHT_TEXT = "#222222", "#ffffff"
_HEAT = ("#fff7ec", "#fee8c8", "#fdd49e", "#fdbb84", "#fc8d59", "#ef6548", "#d7301f", "#990000")
_LIGHT_TEXT_FROM = 5  # this entry of _HEAT on
HEAT_LABELS: dict[Heat, str] = {"params": "parameters", "macs": "multiply-adds", "memory": "bytes"}
_SHORTCUT_LINES: dict[ShortcutKind, str] = {"identity": "bold", "transformed": "dashed", "skip": "bold"}


@dataclass(frozen=True, slots=True)
class Style:
    """How to draw. `expand` draws equal blocks one by one; `heat` colors boxes by a cost; `title`: whether there is one."""

    detail: DiagramDetail = "stage"
    expand: bool = False
    direction: Direction = "down"
    theme: DiagramTheme = "light"
    show: frozenset[Show] = frozenset({"shapes", "params"})
    heat: Heat | None = None
    title: bool = True

    @property
    def heat_shown(self) -> frozenset[Show]:
        """What every box shows because its color does; nothing if boxes show nothing at all."""
        return frozenset({self.heat}) if self.heat is not None and self.show else frozenset()

    @property
    def all_shown(self) -> frozenset[Show]:
        """What boxes show: `show`, and the cost of the heat."""
        return self.show | self.heat_shown


@dataclass(frozen=True, slots=True)
class ThemeColors:
    """The colors of a theme outside the boxes."""

    paper: str
    ink: str  # of text and arrows
    frame: str


THEMES: dict[DiagramTheme, ThemeColors] = {
    "light": ThemeColors("#ffffff", "#222222", "#8c8c8c"),
    "dark": ThemeColors("#1e1e1e", "#e6e6e6", "#8c8c8c"),
}


@dataclass(frozen=True, slots=True)
class _BoxLook:
    """`on_paper`: filled with the color of the paper, also in a dark theme."""

    fill: str
    shape: str
    rounded: bool = False
    on_paper: bool = False
    more: Mapping[str, str] = field(default_factory=dict)


_OTHER = _BoxLook("#e8d5e4", "note")
# The colors are from the palette of Okabe and Ito, which color-blind readers can distinguish; the shapes differ too.
BOX_LOOKS: dict[BoxKind, _BoxLook] = {
    "convolution": _BoxLook("#9ecae9", "box"),
    "linear": _BoxLook("#f5c26b", "box", more={"peripheries": "2"}),
    "normalization": _BoxLook("#d9d9d9", "box", rounded=True),
    "activation": _BoxLook("#f7ee8a", "ellipse"),
    "pooling": _BoxLook("#8fd3bd", "box3d"),
    "reshaping": _OTHER,
    "regularization": _OTHER,
    "scaling": _OTHER,
    "identity": _OTHER,
    "join": _BoxLook("#ffffff", "circle", on_paper=True, more={"color": SHORTCUT, "penwidth": "2", "margin": "0.02"}),
    "stage": _BoxLook("#cfe3f3", "box", rounded=True, more={"penwidth": "1.5"}),
    "input": _BoxLook("#ffffff", "oval", on_paper=True),
    "output": _BoxLook("#ffffff", "oval", on_paper=True),
    "broken": _BoxLook("#ffd6d6", "box", more={"color": BROKEN, "penwidth": "2.5"}),
}


def box_attributes(kind: BoxKind, theme: DiagramTheme, heat: float | None = None) -> Attributes:
    """The attributes of a box. With `heat`, its share of the highest cost from 0 to 1, its color shows the cost."""
    look = BOX_LOOKS[kind]
    fill, text = look.fill, _DARK_TEXT
    if heat is not None:
        step = min(len(_HEAT) - 1, int(len(_HEAT) * min(1.0, heat) ** 0.5))
        fill, text = _HEAT[step], _LIGHT_TEXT if step >= _LIGHT_TEXT_FROM else _DARK_TEXT
    if look.on_paper and theme == "dark":
        fill, text = THEMES[theme].paper, THEMES[theme].ink
    style = "filled,rounded" if look.rounded else "filled"
    return {"shape": look.shape, "style": style, "fillcolor": fill, "fontcolor": text, **look.more}


def shortcut_attributes(kind: ShortcutKind) -> Attributes:
    """The attributes of the arrow of a shortcut: thick and orange, dashed if the shortcut transforms its input; blue if it
    leads across stages."""
    tip = "skip connection" if kind == "skip" else f"shortcut ({kind})"
    color = SKIP if kind == "skip" else SHORTCUT
    return {"color": color, "penwidth": "2", "tooltip": tip, "style": _SHORTCUT_LINES[kind]}
