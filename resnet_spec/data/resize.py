"""Images of bytes in other sizes, as torchvision's transforms give them; antialiased, and within one grey level of Pillow's."""

from __future__ import annotations

from typing import Literal, get_args

import numpy as np
import torch

from resnet_spec.data.dataset import Pixels

Mode = Literal["bilinear", "bicubic", "nearest"]
MODES: tuple[Mode, ...] = get_args(Mode)


def resized(height: int, width: int, size: int | tuple[int, int]) -> tuple[int, int]:
    """The (height, width) that `resize` gives: an int is the shorter side, and the longer one is rounded down."""
    if not isinstance(size, int):
        return size
    short, long = sorted((height, width))
    other = max(1, int(size * long / short))
    return (other, size) if height > width else (size, other)


def resize(image: Pixels, size: int | tuple[int, int], mode: Mode = "bilinear") -> Pixels:
    """`(H, W, C)` in, `(h, w, C)` out. An int keeps the aspect and is the shorter side, a tuple is (h, w)."""
    height, width = image.shape[:2]
    target = resized(height, width, size)
    if target == (height, width):
        return image
    if mode == "nearest":
        rows, columns = (
            (2 * np.arange(wanted) + 1) * there // (2 * wanted) for there, wanted in zip((height, width), target, strict=True)
        )
        nearest: Pixels = image[rows[:, None], columns]
        return nearest
    if not image.flags.writeable:
        image = image.copy()  # torch warns of arrays that it could write to
    batch = torch.from_numpy(np.ascontiguousarray(image)).permute(2, 0, 1).unsqueeze(0)  # channels_last, nothing copied
    out = torch.nn.functional.interpolate(batch, target, mode=mode, antialias=True, align_corners=False)
    result: Pixels = out[0].permute(1, 2, 0).contiguous().numpy()
    return result


def centre_crop(image: Pixels, size: tuple[int, int]) -> Pixels:
    """The middle `(h, w, C)` of an image; where it is smaller, zeros stand around it."""
    height, width = size
    missing = [max(0, wanted - there) for wanted, there in zip(size, image.shape[:2], strict=True)]
    if any(missing):
        image = np.pad(image, (*((less // 2, less - less // 2) for less in missing), (0, 0)))
    top, left = (round((there - wanted) / 2) for there, wanted in zip(image.shape[:2], size, strict=True))
    return image[top : top + height, left : left + width]
