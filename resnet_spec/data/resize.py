"""Resizes and crops images of bytes as torchvision's transforms do, antialiased; within 1 of Pillow's result."""

from __future__ import annotations

from typing import Literal, get_args

import numpy as np

from resnet_spec.data.dataset import Pixels

Mode = Literal["bilinear", "bicubic", "nearest"]
MODES: tuple[Mode, ...] = get_args(Mode)


def resized_size(height: int, width: int, size: int | tuple[int, int]) -> tuple[int, int]:
    """The (height, width) of the result of `resize`. An int `size` is the shorter side; the longer one is rounded down."""
    if not isinstance(size, int):
        return size
    short, long = sorted((height, width))
    other = max(1, int(size * long / short))
    return (other, size) if height > width else (size, other)


def resize(image: Pixels, size: int | tuple[int, int], mode: Mode = "bilinear") -> Pixels:
    """Resize `(H, W, C)` to `(h, w, C)`. An int `size` is the shorter side and keeps the aspect ratio; a tuple is (h, w)."""
    height, width = image.shape[:2]
    target = resized_size(height, width, size)
    if target == (height, width):
        return image
    if mode == "nearest":
        rows, columns = (
            (2 * np.arange(wanted) + 1) * there // (2 * wanted) for there, wanted in zip((height, width), target, strict=True)
        )
        nearest: Pixels = image[rows[:, None], columns]
        return nearest
    import torch

    if not image.flags.writeable:
        image = image.copy()  # torch warns about read-only arrays
    batch = torch.from_numpy(np.ascontiguousarray(image)).permute(2, 0, 1).unsqueeze(0)  # channels_last, nothing copied
    out = torch.nn.functional.interpolate(batch, target, mode=mode, antialias=True, align_corners=False)
    result: Pixels = out[0].permute(1, 2, 0).contiguous().numpy()
    return result


def center_crop(image: Pixels, size: tuple[int, int]) -> Pixels:
    """The center `(h, w, C)` of an image; a smaller image is padded with zeros."""
    height, width = size
    missing = [max(0, wanted - there) for wanted, there in zip(size, image.shape[:2], strict=True)]
    if any(missing):
        image = np.pad(image, (*((less // 2, less - less // 2) for less in missing), (0, 0)))
    top, left = (round((there - wanted) / 2) for there, wanted in zip(image.shape[:2], size, strict=True))
    return image[top : top + height, left : left + width]
