"""What a recipe asks to be done to images between the data set and the network.

`prepare` derives the `Preparation` of a run from its recipe, its data and the network's input size. The other functions augment
training images: cropping, flipping and erasing work on whole batches; torchvision's transforms of single images (rotation,
policies, resized crops) come before them.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from resnet_spec._system.torchvision_import import import_torchvision
from resnet_spec.data import Data
from resnet_spec.data.dataset import Pixels
from resnet_spec.data.decode import Levels
from resnet_spec.data.levels import Sample, measure_levels, note_levels, sample_images
from resnet_spec.data.preparation import PixelSize, Preparation, to_tensor
from resnet_spec.data.resize import center_crop
from resnet_spec.diagnostics import DataError, Diagnostic
from resnet_spec.training.randomness import Purpose, seed_of
from resnet_spec.training.recipe import Augment, Interpolation, Recipe, Statistic

IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
_NO_LEVELS = "`levels` changes nothing, since no image has values that are wider than a byte"
COLUMNS = 8  # random numbers for each sample
_TOP, _LEFT, _FLIP, _ERASE, _AREA, _SHAPE, _ERASE_TOP, _ERASE_LEFT = range(COLUMNS)


def prepare(recipe: Recipe, data: Data, input: tuple[int, int, int]) -> tuple[Preparation, tuple[str, ...]]:
    """Choose channels, size and normalization of images for a network built for `input` (C, H, W); and notes on what changes.

    `mean` and `std` are left empty where they are to be taken from the data. Raises DataError or RecipeError where recipe, data
    and network do not fit together.
    """
    channels, height, width = input
    network = (height, width)
    notes = _compare_channels(data.channels, channels)
    sample = sample_images(data)
    notes += _note_conversions(sample, channels) if data.channels is None else []
    resize, crop = _choose_sizes(recipe, data.size, network)
    if resize is not None and recipe.resize is None and crop is None:
        was = "have the sizes of their files" if data.size is None else f"are {data.size[0]}x{data.size[1]}"
        notes.append(f"images {was}, and are resized to the network's {height}x{width}")
    size = crop or (resize if isinstance(resize, tuple) else data.size)
    assert size is not None
    smaller = (resize, resize) if isinstance(resize, int) else resize or data.size
    if crop is not None and smaller is not None and (crop[0] > smaller[0] or crop[1] > smaller[1]):
        message = f"a crop of {crop[0]}x{crop[1]} pixels out of images of {smaller[0]}x{smaller[1]}"
        raise recipe.refuse("recipe-crop", message, "crop", help="resize to more, or crop less")
    mean, std = _constants(recipe, "mean", recipe.mean, channels), _constants(recipe, "std", recipe.std, channels)
    levels = None
    if recipe.levels is None:
        notes += note_levels(sample)
    else:
        levels = recipe.levels if recipe.levels != "data" else _measure_levels(data)
        notes.append(f"levels: {levels[0]:g} becomes black and {levels[1]:g} white" if levels else _NO_LEVELS)
    return Preparation(channels, size, resize, recipe.interpolation, crop, mean, std, levels), tuple(notes)


def find_final_size(recipe: Recipe, network: PixelSize) -> PixelSize:
    """The size of the images that a network built for `network` (height, width) gets, whatever the data are."""
    resize = recipe.resize
    if recipe.crop is not None or recipe.augment.resized_crop is not None:
        return recipe.crop or network
    return (resize, resize) if isinstance(resize, int) else resize or network


def _measure_levels(data: Data) -> Levels | None:
    return None if data.home is None or data.train is None else measure_levels(data.home, data.train)


def _note_conversions(sample: Sample, channels: int) -> list[str]:
    """A note on image files that are converted to the channels of the network, as far as a sample shows."""
    others, has, becomes = sample.gray, "gray", "RGB"
    if channels == 1:
        others, has, becomes = sample.images - sample.gray, "in color", "gray"
    if not others:
        return []
    looked = f"{others} of {sample.images} images" if others < sample.images else "images"
    verb = "is" if others == 1 else "are"
    return [f"{looked} {verb} {has}, and {verb} converted to {becomes} for the network"]


def _compare_channels(images: int | None, network: int) -> list[str]:
    """Notes on a conversion of channels. `images` is None where they vary. Raises DataError where there is no conversion."""
    if images not in (None, 1, 3, network):
        message = f"images have {images} channels, and the network takes {network}"
        raise DataError([Diagnostic("data-channels", message, None, help=f"write `input: {images}x...` in the spec")])
    if network not in (1, 3) and images != network:
        message = f"the network takes {network} channels, and images have 1 or 3"
        raise DataError([Diagnostic("data-channels", message, None, help="write `input: 3x...` in the spec")])
    if images is None or images == network:
        return []
    words = {1: "gray", 3: "RGB"}
    return [f"images are {words.get(images, images)}, and are converted to {words[network]} for the network"]


def _choose_sizes(
    recipe: Recipe, images: PixelSize | None, network: PixelSize
) -> tuple[int | PixelSize | None, PixelSize | None]:
    """What images are resized and cropped to, in pixels. `images` is the size that they all have, if they have one."""
    resize, crop = recipe.resize, recipe.crop
    if recipe.augment.resized_crop is not None:
        crop = crop or network
        return resize or crop, crop
    if resize is None and crop is None:
        return (None if images == network else network), None
    if resize is None and crop is not None:
        return images or max(crop), crop  # images of other sizes, which come later, are resized to it
    if isinstance(resize, int) and crop is None:
        return resize, (resize, resize)
    return resize, crop


def _constants(recipe: Recipe, what: str, statistic: Statistic, channels: int) -> tuple[float, ...]:
    match statistic:
        case "data":
            return ()
        case "none":
            return ((0.0 if what == "mean" else 1.0),) * channels
        case "half":
            return (0.5,) * channels
        case "imagenet":
            found = IMAGENET[0] if what == "mean" else IMAGENET[1]
            return found if channels == 3 else (sum(found) / 3,) * channels
        case _:
            if len(statistic) not in (1, channels):
                message = f"{len(statistic)} values of {what} for {channels} channels"
                raise recipe.refuse("recipe-normalize", message, "normalize", what)
            return statistic * channels if len(statistic) == 1 else statistic


@dataclass(frozen=True, slots=True)
class Each:
    """torchvision's transforms of a single training image; picklable, for workers."""

    augment: Augment
    preparation: Preparation
    seed: int

    def __call__(self, image: Pixels, epoch: int, index: int) -> Pixels:
        """Transform an image `(H, W, C)` with random numbers of (seed, epoch, index); torch's generator is left as it was."""
        x = to_tensor(np.ascontiguousarray(image)).permute(2, 0, 1)
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(seed_of(Purpose.EACH, self.seed, epoch, index))
            for transform in _transforms(self.augment, self.preparation):
                x = transform(x)
        pixels: Pixels = np.ascontiguousarray(x.permute(1, 2, 0).numpy())
        crop = self.preparation.crop
        return pixels if crop is None or pixels.shape[:2] == crop else center_crop(pixels, crop)


