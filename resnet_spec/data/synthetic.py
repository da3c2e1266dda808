"""Synthetic images: the data set that needs no files and can have any size.

An image shows a shape, which determines its class. `shapes` describes the classes, `drawing` the pixels.
"""

from __future__ import annotations

import math
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import numpy as np

from resnet_spec.data.dataset import Data, Pixels, Split, make_split
from resnet_spec.data.drawing import draw_images
from resnet_spec.data.refusal import refuse
from resnet_spec.data.shapes import MOST_CLASSES, class_name
from resnet_spec.diagnostics import printable, suggestion

SPLITS = {"train": 4000, "validation": 500, "test": 1000}  # the default numbers of images
HELD = 1 << 29  # bytes; images of a larger split are generated when they are read
_AT_ONCE = 1 << 19  # pixels drawn together
_LIMITS = {"classes": (2, MOST_CLASSES), "channels": (1, 16), "height": (8, 4096), "width": (8, 4096), "seed": (0, 2**63 - 1)}
_MOST_IMAGES = 10_000_000
_OPTIONS = ("classes", "size", "channels", "seed", *SPLITS)


def open_synthetic(text: str, options: str, input: tuple[int, int, int], seed: int, classes: int | None) -> Data:
    """Open the data set that `options` describe, such as `classes=10,size=64,train=2000`. Raises what `open_data` raises.

    `size` is in pixels, `64` or `48x64` (height x width). `input`, `seed` and `classes` are the defaults of the options.
    """
    channels, height, width = input
    values = {"classes": classes or 10, "channels": channels, "height": height, "width": width, "seed": seed, **SPLITS}
    for option in filter(None, options.split(",")):
        values |= _read_option(option)
    for key, number in values.items():
        low, high = _LIMITS.get(key, (0, _MOST_IMAGES))
        if not low <= number <= high:
            raise refuse("data-option", f"`{key}` of `synthetic` is {number}, but must be {low} to {high}")
    if not values["train"]:
        raise refuse("no-images", "`synthetic` needs at least one training image")
    shape = (values["height"], values["width"], values["channels"])
    train, validation, test = (
        _draw_split(values["seed"], number, what, values[what], values["classes"], shape) for number, what in enumerate(SPLITS)
    )
    names = tuple(class_name(label) for label in range(values["classes"]))
    return Data("synthetic", text, names, train, validation, test, shape[2], (shape[0], shape[1]))


def _read_option(option: str) -> dict[str, int]:
    """Read an option such as `size=48x64`: the values that it sets."""
    key, _, value = (part.strip() for part in option.partition("="))
    if key not in _OPTIONS:
        help = suggestion(key, _OPTIONS, {"valid": "validation"})
        raise refuse("data-option", f"`synthetic` has no option `{printable(key)}`", help)
    numbers = value.split("x") if key == "size" else [value]
    if len(numbers) > 2 or not all(number.isascii() and number.isdigit() and len(number) < 20 for number in numbers):
        accepted = "a number of pixels, such as `64` or `48x64`" if key == "size" else "an integer"
        raise refuse("data-option", f"`{key}` of `synthetic` takes {accepted}, not `{printable(value)}`")
    if key == "size":
        return {"height": int(numbers[0]), "width": int(numbers[-1])}
    return {key: int(value)}


def _draw_split(seed: int, number: int, what: str, count: int, classes: int, shape: tuple[int, int, int]) -> Split | None:
    """Draw a split of `count` images of `shape` (H, W, C), in memory unless it is too large."""
    labels = np.arange(count, dtype=np.int64) % classes
    if count * math.prod(shape) > HELD:
        return Split(labels, partial(_draw_one, seed, number, classes, shape), lambda i: f"image {i} of {what}")
    pixels = np.empty((count, *shape), np.uint8)
    step = max(1, _AT_ONCE // (shape[0] * shape[1]))

    def fill(start: int) -> None:
        indices = np.arange(start, min(start + step, count))
        pixels[indices] = draw_images(seed, number, indices, classes, shape)

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(fill, range(0, count, step)))
    return make_split(pixels, labels, what)


def _draw_one(seed: int, number: int, classes: int, shape: tuple[int, int, int], i: int) -> Pixels:
    image: Pixels = draw_images(seed, number, np.array([i]), classes, shape)[0]
    return image
