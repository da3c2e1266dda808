"""A split held in memory is the split that was read one by one, whatever the number of threads."""

from __future__ import annotations

from collections.abc import Collection

import numpy as np
import pytest

from resnet_spec.data import BadImage, Split
from resnet_spec.data.dataset import Pixels
from resnet_spec.data.holding import fits_in, hold
from resnet_spec.data.resize import resize
from tests.data.conftest import noise


def split(count: int, bad: Collection[int] = ()) -> Split:
    def read(i: int) -> Pixels:
        if i in bad:
            raise BadImage(f"image {i}", "damaged")
        return noise(i, 10 + i % 3, 12, 3)

    return Split(np.arange(count) % 7, read, lambda i: f"image {i}")


def small(image: Pixels) -> Pixels:
    return resize(image, (8, 8))


@pytest.mark.parametrize("workers", [0, 1, 4])
def test_all_images_are_held_in_order(workers: int) -> None:
    source = split(50)
    held, bad = hold(source, small, (8, 8, 3), workers, False)
    assert held.pixels is not None
    assert held.pixels.shape == (50, 8, 8, 3)
    assert not bad
    assert all((held.read(i) == small(source.read(i))).all() for i in range(50))
    assert (held.labels == source.labels).all()
    assert held.name(9) == "image 9"


@pytest.mark.parametrize("workers", [1, 8])
def test_the_first_bad_image_in_order_is_raised(workers: int) -> None:
    with pytest.raises(BadImage, match="image 23: damaged"):
        hold(split(90, {23, 24, 40, 89}), small, (8, 8, 3), workers, False)


def test_bad_images_are_left_out_with_their_labels_and_names() -> None:
    bad = {0, 17, 18, 49}
    source = split(50, bad)
    held, errors = hold(source, small, (8, 8, 3), 4, True)
    kept = [i for i in range(50) if i not in bad]
    assert [error.name for error in errors] == [f"image {i}" for i in sorted(bad)]
    assert [held.name(i) for i in range(len(held))] == [f"image {i}" for i in kept]
    assert held.labels.tolist() == [i % 7 for i in kept]
    assert held.pixels is not None
    assert len(held.pixels) == len(held) == 46
    assert all((held.read(to) == small(source.read(i))).all() for to, i in enumerate(kept))


def test_a_split_of_bad_images_only_is_an_error() -> None:
    with pytest.raises(BadImage, match="image 0"):
        hold(split(3, {0, 1, 2}), small, (8, 8, 3), 2, True)


def test_an_image_of_another_size_is_a_mistake_of_the_caller() -> None:
    with pytest.raises(ValueError, match="image 0 was prepared to"):
        hold(split(3), lambda image: image, (8, 8, 3), 2, True)


def test_what_fits_is_a_matter_of_bytes() -> None:
    assert fits_in(1000, (32, 32, 3), 3_072_000)
    assert not fits_in(1000, (32, 32, 3), 3_071_999)
