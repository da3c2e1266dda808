"""Means and deviations against numpy's, in exact fractions where it matters."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

from resnet_spec.data import BadImage, Split, statistics
from resnet_spec.data.dataset import Pixels, make_split
from resnet_spec.data.decode import to_channels
from resnet_spec.data.statistics import channel_statistics
from tests.data.conftest import noise


def of(pixels: Pixels) -> Split:
    found = make_split(pixels, np.zeros(len(pixels), np.int64), "train")
    assert found is not None
    return found


@pytest.mark.parametrize("at_once", [1, 1000, 1 << 24])
def test_they_are_those_of_all_pixels(monkeypatch: pytest.MonkeyPatch, at_once: int) -> None:
    monkeypatch.setattr(statistics, "_AT_ONCE", at_once)
    pixels = noise(0, 30, 7, 9, 3) // np.array([1, 2, 3], np.uint8)
    means, deviations = channel_statistics(of(pixels))
    flat = pixels.reshape(-1, 3) / 255
    assert means == pytest.approx(flat.mean(axis=0), abs=1e-12)
    assert deviations == pytest.approx(flat.std(axis=0), abs=1e-12)


def test_a_deviation_next_to_nothing_is_not_lost_in_rounding() -> None:
    pixels = np.full((100, 50, 50, 1), 254, np.uint8)
    assert channel_statistics(of(pixels))[1] == (0.0,)
    pixels[0, 0, 0, 0] = 255
    count = pixels.size
    variance = Fraction(1, count) - Fraction(1, count) ** 2
    assert channel_statistics(of(pixels))[1][0] == pytest.approx(float(variance) ** 0.5 / 255, rel=1e-12)


def test_images_that_are_read_give_the_same_and_may_be_prepared() -> None:
    pixels = noise(3, 12, 5, 5, 3)
    lazy = Split(np.zeros(12, np.int64), pixels.__getitem__, str)
    assert channel_statistics(lazy) == channel_statistics(of(pixels))
    gray = np.stack([to_channels(image, 1) for image in pixels])
    assert channel_statistics(of(pixels), lambda image: to_channels(image, 1)) == channel_statistics(of(gray))


def test_bad_images_are_raised_or_left_out() -> None:
    pixels = noise(3, 4, 5, 5, 3)

    def read(i: int) -> Pixels:
        if i == 2:
            raise BadImage("image 2", "damaged")
        image: Pixels = pixels[i]
        return image

    lazy = Split(np.zeros(4, np.int64), read, str)
    with pytest.raises(BadImage):
        channel_statistics(lazy)
    assert channel_statistics(lazy, skip_bad=True) == channel_statistics(of(pixels[[0, 1, 3]]))


def test_images_of_other_channels_must_be_prepared() -> None:
    images = [noise(0, 4, 4, 1), noise(1, 4, 4, 3)]
    mixed = Split(np.zeros(2, np.int64), images.__getitem__, str)
    with pytest.raises(ValueError, match="some images have 1 channels and some 3"):
        channel_statistics(mixed)
