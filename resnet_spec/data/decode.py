"""Decoding image files into bytes `(H, W, C)`: C is 1 for a gray image, 3 for any other.

Images are rotated by their EXIF orientation. Of an animation, the first frame is read, and of 16-bit values, the upper byte.
32-bit integers are read as bytes if none exceeds 255, else as 16-bit values. With levels, a linear map of gray values that are
wider than a byte replaces both, and fractions can be read. Transparent parts become white, as on a web page.
Only the formats of `_formats` are tried, so no file reaches a decoder that executes programs.

Pillow reads every format. Where simplejpeg is installed, it decodes JPEGs in half the time; both use libjpeg-turbo, so the
pixels are the same. Pillow reads what simplejpeg rejects, and its error messages are reported.
"""

from __future__ import annotations

import importlib
import math
import os
import struct
import threading
import warnings
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, TiffImagePlugin, UnidentifiedImageError, features

from resnet_spec._system.files import require_regular
from resnet_spec.data.dataset import BadImage, Pixels
from resnet_spec.diagnostics import printable

Levels = tuple[float, float]  # the values that become 0 and 255

SUFFIXES_1 = frozenset((".jpg", ".jpeg", ".png", ".bmp", ".webp", ".gif", ".tif", ".tiff", ".ppm", ".pgm"))  # of version 0.1.0
_SUFFIXES = SUFFIXES_1 | {".jfif", ".jpe", ".jif", ".pjpeg", ".pjp", ".dib", ".apng", ".pbm", ".pnm"}
_FORMATS = ("JPEG", "PNG", "BMP", "DIB", "WEBP", "GIF", "TIFF", "PPM")
_WHERE_READ = {"AVIF": (".avif",), "HEIF": (".heic", ".heif")}  # formats that only some installations of Pillow read
MOST_PIXELS = 178_956_970  # 512 MB as red, green and blue; Pillow's own limit for an error

_GRAY = ("1", "L", "LA", "La")
_ORIENTATION = 0x0112  # the EXIF tag
_BITS_PER_SAMPLE = 258  # a tag of TIFF
_TURN: dict[int, Callable[[Pixels], Pixels]] = {
    2: lambda pixels: pixels[:, ::-1],
    3: lambda pixels: pixels[::-1, ::-1],
    4: lambda pixels: pixels[::-1],
    5: lambda pixels: pixels.swapaxes(0, 1),
    6: lambda pixels: pixels[::-1].swapaxes(0, 1),
    7: lambda pixels: pixels[::-1, ::-1].swapaxes(0, 1),
    8: lambda pixels: pixels[:, ::-1].swapaxes(0, 1),
}

# The errors that Pillow's decoders raise for damaged files.
_DAMAGE = (
    *(OSError, ValueError, SyntaxError, EOFError, LookupError, TypeError, AttributeError, ArithmeticError, RuntimeError),
    *(struct.error, zlib.error, MemoryError, Image.DecompressionBombError),
)


class _NotSupportedError(Exception):
    """An intact image whose pixels cannot be converted to bytes."""


def image_suffixes() -> frozenset[str]:
    """The suffixes of files that are read, in lower case. Some depend on how Pillow was installed."""
    return _SUFFIXES.union(*(suffixes for form, suffixes in _WHERE_READ.items() if _reads(form)))


def read_image(path: Path, name: str | None = None, levels: Levels | None = None) -> Pixels:
    """Decode a file into pixels `(H, W, 1)` or `(H, W, 3)`. Raises BadImage with `name`; prints no warning.

    `levels` are the values that become 0 and 255, of gray images whose values are wider than a byte; others do not need them.
    """
    with _opened(path, name) as image:
        pixels = _decode_fast(image, path)
        if pixels is None:
            image.load()
            pixels = _pixels(image, levels)
        turn = _TURN.get(_orientation(image))
        return pixels if turn is None else np.ascontiguousarray(turn(pixels))


@dataclass(frozen=True, slots=True)
class Look:
    """What a file holds.

    Attributes:
        gray: whether it is read as one channel.
        levels: its least and greatest value, if they are stored in more than a byte.
        as_bytes: whether these values are read as bytes nevertheless, since they are 32-bit integers up to 255.
        fractions: whether they are fractions.
    """

    gray: bool
    levels: Levels | None = None
    as_bytes: bool = False
    fractions: bool = False


def look_at(path: Path, name: str | None = None) -> Look:
    """Look at a file; the values are decoded only if they are wider than a byte. Raises BadImage as `read_image` does."""
    with _opened(path, name) as image:
        if not image.mode.startswith(("I", "F")):
            return Look(_is_gray(image))
        image.load()
        levels = _finite_range(np.asarray(image))
        fractions = image.mode == "F"
        return Look(True, levels, not fractions and _bits(image) > 16 and levels[0] >= 0 and levels[1] <= 0xFF, fractions)


@contextmanager
def _opened(path: Path, name: str | None) -> Iterator[Image.Image]:
    """Open a file with Pillow; errors, also those inside the `with`, become BadImage."""
    try:
        with _no_warnings(), Image.open(require_regular(path), formats=_formats()) as image:
            if image.width * image.height > MOST_PIXELS:
                raise Image.DecompressionBombError
            yield image
            return
    except _NotSupportedError as error:
        why = str(error)
    except UnidentifiedImageError:
        why = "the file is empty" if _is_empty(path) else "not an image, or in a format that is not supported"
    except Image.DecompressionBombError:
        why = f"more than {MOST_PIXELS} pixels"
    except OSError as error:
        why = error.strerror or str(error)
    except _DAMAGE as error:
        why = f"damaged ({str(error) or type(error).__name__})"
    raise BadImage(str(path) if name is None else name, printable(why))


