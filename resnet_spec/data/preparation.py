"""Converts images of any size and number of channels to the input tensors of a network."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from resnet_spec.data.dataset import Data, Pixels
from resnet_spec.data.decode import Levels, to_channels
from resnet_spec.data.resize import Mode, center_crop, resize, resized_size
from resnet_spec.diagnostics import DataError, Diagnostic
from resnet_spec.diagnostics.text import count_text

if TYPE_CHECKING:
    import torch
    from torch import Tensor

PixelSize = tuple[int, int]  # height, width


@dataclass(frozen=True, slots=True)
class Preparation:
    """How an image of any size is converted to an input of the network; stored with the weights.

    `resize`, `crop` and `size` are in pixels, (height, width); an integer `resize` is the shorter side. `size` is the size of
    the network's input. `mean` and `std` have one value for each channel, for pixel values in 0 to 1. `levels` are the values
    that become 0 and 1 in gray images whose values are wider than a byte; None: those of a 16-bit image, by its upper byte.
    """

    channels: int
    size: PixelSize
    resize: int | PixelSize | None
    interpolation: Mode
    crop: PixelSize | None
    mean: tuple[float, ...]
    std: tuple[float, ...]
    levels: Levels | None = None

    def convert_channels(self, image: Pixels) -> Pixels:
        """Convert an image `(H, W, C)` to the number of channels that the network takes."""
        return to_channels(image, self.channels)

    def resize_only(self, image: Pixels) -> Pixels:
        """Resize an image `(H, W, C)` with the right channels; it is not cropped."""
        image = self.convert_channels(image)
        return image if self.resize is None else resize(image, self.resize, self.interpolation)

    def apply(self, image: Pixels) -> Pixels:
        """Convert an image `(H, W, C)` of bytes to the channels and size that the network takes, still as bytes."""
        image = self.resize_only(image)
        if self.crop is not None:
            return center_crop(image, self.crop)
        return resize(image, self.size, self.interpolation)  # returns the image itself where it has that size

    def changes(self, height: int, width: int) -> bool:
        """Whether `apply` changes an image of this size."""
        is_resized = self.resize is not None and resized_size(height, width, self.resize) != (height, width)
        return is_resized or (height, width) != self.size

    def for_images_of(self, size: PixelSize | None) -> Preparation:
        """A preparation for images of `size` (None: of several sizes), which may differ from that of the training images.

        If all training images had the input size, they were not resized, and this preparation has no `resize`.
        """
        if self.resize is not None or size == self.size:
            return self
        if self.crop is None:
            return replace(self, resize=self.size)
        is_large = size is not None and size[0] >= self.crop[0] and size[1] >= self.crop[1]
        return self if is_large else replace(self, resize=max(self.crop))


def refuse_channels(data: Data, channels: int) -> None:
    """Raise DataError if the images of `data` cannot be converted to `channels`, the number that a network takes.

    Gray images can be repeated, and color images reduced to gray. Other numbers are not converted.
    """
    if data.channels == channels or (data.channels in (None, 1, 3) and channels in (1, 3)):
        return
    has = "1 or 3" if data.channels is None else data.channels
    help = "only gray and color images, of 1 and 3 channels, are converted to each other: use a network for these images"
    raise _other_channels(channels, f"the images have {has}", help)


def refuse_image_files(channels: int) -> None:
    """Raise DataError if image files cannot be converted to `channels`, the number that a network takes."""
    if channels not in (1, 3):
        help = f"in Python, `predict` takes arrays of bytes, (H, W, {channels})"
        raise _other_channels(channels, "image files have 1 or 3", help)


def _other_channels(channels: int, why: str, help: str = "") -> DataError:
    takes = count_text(channels, "channel")
    return DataError([Diagnostic("data-channels", f"the network takes {takes}, but {why}", None, help=help)])


def to_tensor(pixels: Pixels) -> Tensor:
    """Convert an array to a tensor that shares its memory; a read-only one is copied, because torch would warn."""
    import torch

    return torch.from_numpy(pixels if pixels.flags.writeable else pixels.copy())


def normalize(pixels: Pixels, preparation: Preparation, device: torch.device, channels_last: bool) -> Tensor:
    """Convert bytes `(N, H, W, C)` to float32 `(N, C, H, W)` on `device`: (x / 255 - mean) / standard deviation."""
    import torch

    raw = to_tensor(pixels)
    if device.type == "cuda":
        raw = raw.pin_memory()
    x = raw.to(device, non_blocking=True).permute(0, 3, 1, 2)
    x = x.to(torch.float32, memory_format=torch.channels_last if channels_last else torch.contiguous_format)
    mean = torch.tensor(preparation.mean, device=device).view(-1, 1, 1)
    std = torch.tensor(preparation.std, device=device).view(-1, 1, 1)
    return x.div_(255).sub_(mean).div_(std)
