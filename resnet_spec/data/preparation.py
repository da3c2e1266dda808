"""How images of any size and number of channels become the tensors that a network takes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from resnet_spec.data.dataset import Pixels
from resnet_spec.data.decode import to_channels
from resnet_spec.data.resize import Mode, centre_crop, resize, resized

if TYPE_CHECKING:
    import torch
    from torch import Tensor

PixelSize = tuple[int, int]  # height, width


@dataclass(frozen=True, slots=True)
class Preparation:
    """How an image of any size becomes one that the network takes; stored with the weights.

    `resize`, `crop` and `size` are in pixels, (height, width); an integer `resize` is the shorter side. `size` is the size of
    the network's input. `mean` and `std` have one value for each channel, for pixel values in 0 to 1.
    """

    channels: int
    size: PixelSize
    resize: int | PixelSize | None
    interpolation: Mode
    crop: PixelSize | None
    mean: tuple[float, ...]
    std: tuple[float, ...]

    def with_channels(self, image: Pixels) -> Pixels:
        """An image `(H, W, C)` with the number of channels that the network takes."""
        return to_channels(image, self.channels)

    def resized(self, image: Pixels) -> Pixels:
        """An image `(H, W, C)` with the right channels, resized and not cropped."""
        image = self.with_channels(image)
        return image if self.resize is None else resize(image, self.resize, self.interpolation)

    def fixed(self, image: Pixels) -> Pixels:
        """An image `(H, W, C)` of bytes as the network takes it, still in bytes: channels, size and crop applied."""
        image = self.resized(image)
        if self.crop is not None:
            return centre_crop(image, self.crop)
        return resize(image, self.size, self.interpolation)  # returns the image itself where it has that size

    def changes(self, height: int, width: int) -> bool:
        """Whether `fixed` changes an image of this size."""
        is_resized = self.resize is not None and resized(height, width, self.resize) != (height, width)
        return is_resized or (height, width) != self.size


def as_tensor(pixels: Pixels) -> Tensor:
    """An array as a tensor that shares its memory; a copy of a read-only one, about which torch would warn."""
    import torch

    return torch.from_numpy(pixels if pixels.flags.writeable else pixels.copy())


def normalized(pixels: Pixels, preparation: Preparation, device: torch.device, channels_last: bool) -> Tensor:
    """Bytes `(N, H, W, C)` as float32 `(N, C, H, W)` on `device`: divided by 255, minus the mean, divided by the deviation."""
    import torch

    raw = as_tensor(pixels)
    if device.type == "cuda":
        raw = raw.pin_memory()
    x = raw.to(device, non_blocking=True).permute(0, 3, 1, 2)
    x = x.to(torch.float32, memory_format=torch.channels_last if channels_last else torch.contiguous_format)
    mean = torch.tensor(preparation.mean, device=device).view(-1, 1, 1)
    std = torch.tensor(preparation.std, device=device).view(-1, 1, 1)
    return x.div_(255).sub_(mean).div_(std)
