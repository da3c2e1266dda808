"""Drawn shapes: the data set that is always there, needs no download, and can be as large as one likes.

An image shows a shape whose kind is its class; where, how large, how turned and in which colours is drawn by lot, and neither
the shape nor the background is the brighter one more often. So no pixel tells a class, and a linear classifier does little
better than guessing, while a small convolutional network learns it within a few epochs. Ten classes are ten shapes; more of
them add a filling, then a second shape inside, then a third one beside. Image `i` of a split is a function of the seed, the
split and `i`: the lots are hashes of these, not the state of a generator, and more images never change the earlier ones.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import numpy as np
from numpy.typing import NDArray

from resnet_spec.data.dataset import Data, Pixels, Split, held
from resnet_spec.data.refusal import refuse
from resnet_spec.diagnostics import printable, suggestion

Plane = NDArray[np.floating]  # (N, H, W), or (N, 1, 1) for one number an image; float32 as a rule
Lots = NDArray[np.uint64]

SPLITS = {"train": 4000, "validation": 500, "test": 1000}  # images, unless the options say otherwise
HELD = 1 << 29  # bytes; larger splits are drawn when they are read
_AT_ONCE = 1 << 19  # pixels drawn together

# --- shapes: the signed distance to the edge, negative inside; u and v are in -1..1 over the shape -------------------------


def _box(u: Plane, v: Plane, half_width: float, half_height: float) -> Plane:
    return np.maximum(np.abs(u) - half_width, np.abs(v) - half_height)


def _triangle(u: Plane, v: Plane) -> Plane:
    distance: Plane = np.maximum(-v - 0.45, 0.866 * np.abs(u) + 0.5 * v - 0.45)
    return distance


def _star(u: Plane, v: Plane) -> Plane:
    fifth, inner = 2 * math.pi / 5, 0.4
    angle = np.abs(np.mod(np.arctan2(v, u) + fifth / 2, fifth) - fifth / 2)
    radius = np.hypot(u, v)
    along, across = inner * math.cos(fifth / 2) - 1, inner * math.sin(fifth / 2)  # from a tip to the next notch
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

# --- fillings: below zero in the first colour, above in the second ---------------------------------------------------------

_FREQUENCY = 11.0  # radians: a pattern repeats every 0.57 of half the shape
FILLINGS: dict[str, Callable[[Plane, Plane], Plane]] = {
    "": lambda u, v: np.full_like(u, -1),
    "striped": lambda u, v: np.sin(_FREQUENCY * u),
    "checked": lambda u, v: np.sin(_FREQUENCY * u) * np.sin(_FREQUENCY * v),
    "halved": lambda u, v: u,
    "cored": lambda u, v: 0.4 - np.hypot(u, v),
}

_KINDS = len(SHAPES)
MOST_CLASSES = _KINDS * len(FILLINGS) * (_KINDS + 1) * (_KINDS + 1)


def _parts(label: int) -> tuple[int, int, int, int]:
    """Of a class: the shape, its filling, the shape inside and the one beside it (0 for none)."""
    label, shape = divmod(label, _KINDS)
    label, filling = divmod(label, len(FILLINGS))
    beside, inside = divmod(label, _KINDS + 1)
    return shape, filling, inside, beside


def class_name(label: int) -> str:
    """Such as `striped square with a star in it`."""
    shapes = list(SHAPES)
    shape, filling, inside, beside = _parts(label)
    name = f"{list(FILLINGS)[filling]} {shapes[shape]}".strip()
    return name + (f" around {shapes[inside - 1]}" if inside else "") + (f" beside {shapes[beside - 1]}" if beside else "")


# --- options ---------------------------------------------------------------------------------------------------------------


def open_synthetic(text: str, options: str, input: tuple[int, int, int], seed: int, classes: int | None) -> Data:
    """The data set that `options` ask for, such as `classes=10,size=64,train=2000`. Raises SpecError.

    `size` is in pixels, `64` or `48x64` (height x width).
    """
    values: dict[str, int] = {
        "classes": classes or 10,
        "channels": input[0],
        "height": input[1],
        "width": input[2],
        "seed": seed,
        **SPLITS,
    }
    limits = {
        "classes": (2, MOST_CLASSES),
        "channels": (1, 16),
        "height": (8, 4096),
        "width": (8, 4096),
        "seed": (0, 2**63 - 1),
    }
    known = ["classes", "size", "channels", "seed", *SPLITS]
    for option in filter(None, options.split(",")):
        key, _, value = (word.strip() for word in option.partition("="))
        if key not in known:
            raise refuse(
                "data-option", f"`synthetic` has no option `{printable(key)}`", suggestion(key, known, {"valid": "validation"})
            )
        numbers = value.split("x") if key == "size" else [value]
        if len(numbers) > 2 or not all(number.isascii() and number.isdigit() and len(number) < 20 for number in numbers):
            kind = "pixels, such as `64` or `48x64`" if key == "size" else "a whole number"
            raise refuse("data-option", f"`{key}` of `synthetic` is {kind}, and not `{printable(value)}`")
        values |= {"height": int(numbers[0]), "width": int(numbers[-1])} if key == "size" else {key: int(value)}
    for key, number in values.items():
        low, high = limits.get(key, (0, 10_000_000))
        if not low <= number <= high:
            raise refuse("data-option", f"`synthetic` takes {low} to {high} for `{key}`, and not {number}")
    if not values["train"]:
        raise refuse("no-images", "`synthetic` is asked for no images for training")
    shape = (values["height"], values["width"], values["channels"])
    train, validation, test = (
        _split(values["seed"], number, what, values[what], values["classes"], shape) for number, what in enumerate(SPLITS)
    )
    names = tuple(class_name(label) for label in range(values["classes"]))
    return Data("synthetic", text, names, train, validation, test, shape[2], (shape[0], shape[1]))


def _split(seed: int, number: int, what: str, count: int, classes: int, shape: tuple[int, int, int]) -> Split | None:
    labels = np.arange(count, dtype=np.int64) % classes
    if count * math.prod(shape) > HELD:
        return Split(labels, partial(_drawn, seed, number, classes, shape), lambda i: f"image {i} of {what}")
    pixels = np.empty((count, *shape), np.uint8)
    step = max(1, _AT_ONCE // (shape[0] * shape[1]))

    def fill(start: int) -> None:
        here = np.arange(start, min(start + step, count))
        pixels[here] = draw(seed, number, here, classes, shape)

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(fill, range(0, count, step)))
    return held(pixels, labels, what)


def _drawn(seed: int, number: int, classes: int, shape: tuple[int, int, int], i: int) -> Pixels:
    image: Pixels = draw(seed, number, np.array([i]), classes, shape)[0]
    return image


# --- drawing ---------------------------------------------------------------------------------------------------------------


def _mix(values: Lots) -> Lots:
    """The finishing step of splitmix64 (Steele et al. 2014): a good hash of 64 bits. Wraps around, as it should."""
    values = values + np.uint64(0x9E3779B97F4A7C15)
    values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return values ^ (values >> np.uint64(31))


def _lots(keys: Lots, count: int) -> Lots:
    """`(N,)` keys in, `(N, count)` hashes out."""
    return _mix(keys[:, None] + np.arange(1, count + 1, dtype=np.uint64) * np.uint64(0xD1342543DE82EF95))


def _keys(numbers: Iterable[int], images: NDArray[np.int64]) -> Lots:
    keys = np.zeros(len(images), np.uint64)
    for number in numbers:
        keys = _mix(keys ^ np.uint64(number))
    return _mix(keys ^ images.astype(np.uint64))


class _Draw:
    """The lots of some images, given out in order as numbers in 0..1."""

    def __init__(self, keys: Lots, count: int) -> None:
        self.left = (_lots(keys, count) >> np.uint64(40)).astype(np.float32) / np.float32(1 << 24)
        self.used = 0

    def __call__(self, low: float, high: float, count: int | None = None) -> Plane:
        """`(N, 1, 1)`, or `(N, count)`."""
        start = self.used
        self.used += count or 1
        found = self.left[:, start : self.used] * np.float32(high - low) + np.float32(low)
        return found if count else found[:, :, None]


def draw(seed: int, split: int, images: NDArray[np.int64], classes: int, shape: tuple[int, int, int]) -> Pixels:
    """The images of a split with these numbers, as `(N, H, W, C)` for `shape` (H, W, C)."""
    height, width, channels = shape
    count = len(images)
    keys = _keys((seed, split), images)
    lot = _Draw(keys, 64 + 4 * channels)
    half = min(height, width) / 2  # pixels in the unit of all lengths below
    y = ((np.arange(height, dtype=np.float32) + 0.5 - height / 2) / half)[None, :, None]
    x = ((np.arange(width, dtype=np.float32) + 0.5 - width / 2) / half)[None, None, :]
    ground, first, second, third = _colours(lot, count, channels)

    # The background: a slope, and one thin line that is part of no shape.
    angle, offset = lot(0, 2 * math.pi), lot(-0.8, 0.8)
    slope = lot(-0.12, 0.12) * x + lot(-0.12, 0.12) * y
    line = np.clip(0.5 - (np.abs(x * np.cos(angle) + y * np.sin(angle) - offset) * half - 0.6), 0, 1) * lot(-0.2, 0.2)
    image = ground[:, None, None, :] + (slope + line)[..., None]

    parts = np.array([_parts(int(i) % classes) for i in images])
    size = lot(0.5, 0.8)
    company = (parts[:, 3] > 0)[:, None, None]
    size = np.where(company, size * np.float32(0.75), size)
    away = np.float32(1) - size * np.float32(0.9)  # how far the middle may lie from the middle of the image
    side = lot(0, 2 * math.pi)
    middle_x = np.where(company, np.cos(side) * away, lot(-1, 1) * away)
    middle_y = np.where(company, np.sin(side) * away, lot(-1, 1) * away)
    _paint(image, x, y, (middle_x, middle_y, size, lot(0, 2 * math.pi)), half, (parts[:, 0], parts[:, 1]), (first, second))
    plain = np.zeros(count, np.int64)
    inner = (middle_x, middle_y, size * np.float32(0.45), lot(0, 2 * math.pi))
    _paint(image, x, y, inner, half, (parts[:, 2] - 1, plain), (third, third))
    other = (-np.cos(side) * np.float32(0.62), -np.sin(side) * np.float32(0.62), lot(0.3, 0.36), lot(0, 2 * math.pi))
    _paint(image, x, y, other, half, (parts[:, 3] - 1, plain), (first, first))

    # Noise of bytes: the difference of two even ones, up to a strength that is drawn too.
    strength = lot(0.02, 0.1)
    words = -(-height * width * channels // 8)
    noise = (
        _lots(_mix(keys), 2 * words).astype("<u8").view(np.uint8).reshape(count, 2, words * 8)[..., : height * width * channels]
    )
    image += ((noise[:, 0].astype(np.float32) - noise[:, 1]) / 255).reshape(count, height, width, channels) * strength[
        ..., None
    ]
    image *= 255
    image += 0.5
    np.clip(image, 0, 255, out=image)
    return image.astype(np.uint8)


def _colours(lot: _Draw, count: int, channels: int) -> tuple[Plane, Plane, Plane, Plane]:
    """Four colours `(N, C)`: the background, the first and second of the shape, and that of the one inside.

    Brightness tells the first from the background by 0.35 to 0.6, up or down evenly; the second lies on the far side or in
    between, and the last is near the background's.
    """
    contrast = lot(0.35, 0.6)[:, 0]
    up = np.where(lot(0, 1)[:, 0] < 0.5, np.float32(1), np.float32(-1))
    middle = lot(0.42, 0.58)[:, 0]
    base = middle - up * contrast / 2
    levels = (base, base + up * contrast, base + up * contrast * np.float32(0.35), base - up * np.float32(0.05))
    found = []
    for level in levels:
        tint = lot(-0.2, 0.2, channels)
        tint = tint - tint.mean(axis=1, keepdims=True) if channels > 1 else tint * np.float32(0)
        found.append(level + tint)
    ground, first, second, third = found
    return ground, first, second, third


def _paint(
    image: Plane,
    x: Plane,
    y: Plane,
    place: tuple[Plane, Plane, Plane, Plane],
    half: float,
    kinds: tuple[NDArray[np.int64], NDArray[np.int64]],
    colours: tuple[Plane, Plane],
) -> None:
    """Draw a shape of each image over it, with soft edges. `place` is the middle, size and angle; a kind below 0 is none."""
    shapes, fillings = (list(table.values()) for table in (SHAPES, FILLINGS))
    kind, filling = kinds
    for one, fill in {(int(a), int(b)) for a, b in zip(kind, filling, strict=True) if a >= 0}:
        chosen = np.flatnonzero((kind == one) & (filling == fill))
        middle_x, middle_y, size, angle = (values[chosen] for values in place)
        u = ((x - middle_x) * np.cos(angle) + (y - middle_y) * np.sin(angle)) / size
        v = ((y - middle_y) * np.cos(angle) - (x - middle_x) * np.sin(angle)) / size
        cover = np.clip(0.5 - shapes[one](u, v) * (size * half), 0, 1)[..., None]
        paint, other = (colour[chosen][:, None, None, :] for colour in colours)
        if fill:
            mix = np.clip(0.5 + fillings[fill](u, v) * (size * half) / (_FREQUENCY if fill < 3 else 1), 0, 1)[..., None]
            paint = paint + (other - paint) * mix
        here = image[chosen]
        image[chosen] = here + (paint - here) * cover
