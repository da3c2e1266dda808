"""Pictures that are made of images: enlarged, and encoded as files."""

from __future__ import annotations

import io

import numpy as np
from PIL import Image

from resnet_spec.data.dataset import Pixels


def enlarge(pixels: Pixels, least: int) -> Pixels:
    """An image `(H, W, 1)` or `(H, W, 3)` in color, `(H, W, 3)`, enlarged so that its shorter side has `least` pixels."""
    color = np.repeat(pixels, 3, axis=2) if pixels.shape[2] == 1 else pixels
    height, width = color.shape[:2]
    factor = least / min(height, width)
    if factor <= 1:
        return color
    size = (round(width * factor), round(height * factor))
    return np.array(Image.fromarray(color).resize(size, Image.Resampling.BICUBIC))


def encode_png(pixels: Pixels) -> bytes:
    """Encode an image `(H, W, 3)` as PNG."""
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return file.getvalue()
