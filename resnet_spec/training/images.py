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
from resnet_spec.data.preparation import PixelSize, Preparation, as_tensor
from resnet_spec.data.resize import center_crop
from resnet_spec.diagnostics import Diagnostic, SpecError
from resnet_spec.training.randomness import Purpose, seed_of
from resnet_spec.training.recipe import Augment, Interpolation, Recipe, Statistic

IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
COLUMNS = 8  # random numbers for each sample
_TOP, _LEFT, _FLIP, _ERASE, _AREA, _SHAPE, _ERASE_TOP, _ERASE_LEFT = range(COLUMNS)


def prepare(recipe: Recipe, data: Data, input: tuple[int, int, int]) -> tuple[Preparation, tuple[str, ...]]:
    """Decide sizes and channels for a network that is built for `input` (C, H, W), and say what is changed.

    `mean` and `std` are left empty where they are to be taken from the data. Raises SpecError where they do not fit.
    """
    channels, *wanted = input
    notes: list[str] = []
    if data.channels not in (None, 1, 3, channels):
        message = f"images have {data.channels} channels, and the network takes {channels}"
        raise SpecError([Diagnostic("data-channels", message, None, help=f"write `input: {data.channels}x...` in the spec")])
    if channels not in (1, 3) and data.channels != channels:
        message = f"the network takes {channels} channels, and images have 1 or 3"
        raise SpecError([Diagnostic("data-channels", message, None, help="write `input: 3x...` in the spec")])
    if data.channels is not None and data.channels != channels:
        words = {1: "grey", 3: "red, green and blue"}
        notes.append(f"images are {words.get(data.channels, data.channels)}, and made {words[channels]} for the network")
    network = (wanted[0], wanted[1])
    size = recipe.resize
    crop = recipe.crop
    if recipe.augment.resized_crop is not None:
        crop = crop or network
        size = size or crop
    elif size is None and crop is None and data.size != network:
        size = network
        was = "of the sizes their files have" if data.size is None else f"{data.size[0]}x{data.size[1]}"
        notes.append(f"images are {was}, and resized to the network's {size[0]}x{size[1]}")
    elif size is None and crop is not None:
        size = max(crop) if data.size is None else data.size  # said, so that images of other sizes are resized to it later
    if isinstance(size, int) and crop is None:
        crop = (size, size)
    final = crop or (size if isinstance(size, tuple) else data.size)
    assert final is not None
    smaller = size if isinstance(size, tuple) else (size, size) if isinstance(size, int) else data.size
    if crop is not None and smaller is not None and (crop[0] > smaller[0] or crop[1] > smaller[1]):
        message = f"a crop of {crop[0]}x{crop[1]} pixels out of images of {smaller[0]}x{smaller[1]}"
        raise recipe.refuse("recipe-crop", message, "crop", help="resize to more, or crop less")
    if final != network:
        notes.append(f"the network is built for {network[0]}x{network[1]} and is given {final[0]}x{final[1]}")
    mean, std = _constants(recipe, "mean", recipe.mean, channels), _constants(recipe, "std", recipe.std, channels)
    return Preparation(channels, final, size, recipe.interpolation, crop, mean, std), tuple(notes)


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
    """What torchvision does to one training image after the other; picklable, for workers."""

    augment: Augment
    preparation: Preparation
    seed: int

    def __call__(self, image: Pixels, epoch: int, index: int) -> Pixels:
        """One image `(H, W, C)`, with the random numbers of (seed, epoch, index); torch's own generator is left as it was."""
        x = as_tensor(np.ascontiguousarray(image)).permute(2, 0, 1)
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(seed_of(Purpose.EACH, self.seed, epoch, index))
            for transform in _transforms(self.augment, self.preparation):
                x = transform(x)
        pixels: Pixels = np.ascontiguousarray(x.permute(1, 2, 0).numpy())
        crop = self.preparation.crop
        return pixels if crop is None or pixels.shape[:2] == crop else center_crop(pixels, crop)


_MADE: dict[tuple[Augment, PixelSize, Interpolation], list[Callable[[Tensor], Tensor]]] = {}


def _transforms(augment: Augment, preparation: Preparation) -> list[Callable[[Tensor], Tensor]]:
    """torchvision's transforms, in the order in which the recipe applies them; made once in each process."""
    key = (augment, preparation.size, preparation.interpolation)
    if key not in _MADE:
        import_torchvision()
        v2: Any = importlib.import_module("torchvision.transforms.v2")
        found: list[Callable[[Tensor], Tensor]] = []
        if augment.resized_crop is not None:
            least, most, narrow, wide = augment.resized_crop
            mode = getattr(v2.InterpolationMode, preparation.interpolation.upper())
            found.append(v2.RandomResizedCrop(preparation.size, (least, most), (narrow, wide), mode, antialias=True))
        if augment.rotation:
            found.append(v2.RandomRotation(augment.rotation))
        if augment.rand_augment is not None:
            found.append(v2.RandAugment(*augment.rand_augment))
        if augment.trivial_augment:
            found.append(v2.TrivialAugmentWide())
        _MADE[key] = found
    return _MADE[key]


def bordered(pixels: Pixels, augment: Augment) -> Pixels:
    """Images `(N, H, W, C)` with the border that random crops may reach into."""
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
    """The chosen images of `bordered` ones, cropped and flipped: `(n, H, W, C)`. `rows` are their random numbers."""
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
    """A rectangle of zeros in some images of `(n, C, H, W)`, in place: its area and place are random (Zhong et al. 2020)."""
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
