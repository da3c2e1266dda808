"""An image file in, its bytes as `(H, W, C)` out: C is 1 where the file is grey, 3 otherwise.

Turned as its EXIF orientation says. Of an animation the first frame. Transparent parts show white, as a page would behind
them. Of 16-bit values the upper byte. Only the formats of FORMATS are tried, so no file reaches a decoder that runs programs.
"""

from __future__ import annotations

import os
import struct
import threading
import warnings
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from PIL import Image, UnidentifiedImageError

from resnet_spec.diagnostics import printable
from resnet_spec.training.data.dataset import BadImage, Pixels

SUFFIXES = frozenset((".jpg", ".jpeg", ".png", ".bmp", ".webp", ".gif", ".tif", ".tiff", ".ppm", ".pgm"))
FORMATS = ("JPEG", "PNG", "BMP", "DIB", "WEBP", "GIF", "TIFF", "PPM")
MOST_PIXELS = 178_956_970  # 512 MB as red, green and blue; Pillow's own limit for an error

_GREY = ("1", "L", "LA", "La")
_ORIENTATION = 0x0112  # the EXIF tag
_TURN = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}

# What Pillow's decoders raise on files that are damaged somewhere.
_DAMAGE = (
    *(OSError, ValueError, SyntaxError, EOFError, LookupError, TypeError, AttributeError, ArithmeticError, RuntimeError),
    *(struct.error, zlib.error, MemoryError, Image.DecompressionBombError),
)


def read_image(path: Path, name: str | None = None) -> Pixels:
    """The pixels `(H, W, 1)` or `(H, W, 3)` of a file. Raises BadImage, which calls it `name`; prints no warning."""
    try:
        with _no_warnings(), Image.open(path, formats=FORMATS) as image:
            if image.width * image.height > MOST_PIXELS:
                raise Image.DecompressionBombError
            image.load()
            return _pixels(_upright(image))
    except UnidentifiedImageError:
        why = "the file is empty" if _is_empty(path) else "not an image, or of a format that is not read"
    except Image.DecompressionBombError:
        why = f"more than {MOST_PIXELS} pixels"
    except OSError as error:
        why = error.strerror or str(error)
    except _DAMAGE as error:
        why = f"damaged ({str(error) or type(error).__name__})"
    raise BadImage(str(path) if name is None else name, printable(why))


def to_channels(image: Pixels, channels: int) -> Pixels:
    """`image` with 1 or 3 channels: grey is repeated, colour becomes the luma of ITU-R 601-2, rounded as Pillow does.

    Raises ValueError for any other number that `image` does not have already.
    """
    has = image.shape[2]
    if has == channels:
        return image
    if (has, channels) == (1, 3):
        return np.repeat(image, 3, axis=2)
    if (has, channels) == (3, 1):
        wide = image.astype(np.uint32)
        luma = (wide[..., 0] * 19595 + wide[..., 1] * 38470 + wide[..., 2] * 7471 + 0x8000) >> 16
        return luma.astype(np.uint8)[..., None]
    raise ValueError(f"an image of {has} channels cannot be shown to a network that takes {channels}")


def _upright(image: Image.Image) -> Image.Image:
    try:
        turn = _TURN.get(image.getexif().get(_ORIENTATION, 1))
    except _DAMAGE:  # the picture is there all the same
        turn = None
    return image if turn is None else image.transpose(turn)


def _pixels(image: Image.Image) -> Pixels:
    if image.mode.startswith("I"):
        return _high_bytes(np.asarray(image))
    if image.mode == "F":
        raise ValueError("its pixels are fractions, whose range nobody knows")
    grey = image.mode in _GREY
    if image.has_transparency_data:
        over = image.convert("RGBA")
        image = Image.new("RGBA", over.size, (255, 255, 255, 255))
        image.alpha_composite(over)
        image = image.convert("RGB")
    wanted = "L" if grey else "RGB"
    pixels: Pixels = np.array(image if image.mode == wanted else image.convert(wanted))
    return pixels[..., None] if grey else pixels


def _high_bytes(values: np.ndarray[tuple[int, ...], np.dtype[np.integer]]) -> Pixels:
    """Of 16-bit values the upper bytes, as Pillow takes them of 16-bit colours."""
    if values.size and (values.min() < 0 or values.max() > 0xFFFF):
        raise ValueError("its pixels have more than 16 bits")
    return (values >> 8).astype(np.uint8)[..., None]


def _is_empty(path: Path) -> bool:
    try:
        return os.stat(path).st_size == 0
    except OSError:
        return False


_lock = threading.Lock()
_quiet: list[warnings.catch_warnings[None]] = []  # one, while any thread reads
_readers = 0


@contextmanager
def _no_warnings() -> Iterator[None]:
    """No warnings of Pillow's. `catch_warnings` alone would leave threads restoring each other's filters."""
    global _readers
    with _lock:
        if not _readers:
            _quiet.append(warnings.catch_warnings())
            _quiet[0].__enter__()
            warnings.filterwarnings("ignore", module=r"PIL\.")
        _readers += 1
    try:
        yield
    finally:
        with _lock:
            _readers -= 1
            if not _readers:
                _quiet.pop().__exit__(None, None, None)
