"""The shapes on synthetic images, and which of them make a class.

The first ten classes are ten shapes. Further ones add a filling, then a second shape inside the first, then a third one next to
it.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

Plane = NDArray[np.floating]  # (N, H, W), or (N, 1, 1) for one number for each image; mostly float32

# The signed distance to the edge, negative inside; u and v are -1 to 1 over the shape.


def _box(u: Plane, v: Plane, half_width: float, half_height: float) -> Plane:
    return np.maximum(np.abs(u) - half_width, np.abs(v) - half_height)


def _triangle(u: Plane, v: Plane) -> Plane:
    distance: Plane = np.maximum(-v - 0.45, 0.866 * np.abs(u) + 0.5 * v - 0.45)
    return distance


def _star(u: Plane, v: Plane) -> Plane:
    fifth, inner = 2 * math.pi / 5, 0.4
    angle = np.abs(np.mod(np.arctan2(v, u) + fifth / 2, fifth) - fifth / 2)
    radius = np.hypot(u, v)
    along, across = inner * math.cos(fifth / 2) - 1, inner * math.sin(fifth / 2)  # the angle from a tip to the next notch
    length = math.hypot(along, across)
    distance: Plane = ((radius * np.cos(angle) - 1) * across - radius * np.sin(angle) * along) / length
    return distance


SHAPES: dict[str, Callable[[Plane, Plane], Plane]] = {
    "disc": lambda u, v: np.hypot(u, v) - 0.8,
    "square": lambda u, v: _box(u, v, 0.72, 0.72),
    "triangle": _triangle,
    "cross": lambda u, v: np.minimum(_box(u, v, 0.92, 0.26), _box(u, v, 0.26, 0.92)),
    "ring": lambda u, v: np.abs(np.hypot(u, v) - 0.7) - 0.18,
    "star": _star,
    "stripes": lambda u, v: np.maximum(np.abs(np.abs(np.abs(u) - 0.31) - 0.31) - 0.17, np.abs(v) - 0.85),
    "dots": lambda u, v: np.hypot(np.abs(u) - 0.56, v) - 0.36,
    "crescent": lambda u, v: np.maximum(np.hypot(u, v) - 0.9, 0.78 - np.hypot(u - 0.48, v)),
    "bar": lambda u, v: _box(u, v, 0.98, 0.22),
}

# Negative for the first color, positive for the second.

FREQUENCY = 11.0  # radians: a pattern repeats every 0.57 of half the shape
FILLINGS: dict[str, Callable[[Plane, Plane], Plane]] = {
    "": lambda u, v: np.full_like(u, -1),
    "striped": lambda u, v: np.sin(FREQUENCY * u),
    "checked": lambda u, v: np.sin(FREQUENCY * u) * np.sin(FREQUENCY * v),
    "halved": lambda u, v: u,
    "cored": lambda u, v: 0.4 - np.hypot(u, v),
}

_KINDS = len(SHAPES)
MOST_CLASSES = _KINDS * len(FILLINGS) * (_KINDS + 1) * (_KINDS + 1)


def parts_of(label: int) -> tuple[int, int, int, int]:
    """The shape of a class, its filling, and the shapes inside it and next to it (0 for none)."""
    label, shape = divmod(label, _KINDS)
    label, filling = divmod(label, len(FILLINGS))
    beside, inside = divmod(label, _KINDS + 1)
    return shape, filling, inside, beside


def class_name(label: int) -> str:
    """The name of a class, such as `striped square around star`."""
    shapes = list(SHAPES)
    shape, filling, inside, beside = parts_of(label)
    name = f"{list(FILLINGS)[filling]} {shapes[shape]}".strip()
    return name + (f" around {shapes[inside - 1]}" if inside else "") + (f" beside {shapes[beside - 1]}" if beside else "")
