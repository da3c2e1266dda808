"""Gray values wider than a byte: which range they use, and what they become."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from resnet_spec.data import BadImage
from resnet_spec.data.decode import Look, look_at, read_image
from resnet_spec.data.levels import apply_levels, measure_levels, note_levels, sample_images
from tests.data.conftest import Open, noise


def write(path: Path, values: NDArray[Any]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(values).save(path)
    return path


def deep(least: int, most: int, kind: str = "uint16") -> NDArray[Any]:
    """Values of a kind, from `least` to `most`."""
    values = np.linspace(least, most, 48).reshape(6, 8)
    values.flat[[0, -1]] = least, most
    return values.astype(kind)


def folder(root: Path, least: int, most: int) -> None:
    for one in ("cat", "dog"):
        for number in range(5):
            write(root / one / f"{number}.png", deep(least + number, most - number))


@pytest.mark.parametrize("suffix", ["png", "tif"])
def test_levels_are_what_becomes_black_and_white(tmp_path: Path, suffix: str) -> None:
    values = deep(400, 2800)
    path = write(tmp_path / f"a.{suffix}", values)
    assert look_at(path) == Look(True, (400.0, 2800.0))
    for least, most in ((400.0, 2800.0), (0.0, 4095.0), (1000.0, 1001.0)):
        wanted = [round(255 * min(1, max(0, (int(value) - least) / (most - least)))) for value in values.ravel()]
        found = read_image(path, levels=(least, most))
        assert found.dtype == np.uint8
        assert found.shape == (6, 8, 1)
        assert found.ravel().tolist() == wanted
    assert (read_image(path)[..., 0] == values >> 8).all()


def test_fractions_are_read_with_levels_alone(tmp_path: Path) -> None:
    values = np.linspace(-1, 1, 48, dtype=np.float32).reshape(6, 8)
    path = write(tmp_path / "f.tif", values)
    with pytest.raises(BadImage, match="fractions, whose range is unknown"):
        read_image(path)
    assert look_at(path) == Look(True, (-1.0, 1.0), fractions=True)
    assert read_image(path, levels=(-1.0, 1.0)).ravel().tolist() == np.rint((values.ravel() + 1) / 2 * 255).tolist()
    values[0, 0] = np.nan
    with pytest.raises(BadImage, match="not finite"):
        read_image(write(path, values), levels=(0.0, 1.0))


def test_images_of_bytes_do_not_need_levels(tmp_path: Path) -> None:
    for name, pixels in (("gray", noise(0, 6, 8)), ("color", noise(1, 6, 8, 3))):
        path = write(tmp_path / f"{name}.png", pixels)
        assert look_at(path) == Look(name == "gray")
        assert (read_image(path, levels=(0.0, 10.0)) == read_image(path)).all()
    assert look_at(write(tmp_path / "32.tif", deep(3, 200, "int32"))) == Look(True, (3.0, 200.0), as_bytes=True)


def test_a_narrow_range_is_noted(tmp_path: Path, opened: Open) -> None:
    folder(tmp_path / "narrow", 500, 2800)
    (note,) = note_levels(sample_images(opened(f"folder:{tmp_path}/narrow")))
    assert "the values 500 to 2800 alone, which leaves 10 of 256 gray levels" in note
    folder(tmp_path / "wide", 500, 60_000)
    assert note_levels(sample_images(opened(f"folder:{tmp_path}/wide"))) == []
    write(tmp_path / "wide" / "cat" / "0.png", noise(0, 6, 8, 3))
    sample = sample_images(opened(f"folder:{tmp_path}/wide"))
    assert (sample.images, sample.gray) == (10, 9)


def test_fractions_and_damaged_files_among_the_images(tmp_path: Path, opened: Open) -> None:
    for one in ("cat", "dog"):
        write(tmp_path / one / "a.png", noise(len(one), 6, 8, 3))
        write(tmp_path / one / f"{one}.png", noise(ord(one[0]), 6, 8, 3))
    write(tmp_path / "cat" / "f.tif", np.zeros((6, 8), np.float32))
    (tmp_path / "dog" / "damaged.png").write_bytes(b"damaged")
    (note,) = note_levels(sample_images(opened(f"folder:{tmp_path}")))
    assert "the pixels of 1 of 5 images are fractions" in note


def test_the_range_is_measured_over_training_images_and_applied_to_all(tmp_path: Path, opened: Open) -> None:
    for place, least, most in (("train", 500, 2000), ("test", 300, 9000)):
        folder(tmp_path / place, least, most)
    data = opened(f"folder:{tmp_path}")
    assert data.train is not None
    levels = measure_levels(tmp_path, data.train)
    assert levels == (500.0, 2000.0)
    changed = apply_levels(data, levels)
    assert changed.train is not None
    assert changed.test is not None
    assert (changed.train.read(0).min(), changed.train.read(0).max()) == (0, 255)
    assert changed.test.read(0).max() == 255
    assert apply_levels(data, None) is data
    read = pickle.loads(pickle.dumps(changed.test.read))
    assert (read(3) == changed.test.read(3)).all()


def test_images_of_bytes_have_no_range(tmp_path: Path, opened: Open) -> None:
    for one in ("cat", "dog"):
        write(tmp_path / one / "a.png", noise(len(one), 6, 8))
    data = opened(f"folder:{tmp_path}", split=(0.0, 0.0))
    assert data.train is not None
    assert measure_levels(tmp_path, data.train) is None
