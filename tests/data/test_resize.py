"""Sizes and crops as torchvision's, pixels as Pillow's."""

from __future__ import annotations

import importlib
import warnings
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from resnet_spec._system.torchvision_import import import_torchvision
from resnet_spec.data.dataset import Pixels
from resnet_spec.data.resize import Mode, center_crop, resize
from tests.data.conftest import noise

FILTERS = {
    "bilinear": Image.Resampling.BILINEAR,
    "bicubic": Image.Resampling.BICUBIC,
}


@pytest.mark.parametrize("mode", ["bilinear", "bicubic"])
@pytest.mark.parametrize("size", [(32, 32), (17, 90), (100, 41), (64, 48), (1, 1)])
@pytest.mark.parametrize("channels", [1, 3])
def test_pixels_are_within_a_gray_level_of_pillows(mode: Mode, size: tuple[int, int], channels: int) -> None:
    image = noise(0, 64, 48, channels)
    if mode == "bicubic":  # which overshoots: one clips after the rows, one after the columns
        image = image // 2 + 64
    ours = resize(image, size, mode)
    squeezed = image[..., 0] if channels == 1 else image
    theirs = np.asarray(Image.fromarray(squeezed).resize(size[::-1], FILTERS[mode]))
    assert ours.shape == (*size, channels)
    assert ours.dtype == np.uint8
    assert np.abs(ours.reshape(theirs.shape).astype(int) - theirs).max() <= 1


@pytest.mark.parametrize("size", [(32, 32), (17, 90), (100, 41), (64, 48), (1, 1)])
def test_the_nearest_pixel_is_the_one_pillow_takes(size: tuple[int, int]) -> None:
    """Where two are equally near, Pillow's choice depends on how its sums were rounded."""
    image = noise(0, 64, 48, 3)
    ours, theirs = (
        resize(image, size, "nearest"),
        np.asarray(Image.fromarray(image).resize(size[::-1], Image.Resampling.NEAREST)),
    )
    rows, columns = ((2 * np.arange(out) + 1) * there % (2 * out) != 0 for out, there in zip(size, (64, 48), strict=True))
    assert (ours == theirs)[rows][:, columns].all()
    assert set(map(tuple, ours.reshape(-1, 3))) <= set(map(tuple, image.reshape(-1, 3)))


def functional() -> Any:
    import_torchvision()
    return importlib.import_module("torchvision.transforms.functional")


@pytest.mark.parametrize("shape", [(64, 48), (48, 64), (33, 100), (50, 50), (7, 300), (300, 1)])
@pytest.mark.parametrize("size", [1, 24, 48, 101])
def test_an_int_is_the_shorter_side_as_in_torchvision(shape: tuple[int, int], size: int) -> None:
    theirs = functional().resize(torch.zeros(1, *shape), size, antialias=True).shape[1:]
    assert resize(noise(0, *shape, 1), size).shape[:2] == tuple(theirs)


@pytest.mark.parametrize("shape", [(10, 13), (11, 9), (4, 20), (3, 3), (20, 5), (6, 6)])
@pytest.mark.parametrize("size", [(6, 6), (7, 6), (8, 9), (1, 30)])
def test_the_middle_is_cut_as_torchvision_cuts_it(shape: tuple[int, int], size: tuple[int, int]) -> None:
    image = noise(0, *shape, 3)
    theirs = functional().center_crop(torch.from_numpy(image).permute(2, 0, 1), list(size)).permute(1, 2, 0)
    assert (center_crop(image, size) == theirs.numpy()).all()


def test_views_and_arrays_that_may_not_be_written_are_taken_without_a_warning() -> None:
    image = noise(0, 20, 30, 3)
    frozen = image.copy()
    frozen.flags.writeable = False
    views: list[Pixels] = [frozen, image[:, ::-1][:, ::-1], np.broadcast_to(image, image.shape)]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for view in views:
            assert (resize(view, (9, 9)) == resize(image, (9, 9))).all()
        resize(image[::-1], 9)
        assert resize(frozen, (20, 30)) is frozen