_MADE: dict[tuple[Augment, PixelSize, Interpolation], list[Callable[[Tensor], Tensor]]] = {}


def _transforms(augment: Augment, preparation: Preparation) -> list[Callable[[Tensor], Tensor]]:
    """torchvision's transforms in the order in which they are applied; made once in each process."""
    key = (augment, preparation.size, preparation.interpolation)
    if key not in _MADE:
        import_torchvision()
        v2: Any = importlib.import_module("torchvision.transforms.v2")
        found: list[Callable[[Tensor], Tensor]] = []
        if augment.resized_crop is not None:
            least, most, narrow, wide = augment.resized_crop
            mode = getattr(v2.InterpolationMode, preparation.interpolation.upper())

            def resized_crop(x: Tensor) -> Tensor:
                # torchvision crops to the nearest ratio where none fits, which may round to no pixel
                height, width = x.shape[-2:]
                ratio = (min(narrow, width), max(wide, 1 / height))
                cropped: Tensor = v2.RandomResizedCrop(preparation.size, (least, most), ratio, mode, antialias=True)(x)
                return cropped

            found.append(resized_crop)
        if augment.rotation:
            found.append(v2.RandomRotation(augment.rotation))
        if augment.rand_augment is not None:
            found.append(v2.RandAugment(*augment.rand_augment))
        if augment.trivial_augment:
            found.append(v2.TrivialAugmentWide())
        _MADE[key] = found
    return _MADE[key]


def bordered(pixels: Pixels, augment: Augment) -> Pixels:
    """Images `(N, H, W, C)` with the border that random crops reach into."""
    if not augment.crop:
        return pixels
    border = augment.crop
    if augment.crop_mode == "constant":
        count, height, width, channels = pixels.shape
        wide = np.zeros((count, height + 2 * border, width + 2 * border, channels), np.uint8)
        wide[:, border : border + height, border : border + width] = pixels
        return wide
    return np.pad(pixels, ((0, 0), (border, border), (border, border), (0, 0)), mode="reflect")


def cut(wide: Pixels, chosen: NDArray[np.int64], rows: NDArray[np.float64], augment: Augment) -> Pixels:
    """Crop and flip the chosen images of `bordered` ones: `(n, H, W, C)`. `rows` are their random numbers, `(n, COLUMNS)`."""
    border = augment.crop or 0
    height, width = wide.shape[1] - 2 * border, wide.shape[2] - 2 * border
    if not border and not augment.flip:
        return wide[chosen]
    top = (rows[:, _TOP] * (2 * border + 1)).astype(np.int64)
    left = (rows[:, _LEFT] * (2 * border + 1)).astype(np.int64)
    across = np.broadcast_to(np.arange(width), (len(chosen), width))
    if augment.flip:
        across = np.where(rows[:, _FLIP, None] < augment.flip, width - 1 - across, across)
    down = np.arange(height) + top[:, None]
    return wide[chosen[:, None, None], down[:, :, None], (across + left[:, None])[:, None, :]]


def erase(x: Tensor, rows: NDArray[np.float64], augment: Augment) -> Tensor:
    """Set a random rectangle to zero in some of the images `(n, C, H, W)`, in place (Zhong et al. 2020)."""
    if not augment.erasing:
        return x
    height, width = x.shape[2:]
    least, most = augment.erasing_scale
    for number in np.flatnonzero(rows[:, _ERASE] < augment.erasing):
        row = rows[number]
        area = (least + (most - least) * float(row[_AREA])) * height * width
        aspect = float(np.exp((2 * row[_SHAPE] - 1) * np.log(1 / 0.3)))  # width over height, from 0.3 to 1 / 0.3
        tall, wide = min(height, max(1, round((area / aspect) ** 0.5))), min(width, max(1, round((area * aspect) ** 0.5)))
        top, left = int(row[_ERASE_TOP] * (height - tall + 1)), int(row[_ERASE_LEFT] * (width - wide + 1))
        x[number, :, top : top + tall, left : left + wide] = 0.0
    return x
