"""How images are prepared for a network whose weights do not say it: a usual preparation, and settings that change it."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import TypeVar

from resnet_spec.compiler import Analysis
from resnet_spec.data.preparation import PixelSize, Preparation
from resnet_spec.data.resize import MODES
from resnet_spec.diagnostics import DataError, Diagnostic, printable, suggestion
from resnet_spec.diagnostics.arguments import as_integer, quote, require_choice, wrong_argument
from resnet_spec.ops import show
from resnet_spec.training.images import IMAGENET
from resnet_spec.weights.metadata import MOST

Size = TypeVar("Size", bound=int | PixelSize)
KEYS = ("resize", "crop", "interpolation", "mean", "std")
SMALL = 64  # pixels: networks for smaller images take them as they are
SHARE = 0.875  # of the side to which an image is resized, for the crop, as in torchvision and timm


def default_preparation(input: tuple[int, int, int]) -> tuple[Preparation, str]:
    """The usual preparation for a network built for `input` (C, H, W), and a note that says what was assumed."""
    channels, height, width = input
    mean, std = IMAGENET if channels == 3 else ((0.5,) * channels, (0.5,) * channels)
    statistics = "ImageNet's mean and deviation" if channels == 3 else "mean and deviation 0.5"
    size = (height, width)
    if min(size) < SMALL:
        preparation = Preparation(channels, size, None, "bilinear", None, mean, std)
        how = f"images of other sizes are resized to {show(size)}"
    else:
        resize: int | PixelSize = round(height / SHARE) if height == width else _larger(size)
        preparation = Preparation(channels, size, resize, "bilinear", size, mean, std)
        how = f"resized to {_size_text(resize)}, of which the center {show(size)} is cut out"
    return preparation, f"how images are prepared is not known, and assumed: {how}; {statistics} (`--prepare` changes it)"


def _larger(size: PixelSize) -> PixelSize:
    return round(size[0] / SHARE), round(size[1] / SHARE)


def require_settings(settings: object) -> dict[str, object]:
    """Return settings of a preparation, given as `KEY=VALUE` texts or as a mapping. Raises ArgumentError."""
    found: dict[str, object] = {}
    if isinstance(settings, Mapping):
        found = dict(settings)
    elif isinstance(settings, str):
        return require_settings((settings,))
    elif isinstance(settings, Iterable) and not isinstance(settings, bytes):
        for each in settings:
            if not isinstance(each, str) or "=" not in each:
                message = f"`prepare` takes KEY=VALUE, not {quote(each)}"
                raise wrong_argument(message, f"for example `--prepare resize=232`; the keys are {', '.join(KEYS)}")
            key, _, value = each.partition("=")
            found[key.strip()] = value.strip()
    else:
        raise wrong_argument(f"`prepare` takes a mapping or KEY=VALUE texts, not {quote(settings)}")
    for key in found:
        if key not in KEYS:
            near = suggestion(key, KEYS, {"size": "resize", "deviation": "std"}) if isinstance(key, str) else ""
            raise wrong_argument(f"`prepare` has no key {quote(key)}", near or f"its keys are {', '.join(KEYS)}")
    return found


def change_preparation(preparation: Preparation, settings: Mapping[str, object]) -> Preparation:
    """Change a preparation by settings. Raises ArgumentError where they do not fit together, or not the channels."""
    channels, size = preparation.channels, preparation.size
    resize, crop, mode = preparation.resize, preparation.crop, preparation.interpolation
    if "resize" in settings:
        resize = _optional("resize", settings["resize"], _side_or_pair)
    if "crop" in settings:
        crop = _optional("crop", settings["crop"], _pair)
    if "interpolation" in settings:
        mode = require_choice("interpolation", settings["interpolation"], MODES)
    if isinstance(resize, int) and crop is None:
        message = f"`resize={resize}` is the shorter side of an image, and nothing cuts images to one size"
        raise wrong_argument(message, f"add `crop={size[0]}`, or write `resize={show(size)}`")
    size = crop or (resize if isinstance(resize, tuple) else size)
    smallest = (resize, resize) if isinstance(resize, int) else resize
    if crop is not None and smallest is not None and (crop[0] > smallest[0] or crop[1] > smallest[1]):
        message = f"`crop` of {show(crop)} pixels is larger than what `resize` gives, {show(smallest)}"
        raise wrong_argument(
            message, f"for example `--prepare resize={_size_text(_fitting(crop))} --prepare crop={_size_text(crop)}`"
        )
    mean = _statistic("mean", settings["mean"], channels) if "mean" in settings else preparation.mean
    std = _statistic("std", settings["std"], channels) if "std" in settings else preparation.std
    return replace(preparation, size=size, resize=resize, crop=crop, interpolation=mode, mean=mean, std=std)


def settle_preparation(
    known: Preparation | None, settings: Mapping[str, object], input: tuple[int, int, int]
) -> tuple[Preparation, tuple[str, ...]]:
    """A preparation that is known, or else the usual one, changed by settings; and a note on what of it is assumed.

    Raises ArgumentError as `change_preparation`.
    """
    preparation, note = (known, "") if known is not None else default_preparation(input)
    is_assumed = any(key not in settings for key in ("resize", "crop", "mean", "std"))
    return change_preparation(preparation, settings), (note,) if note and is_assumed else ()


def _fitting(crop: PixelSize) -> int | PixelSize:
    return round(crop[0] / SHARE) if crop[0] == crop[1] else _larger(crop)


def refuse_size(analysis: Analysis, preparation: Preparation) -> None:
    """Raise DataError where the network does not run on images of the size to which they are prepared."""
    if analysis.accepted.unsolved or preparation.size in analysis.accepted:
        return
    given, own = show((analysis.input[0], *preparation.size)), analysis.input[1:]
    message = f"{printable(analysis.spec.name)} does not run on {given}; it accepts {analysis.accepted.describe()}"
    help = f"`--prepare crop={_size_text(own)}` cuts images to the size that it is built for"
    raise DataError([Diagnostic("data-size", message, None, help=help)])


def _optional(name: str, value: object, read: Callable[[object], Size | None]) -> Size | None:
    """A size, or None for no size at all: None, "none", or an empty text."""
    if value is None or (isinstance(value, str) and value.lower() in ("", "none", "null")):
        return None
    found = read(value)
    if found is None:
        what = "a number of pixels, HxW, or none"
        raise wrong_argument(
            f"`{name}` takes {what}, 1 to {MOST:,} pixels each, not {quote(value)}", f"for example `{name}=224`"
        )
    return found


def _side(value: object) -> int | None:
    """A number of pixels, also as text."""
    number = int(value) if isinstance(value, str) and re.fullmatch(r"[0-9]{1,5}", value) else as_integer(value)
    return number if number is not None and 0 < number <= MOST else None


def _side_or_pair(value: object) -> int | PixelSize | None:
    return _side(value) or _pair(value)


def _pair(value: object) -> PixelSize | None:
    """Height and width: `224x288`, a single number for both, or two integers."""
    parts: list[object] = list(value.split("x")) if isinstance(value, str) else _items(value)
    sides = [_side(part) for part in (parts * 2 if len(parts) == 1 else parts)]
    height, width = sides if len(sides) == 2 else (None, None)
    return None if height is None or width is None else (height, width)


def _items(value: object) -> list[object]:
    return list(value) if isinstance(value, list | tuple) else [value]


def _statistic(name: str, value: object, channels: int) -> tuple[float, ...]:
    """A mean or a deviation for each channel: numbers, `imagenet`, or one number for all."""
    if value == "imagenet" and channels == 3:
        return IMAGENET[0 if name == "mean" else 1]
    parts = value.split(",") if isinstance(value, str) else _items(value)
    try:
        numbers = [float(part) for part in parts]  # type: ignore[arg-type]
    except (TypeError, ValueError, OverflowError):
        numbers = []
    numbers = numbers * channels if len(numbers) == 1 else numbers
    least = -math.inf if name == "mean" else 0.0
    if len(numbers) != channels or not all(math.isfinite(number) and number > least for number in numbers):
        what = f"{channels} numbers" + (" above 0" if name == "std" else "") + (", or `imagenet`" if channels == 3 else "")
        help = "they are of values in 0 to 1, such as 0.485,0.456,0.406"
        raise wrong_argument(f"`{name}` takes {what}, not {quote(value)}", help)
    return tuple(numbers)


def _size_text(size: int | PixelSize) -> str:
    """`256`, or `256x320` for height and width."""
    return str(size) if isinstance(size, int) else str(size[0]) if size[0] == size[1] else show(size)
