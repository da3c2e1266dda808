"""The images that are to be predicted: files, images of Pillow, and arrays."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from resnet_spec.data.dataset import Pixels
from resnet_spec.data.decode import PillowImage, is_pillow_image, read_pillow_image
from resnet_spec.diagnostics.arguments import quote, wrong_argument

ImageLike: TypeAlias = str | Path | PillowImage | NDArray[np.uint8]
MOST_CHANNELS = 16  # of an array; more are usually its height or width, before the channels
_TAKES = "a path, an image of Pillow, or an array of uint8, (H, W) or (H, W, C)"


@dataclass(frozen=True, slots=True)
class GivenImage:
    """An image to predict.

    Attributes:
        name: its path, or `image 3` for the image at position 3 that has none.
        short: its path below the folder that was given, else its name: where an explanation of it is written.
        read: returns its pixels `(H, W, C)`; raises BadImage.
        channels: those of an array; None for files and images of Pillow, which have 1 or 3.
    """

    name: str
    short: PurePath
    read: Callable[[], Pixels]
    channels: int | None = None


def split_images(images: object) -> list[str | Path | GivenImage]:
    """One or several images as a list: paths as they are, what is in memory as GivenImages. Raises ArgumentError."""
    if isinstance(images, str | Path) or _is_in_memory(images):
        return [_one(0, images)]
    if isinstance(images, bytes) or not isinstance(images, Iterable):
        raise wrong_argument(f"`images` takes {_TAKES}, or several of them, not {quote(images)}")
    found = [_one(number, each) for number, each in enumerate(images)]
    if not found:
        raise wrong_argument("`images` is empty", "pass a file, a folder, or several of them")
    return found


def paths_in(images: object) -> Iterator[Path]:
    """The paths among the images that were given, as far as that is known without consuming an iterator."""
    for each in images if isinstance(images, list | tuple) else (images,):
        if isinstance(each, str | Path):
            yield Path(each)


def _is_in_memory(value: object) -> bool:
    """Whether a value is one image and not several, though it may be iterable."""
    return isinstance(value, np.ndarray) or is_pillow_image(value) or _is_tensor(value)


def _is_tensor(value: object) -> bool:
    return type(value).__module__.partition(".")[0] == "torch" and hasattr(value, "permute")


def _one(number: int, value: object) -> str | Path | GivenImage:
    name = f"image {number}"
    if isinstance(value, str | Path):
        return value
    if is_pillow_image(value):
        file = getattr(value, "filename", "")
        shown = os.fsdecode(file) if isinstance(file, str | bytes | os.PathLike) and file else name
        return GivenImage(shown, PurePath(PurePath(shown).name), lambda: read_pillow_image(value, shown))
    if isinstance(value, np.ndarray):
        pixels = _check_array(number, value)
        return GivenImage(name, PurePath(name), lambda: pixels, pixels.shape[2])
    if _is_tensor(value):
        help = "convert it to bytes that are not normalized: `tensor.permute(1, 2, 0).cpu().numpy()`"
        raise wrong_argument(f"`images` takes {_TAKES}; {name} is a tensor", help)
    raise wrong_argument(f"`images` takes {_TAKES}; {name} is {quote(value)}")


def _check_array(number: int, array: NDArray[np.generic]) -> Pixels:
    """An array as pixels `(H, W, C)`. Raises ArgumentError with what is wrong with it."""
    what = f"the array at position {number} of `images`"
    shape = "x".join(map(str, array.shape)) or "a single number"
    if array.dtype != np.uint8:
        help = "the network normalizes images itself: pass bytes, 0 to 255"
        if array.dtype.kind == "f":
            help += "; for values in 0 to 1, `(255 * array).round().astype('uint8')`"
        raise wrong_argument(f"{what} holds {array.dtype}, not uint8", help)
    if array.ndim == 4:
        raise wrong_argument(f"{what} has four axes, {shape}", "pass several images as a list: `list(array)`")
    if array.ndim not in (2, 3):
        raise wrong_argument(f"{what} is {shape}, not (height, width) or (height, width, channels)")
    if not array.size:
        raise wrong_argument(f"{what} is {shape}: it has no pixels")
    if array.ndim == 3 and array.shape[2] > MOST_CHANNELS:
        help = "where channels come first, `array.transpose(1, 2, 0)`" if array.shape[0] <= MOST_CHANNELS else ""
        raise wrong_argument(f"{what} is {shape}, but channels come last, and there are {MOST_CHANNELS} at most", help)
    pixels: Pixels = np.array(array if array.ndim == 3 else array[..., None], dtype=np.uint8)  # a copy: it may be changed
    return pixels
