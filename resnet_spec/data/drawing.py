"""Draws synthetic images.

Position, size, rotation and colors are random, and shape and background are equally often the brighter one. So no single
pixel reveals the class: a linear classifier is hardly better than chance, while a small convolutional network learns the
classes within a few epochs. Image `i` of a split is a function of the seed, the split and `i`: random numbers are hashes of
these, so a larger split begins with the same images.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from resnet_spec.data.dataset import Pixels
from resnet_spec.data.shapes import FILLINGS, FREQUENCY, SHAPES, Plane, parts_of

Hashes = NDArray[np.uint64]


def _mix(values: Hashes) -> Hashes:
    """The finishing step of splitmix64 (Steele et al. 2014): a good hash of 64 bits. Overflow is intended."""
    values = values + np.uint64(0x9E3779B97F4A7C15)
    values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return values ^ (values >> np.uint64(31))


def _hashes(keys: Hashes, count: int) -> Hashes:
    """`count` hashes of each key: `(N, count)` for keys `(N,)`."""
    return _mix(keys[:, None] + np.arange(1, count + 1, dtype=np.uint64) * np.uint64(0xD1342543DE82EF95))


def _keys(numbers: Iterable[int], images: NDArray[np.int64]) -> Hashes:
    """A key for each image `(N,)`, which depends on all `numbers` and on the image's own."""
    keys = np.zeros(len(images), np.uint64)
    for number in numbers:
        keys = _mix(keys ^ np.uint64(number))
    return _mix(keys ^ images.astype(np.uint64))


class _Random:
    """Random numbers for some images, in order; those of an image are hashes of its key."""

    def __init__(self, keys: Hashes, count: int) -> None:
        self.numbers = (_hashes(keys, count) >> np.uint64(40)).astype(np.float32) / np.float32(1 << 24)
        self.used = 0

    def __call__(self, low: float, high: float, count: int | None = None) -> Plane:
        """The next number for each image, `(N, 1, 1)`, or the next `count` ones, `(N, count)`."""
        start = self.used
        self.used += count or 1
        numbers = self.numbers[:, start : self.used] * np.float32(high - low) + np.float32(low)
        return numbers if count else numbers[:, :, None]


@dataclass(frozen=True, slots=True)
class _Canvas:
    """The images that are drawn on, `(N, H, W, C)`, and the coordinates of their pixels.

    The unit of all lengths is `half`, half of the shorter side in pixels. `y` is `(1, H, 1)`, `x` is `(1, 1, W)`.
    """

    image: Plane
    y: Plane
    x: Plane
    half: float


@dataclass(frozen=True, slots=True)
class _Pose:
    """Where a shape is in each image: its center, its size and its rotation in radians, each `(N, 1, 1)`."""

    x: Plane
    y: Plane
    size: Plane
    angle: Plane


def draw_images(seed: int, split: int, images: NDArray[np.int64], classes: int, shape: tuple[int, int, int]) -> Pixels:
    """Draw some images of a split.

    Args:
        seed: the seed of the data set.
        split: the number of the split.
        images: the numbers of the images, `(N,)`.
        classes: the number of classes; the class of image `i` is `i % classes`.
        shape: the size (H, W, C) of an image.

    Returns:
        `(N, H, W, C)`.
    """
    height, width, channels = shape
    keys = _keys((seed, split), images)
    random = _Random(keys, 64 + 4 * channels)
    half = min(height, width) / 2
    y = ((np.arange(height, dtype=np.float32) + 0.5 - height / 2) / half)[None, :, None]
    x = ((np.arange(width, dtype=np.float32) + 0.5 - width / 2) / half)[None, None, :]
    ground, first, second, third = _choose_colors(random, channels)
    canvas = _Canvas(_background(random, ground, x, y, half), y, x, half)

    shapes, fillings, inside, beside = np.array([parts_of(int(i) % classes) for i in images]).T
    size = random(0.5, 0.8)
    has_other = (beside > 0)[:, None, None]
    size = np.where(has_other, size * np.float32(0.75), size)
    reach = np.float32(1) - size * np.float32(0.9)  # the largest distance of the shape's center from that of the image
    side = random(0, 2 * math.pi)
    center_x = np.where(has_other, np.cos(side) * reach, random(-1, 1) * reach)
    center_y = np.where(has_other, np.sin(side) * reach, random(-1, 1) * reach)
    plain = np.zeros_like(shapes)
    pose = _Pose(center_x, center_y, size, random(0, 2 * math.pi))
    _paint(canvas, pose, shapes, fillings, (first, second))
    pose = _Pose(center_x, center_y, size * np.float32(0.45), random(0, 2 * math.pi))
    _paint(canvas, pose, inside - 1, plain, (third, third))
    far = np.float32(0.62)
    pose = _Pose(-np.cos(side) * far, -np.sin(side) * far, random(0.3, 0.36), random(0, 2 * math.pi))
    _paint(canvas, pose, beside - 1, plain, (first, first))

    image = canvas.image
    image += _noise(keys, shape) * random(0.02, 0.1)[..., None]
    image *= 255
    image += 0.5
    np.clip(image, 0, 255, out=image)
    return image.astype(np.uint8)


