"""Small pictures of images, for a report."""

from __future__ import annotations

import io
from dataclasses import dataclass

from PIL import Image

from resnet_spec.data.dataset import Pixels

SIDE = 144  # pixels of the longer side: they are shown at half of it on screens of high density
_SMALL = 64  # pixels up to which nothing may be lost


@dataclass(frozen=True, slots=True)
class Thumbnail:
    """An encoded picture. `suffix` is that of a file of its format; `is_small`: it is enlarged where it is shown."""

    data: bytes
    suffix: str
    is_small: bool

    @property
    def media_type(self) -> str:
        return "image/png" if self.suffix == ".png" else "image/jpeg"


def make_thumbnail(pixels: Pixels) -> Thumbnail | None:
    """Encode pixels `(H, W, C)` as a small picture; None if they have neither 1 nor 3 channels, or there are none."""
    height, width, channels = pixels.shape
    if channels not in (1, 3) or not pixels.size:
        return None
    image = Image.fromarray(pixels[..., 0] if channels == 1 else pixels)
    image.thumbnail((SIDE, SIDE), Image.Resampling.BICUBIC, reducing_gap=2.0)
    is_small = max(height, width) <= _SMALL
    file = io.BytesIO()
    if is_small:
        image.save(file, "PNG", optimize=True)
    else:
        image.save(file, "JPEG", quality=80, optimize=True)
    return Thumbnail(file.getvalue(), ".png" if is_small else ".jpg", is_small)