def to_channels(image: Pixels, channels: int) -> Pixels:
    """Convert `(H, W, C)` to 1 or 3 channels: gray is repeated, color becomes the luma of ITU-R 601-2, rounded as in Pillow.

    Raises ValueError for any other conversion; `refuse_channels` checks that before an image is read.
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
    raise ValueError(f"an image of {has} channels cannot be converted to {channels}")


def _simplejpeg() -> Any:
    try:
        return importlib.import_module("simplejpeg")
    except ImportError:
        return None


_SIMPLEJPEG = _simplejpeg()


def _decode_fast(image: Image.Image, path: Path) -> Pixels | None:
    """Decode an opened JPEG with the faster decoder; None if it is not installed, or rejects the file."""
    if _SIMPLEJPEG is None or image.format != "JPEG" or image.mode not in ("RGB", "L"):
        return None
    try:
        pixels: Pixels = _SIMPLEJPEG.decode_jpeg(path.read_bytes(), colorspace="GRAY" if image.mode == "L" else "RGB")
    except ValueError:  # it also rejects unusual files that are not damaged
        return None
    return pixels


def _orientation(image: Image.Image) -> int:
    try:
        found = image.getexif().get(_ORIENTATION, 1)
    except _DAMAGE:  # the pixels may still be read
        return 1
    return found if isinstance(found, int) else 1


def _is_gray(image: Image.Image) -> bool:
    """Whether an image is read as one channel."""
    return image.mode in _GRAY and not image.has_transparency_data


def _pixels(image: Image.Image, levels: Levels | None = None) -> Pixels:
    if image.mode.startswith(("I", "F")) and levels is not None:
        return _map_levels(np.asarray(image), levels)
    if image.mode.startswith("I"):
        return _from_integers(np.asarray(image), _bits(image))
    if image.mode == "F":
        raise _NotSupportedError("its pixels are fractions, whose range is unknown: set it with `levels` in the recipe")
    gray = image.mode in _GRAY
    if image.mode == "La":
        image = image.convert("LA")
    if image.has_transparency_data:
        over = image.convert("RGBA")
        image = Image.new("RGBA", over.size, (255, 255, 255, 255))
        image.alpha_composite(over)
        image = image.convert("RGB")
    wanted = "L" if gray else "RGB"
    pixels: Pixels = np.array(image if image.mode == wanted else image.convert(wanted))
    return pixels[..., None] if gray else pixels


def _bits(image: Image.Image) -> int:
    """The bits of each value in the file of an image of integers. Pillow reads both 16 and 32 bits as mode `I`."""
    if image.format == "TIFF" and isinstance(image, TiffImagePlugin.TiffImageFile):
        found = image.tag_v2.get(_BITS_PER_SAMPLE, (16,))
        return int(found[0] if isinstance(found, tuple) else found)
    return 16


def _from_integers(values: np.ndarray[tuple[int, ...], np.dtype[np.integer]], bits: int) -> Pixels:
    """Convert gray values of 16 or 32 bits to bytes: the upper one of 16 bits, as Pillow reads 16-bit colors."""
    least, most = (int(values.min()), int(values.max())) if values.size else (0, 0)
    if least < 0:
        raise _NotSupportedError("negative pixels are not supported")
    if most > 0xFFFF:
        raise _NotSupportedError("pixels of more than 16 bits are not supported")
    if bits <= 16 or most > 0xFF:
        values = values >> 8
    return values.astype(np.uint8)[..., None]


def _map_levels(values: NDArray[Any], levels: Levels) -> Pixels:
    """Map gray values so that the first level becomes 0 and the second 255, rounded; values beyond them are clipped."""
    _finite_range(values)
    least, most = levels
    shares = (values.astype(np.float64) - least) / (most - least)
    return np.rint(np.clip(shares, 0, 1) * 255).astype(np.uint8)[..., None]


def _finite_range(values: NDArray[Any]) -> Levels:
    """The least and the greatest value. Raises _NotSupportedError where one is not a finite number."""
    least, most = float(values.min()), float(values.max())
    if not (math.isfinite(least) and math.isfinite(most)):
        raise _NotSupportedError("its pixels are fractions, and some are not finite numbers")
    return least, most


def _reads(form: str) -> bool:
    """Whether this installation of Pillow reads a format, of itself or with a plugin that was registered."""
    return form in Image.OPEN or (form == "AVIF" and bool(features.check("avif")))


def _formats() -> tuple[str, ...]:
    """The formats that are tried, as Pillow calls them."""
    return (*_FORMATS, *(form for form in _WHERE_READ if _reads(form)))


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
    """Suppress Pillow's warnings. With `catch_warnings` alone, threads would restore each other's filters."""
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


PillowImage = Image.Image


def is_pillow_image(value: object) -> bool:
    """Whether a value is an image of Pillow."""
    return isinstance(value, Image.Image)


def read_pillow_image(image: object, name: str) -> Pixels:
    """The pixels `(H, W, 1)` or `(H, W, 3)` of an image of Pillow, as those of a file. Raises BadImage with `name`."""
    assert isinstance(image, Image.Image)
    try:
        with _no_warnings():
            image.load()
            pixels = _pixels(image)
            turn = _TURN.get(_orientation(image))
    except _NotSupportedError as error:
        why = str(error)
    except _DAMAGE as error:
        why = f"damaged ({str(error) or type(error).__name__})"
    else:
        if not pixels.size:
            raise BadImage(name, "it has no pixels")
        return pixels if turn is None else np.ascontiguousarray(turn(pixels))
    raise BadImage(name, printable(why))