def _background(random: _Random, color: Plane, x: Plane, y: Plane, half: float) -> Plane:
    """A gradient with a thin line as a distractor: `(N, H, W, C)`."""
    angle, offset = random(0, 2 * math.pi), random(-0.8, 0.8)
    gradient = random(-0.12, 0.12) * x + random(-0.12, 0.12) * y
    distance = np.abs(x * np.cos(angle) + y * np.sin(angle) - offset) * half
    line = np.clip(0.5 - (distance - 0.6), 0, 1) * random(-0.2, 0.2)
    background: Plane = color[:, None, None, :] + (gradient + line)[..., None]
    return background


def _noise(keys: Hashes, shape: tuple[int, int, int]) -> Plane:
    """For each pixel the difference of two random bytes, over 255: `(N, H, W, C)`."""
    size = math.prod(shape)
    words = -(-size // 8)
    data = _hashes(_mix(keys), 2 * words).astype("<u8").view(np.uint8).reshape(len(keys), 2, words * 8)[..., :size]
    noise: Plane = ((data[:, 0].astype(np.float32) - data[:, 1]) / 255).reshape(len(keys), *shape)
    return noise


def _choose_colors(random: _Random, channels: int) -> tuple[Plane, Plane, Plane, Plane]:
    """Four colors `(N, C)`: of the background, the first and second of the shape, and that of the shape inside it.

    The first is brighter or darker than the background by 0.35 to 0.6, equally often; the second is between the two, and the
    last is near the background.
    """
    contrast = random(0.35, 0.6)[:, 0]
    up = np.where(random(0, 1)[:, 0] < 0.5, np.float32(1), np.float32(-1))
    middle = random(0.42, 0.58)[:, 0]
    base = middle - up * contrast / 2
    levels = (base, base + up * contrast, base + up * contrast * np.float32(0.35), base - up * np.float32(0.05))
    colors = []
    for level in levels:
        tint = random(-0.2, 0.2, channels)
        tint = tint - tint.mean(axis=1, keepdims=True) if channels > 1 else tint * np.float32(0)
        colors.append(level + tint)
    ground, first, second, third = colors
    return ground, first, second, third


def _paint(
    canvas: _Canvas, pose: _Pose, shapes: NDArray[np.int64], fillings: NDArray[np.int64], colors: tuple[Plane, Plane]
) -> None:
    """Draw a shape with soft edges on each image. `shapes` and `fillings` are numbers `(N,)`; a negative shape means none."""
    shape_functions, filling_functions = list(SHAPES.values()), list(FILLINGS.values())
    for shape, filling in {(int(a), int(b)) for a, b in zip(shapes, fillings, strict=True) if a >= 0}:
        chosen = np.flatnonzero((shapes == shape) & (fillings == filling))
        size, angle = pose.size[chosen], pose.angle[chosen]
        x, y = canvas.x - pose.x[chosen], canvas.y - pose.y[chosen]
        u = (x * np.cos(angle) + y * np.sin(angle)) / size
        v = (y * np.cos(angle) - x * np.sin(angle)) / size
        pixels = size * canvas.half  # in a unit of u and v
        cover = np.clip(0.5 - shape_functions[shape](u, v) * pixels, 0, 1)[..., None]
        color, other = (each[chosen][:, None, None, :] for each in colors)
        if filling:
            scale = FREQUENCY if filling < 3 else 1
            mix = np.clip(0.5 + filling_functions[filling](u, v) * pixels / scale, 0, 1)[..., None]
            color = color + (other - color) * mix
        below = canvas.image[chosen]
        canvas.image[chosen] = below + (color - below) * cover
