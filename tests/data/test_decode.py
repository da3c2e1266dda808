"""Image files of every kind people keep, and files that are none."""

from __future__ import annotations

import contextlib
import os
import struct
import warnings
import zlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageOps

from resnet_spec.data import BadImage
from resnet_spec.data import decode as module
from resnet_spec.data.decode import read_image, to_channels
from tests.data.conftest import noise

RGB = noise(0, 6, 8, 3)
GRAY = noise(1, 6, 8)


@pytest.mark.parametrize("suffix", ["png", "bmp", "tif", "ppm"])
def test_lossless_color_and_gray_come_back_as_they_were(tmp_path: Path, suffix: str) -> None:
    Image.fromarray(RGB).save(tmp_path / f"a.{suffix}")
    assert (read_image(tmp_path / f"a.{suffix}") == RGB).all()
    suffix = "pgm" if suffix == "ppm" else suffix
    Image.fromarray(GRAY).save(tmp_path / f"b.{suffix}")
    pixels = read_image(tmp_path / f"b.{suffix}")
    assert pixels.shape == (6, 8, 1)
    assert (pixels[..., 0] == GRAY).all()
    assert pixels.flags.writeable


@pytest.mark.parametrize(
    ("mode", "suffix"), [("RGB", "jpg"), ("CMYK", "jpg"), ("CMYK", "tif"), ("RGB", "webp"), ("YCbCr", "tif"), ("LAB", "tif")]
)
def test_what_pillow_makes_of_other_colors_is_what_is_read(tmp_path: Path, mode: str, suffix: str) -> None:
    path = tmp_path / f"a.{suffix}"
    (Image.merge("LAB", Image.fromarray(RGB).split()) if mode == "LAB" else Image.fromarray(RGB).convert(mode)).save(path)
    with Image.open(path) as image:
        assert (read_image(path) == np.asarray(image.convert("RGB"))).all()


@pytest.mark.parametrize("quick", [True, False])
@pytest.mark.parametrize("gray", [False, True])
@pytest.mark.parametrize("options", [{"subsampling": 0}, {"subsampling": 1}, {"subsampling": 2}, {"progressive": True}])
def test_either_decoder_of_jpegs_gives_the_pixels_of_pillow(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, options: dict[str, Any], gray: bool, quick: bool
) -> None:
    if not quick:
        monkeypatch.setattr(module, "_SIMPLEJPEG", None)
    path = tmp_path / "a.jpg"
    for height, width in ((97, 131), (1, 1), (8, 17)):
        pixels = noise(7, height, width) if gray else noise(7, height, width, 3)
        Image.fromarray(pixels).save(path, quality=85, **options)
        with Image.open(path) as image:
            assert (module._decode_fast(image, path) is not None) == quick
            wanted = np.asarray(image)
        found = read_image(path)
        assert (found == wanted.reshape(found.shape)).all()
        assert found.flags.writeable
        assert found.shape == (height, width, 1 if gray else 3)


def test_what_the_faster_decoder_refuses_is_read_or_refused_by_pillow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Damaged files come out the same with it and without it: the same pixels, or the same message."""
    path = tmp_path / "a.jpg"
    Image.fromarray(noise(4, 40, 48, 3)).save(path, quality=60)
    good = path.read_bytes()
    random = np.random.default_rng(1)
    kinds = set()
    for trial in range(300):
        bad = bytearray(good)
        for place in random.integers(2, len(bad), 1 + trial % 2):
            bad[place] = int(random.integers(0, 256))
        path.write_bytes(bad if trial % 3 else bad[: int(random.integers(1, len(bad)))])
        found = []
        for decoder in (module._simplejpeg(), None):
            monkeypatch.setattr(module, "_SIMPLEJPEG", decoder)
            try:
                pixels = read_image(path)
                found.append((pixels.shape, pixels.tobytes()))
            except BadImage as error:
                found.append(((), error.why.encode()))
        assert found[0] == found[1]
        kinds.add(bool(found[0][0]))
    assert kinds == {True, False}


def test_palettes_bits_and_sixteen_bits(tmp_path: Path) -> None:
    palette = Image.fromarray(RGB).quantize(16)
    palette.save(tmp_path / "p.png")
    assert (read_image(tmp_path / "p.png") == np.asarray(palette.convert("RGB"))).all()
    bits = Image.fromarray(np.where(GRAY > 128, 255, 0).astype(np.uint8)).convert("1")
    bits.save(tmp_path / "1.png")
    assert set(read_image(tmp_path / "1.png").ravel().tolist()) == {0, 255}
    deep = noise(2, 6, 8).astype(np.uint16) * 256 + noise(3, 6, 8)
    for suffix in ("png", "tif", "pgm"):
        Image.fromarray(deep).save(tmp_path / f"16.{suffix}")
        assert (read_image(tmp_path / f"16.{suffix}")[..., 0] == deep >> 8).all()


@pytest.mark.parametrize("mode", ["1", "L", "LA", "La", "P", "PA", "RGB", "RGBA", "RGBa", "RGBX", "CMYK", "YCbCr", "HSV"])
def test_every_mode_is_what_pillow_makes_of_it_over_white(mode: str) -> None:
    """Some modes are in no file that Pillow writes."""
    color = Image.fromarray(np.dstack([RGB, noise(9, 6, 8)]))
    image = color.convert("LA").convert("La") if mode == "La" else color.convert("P").convert("PA") if mode == "PA" else None
    image = image or color.convert("RGB" if mode in ("P", "HSV", "RGBX") else "RGBA").convert(mode)
    assert image.mode == mode
    flat = image.convert("LA") if mode == "La" else image
    if flat.mode in ("LA", "PA", "RGBA", "RGBa"):
        over = Image.new("RGBA", image.size, "white")
        over.alpha_composite(flat.convert("RGBA"))
        flat = over.convert("RGB")
    channels = 1 if mode in ("1", "L", "LA", "La") else 3
    pixels = module._pixels(image)
    assert pixels.shape == (6, 8, channels)
    assert (pixels == np.asarray(flat.convert("L" if channels == 1 else "RGB")).reshape(pixels.shape)).all()
    assert pixels.max() - pixels.min() > 100 or mode == "HSV"


def write_tiff(path: Path, values: np.ndarray[tuple[int, ...], np.dtype[Any]]) -> Path:
    Image.fromarray(values).save(path)
    with Image.open(path) as image:
        assert image.mode == ("I" if values.dtype.itemsize == 4 else "I;16")
    return path


@pytest.mark.parametrize("scale", [1, 256])
def test_integers_of_32_bits_are_bytes_or_16_bits(tmp_path: Path, scale: int) -> None:
    """Of bytes, they are what Pillow makes of them; it would make white of everything above."""
    values = GRAY.astype(np.int32) * scale
    path = write_tiff(tmp_path / "a.tif", values)
    assert (read_image(path)[..., 0] == GRAY).all()
    if scale == 1:
        with Image.open(path) as image:
            assert (read_image(path)[..., 0] == np.asarray(image.convert("L"))).all()


def test_dark_integers_of_16_bits_stay_dark(tmp_path: Path) -> None:
    """A file says whether its pixels have 16 bits: an image is not brighter because it is dark."""
    values = GRAY.astype(np.uint16)
    Image.fromarray(values).save(tmp_path / "a.pgm")
    Image.fromarray(values).save(tmp_path / "a.png")
    for path in (tmp_path / "a.pgm", tmp_path / "a.png", write_tiff(tmp_path / "a.tif", values)):
        assert read_image(path).max() == 0


@pytest.mark.parametrize(("value", "why"), [(1 << 20, "pixels of more than 16 bits"), (-1, "negative pixels")])
def test_other_integers_are_called_what_they_are(tmp_path: Path, value: int, why: str) -> None:
    values = GRAY.astype(np.int32)
    values[0, 0] = value
    with pytest.raises(BadImage, match=f": {why} are not supported$"):
        read_image(write_tiff(tmp_path / "a.tif", values))


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="pipes with names")
def test_a_pipe_is_no_image_and_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "a.png")
    for path in (tmp_path / "a.png", Path("/dev/zero")):
        with pytest.raises(BadImage, match=r": not a regular file$"):
            read_image(path)


def test_transparent_parts_show_white(tmp_path: Path) -> None:
    alpha = np.where(np.arange(8) < 4, 0, 255).astype(np.uint8)[None].repeat(6, 0)
    Image.fromarray(np.dstack([RGB, alpha])).save(tmp_path / "rgba.png")
    Image.fromarray(np.dstack([GRAY, alpha])).save(tmp_path / "la.png")
    Image.fromarray(GRAY).save(tmp_path / "key.png", transparency=int(GRAY[0, 0]))
    rgba, gray, key = (read_image(tmp_path / name) for name in ("rgba.png", "la.png", "key.png"))
    assert (rgba[:, :4] == 255).all()
    assert (rgba[:, 4:] == RGB[:, 4:]).all()
    assert gray.shape == (6, 8, 1)
    assert (gray[:, :4] == 255).all()
    assert (gray[:, 4:, 0] == GRAY[:, 4:]).all()
    assert key.shape == (6, 8, 1)
    assert key[0, 0, 0] == 255


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("suffix", ["jpg", "png", "tif", "webp"])
def test_images_stand_upright(tmp_path: Path, orientation: int, suffix: str) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = tmp_path / f"a.{suffix}"
    Image.fromarray(RGB).save(path, exif=exif)
    with Image.open(path) as image:
        assert (read_image(path) == np.asarray(ImageOps.exif_transpose(image))).all()
    assert read_image(path).shape == ((8, 6, 3) if orientation > 4 else (6, 8, 3))


def test_of_an_animation_the_first_frame_is_read(tmp_path: Path) -> None:
    frames = [Image.fromarray(noise(seed, 6, 8, 3)).quantize(64) for seed in range(3)]
    for suffix in ("gif", "png"):
        frames[0].save(tmp_path / f"a.{suffix}", save_all=True, append_images=frames[1:])
        assert (read_image(tmp_path / f"a.{suffix}") == np.asarray(frames[0].convert("RGB"))).all()


def png(width: int, height: int) -> bytes:
    def chunk(name: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))

    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(bytes(100))) + chunk(b"IEND", b"")


def test_what_is_no_image_is_a_bad_image_and_says_why(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    Image.fromarray(noise(0, 64, 64, 3)).save(tmp_path / "cut.jpg")
    (tmp_path / "cut.jpg").write_bytes((tmp_path / "cut.jpg").read_bytes()[:900])
    Image.fromarray(noise(0, 64, 64, 3)).save(tmp_path / "cut.png")
    (tmp_path / "cut.png").write_bytes((tmp_path / "cut.png").read_bytes()[:900])
    (tmp_path / "empty.jpg").touch()
    (tmp_path / "text.jpg").write_text("%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n")
    (tmp_path / "bomb.png").write_bytes(png(50_000, 50_000))
    (tmp_path / "large.png").write_bytes(png(13_000, 13_000))  # of a size that Pillow only warns of
    Image.fromarray(GRAY.astype(np.float32)).save(tmp_path / "f.tif")
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        for name, why in (
            ("cut.jpg", "truncated"),
            ("cut.png", "truncated"),
            ("empty.jpg", "the file is empty"),
            ("text.jpg", "not an image"),
            ("bomb.png", "more than 178956970 pixels"),
            ("large.png", "truncated"),
            ("f.tif", "its pixels are fractions, whose range is unknown"),
            ("none.jpg", "No such file"),
        ):
            with pytest.raises(BadImage) as error:
                read_image(tmp_path / name, name)
            assert why in error.value.why
            assert error.value.name == name
            assert str(tmp_path) not in str(error.value)
    assert not caught
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("suffix", ["jpg", "png", "gif", "tif", "webp", "bmp", "ppm"])
def test_no_damage_makes_another_error(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"a.{suffix}"
    exif = Image.Exif()
    exif[0x0112] = 6
    options: dict[str, Any] = {"exif": exif} if suffix in ("jpg", "png", "tif", "webp") else {}
    Image.fromarray(noise(0, 16, 16, 3)).save(path, **options)
    good = path.read_bytes()
    random = np.random.default_rng(0)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for _ in range(200):
            bad = bytearray(good)
            for place in random.integers(0, min(len(bad), 400), 2):
                bad[place] = int(random.integers(0, 256))
            path.write_bytes(bad[: int(random.integers(1, 2 * len(bad)))])
            with contextlib.suppress(BadImage):
                assert read_image(path).dtype == np.uint8


def test_the_filters_of_warnings_are_left_as_they_were(tmp_path: Path) -> None:
    Image.fromarray(RGB).save(tmp_path / "a.png")
    before = list(warnings.filters)
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(read_image, [tmp_path / "a.png"] * 300))
    assert list(warnings.filters) == before
    assert module._readers == 0


def test_channels_are_changed_as_pillow_changes_them() -> None:
    colors: Any = noise(5, 40, 40, 3)
    assert (to_channels(colors, 1)[..., 0] == np.asarray(Image.fromarray(colors).convert("L"))).all()
    gray = GRAY[..., None]
    assert (to_channels(gray, 3) == np.asarray(Image.fromarray(GRAY).convert("RGB"))).all()
    assert to_channels(colors, 3) is colors
    assert to_channels(gray, 1) is gray
    with pytest.raises(ValueError, match="3 channels cannot be converted to 4"):
        to_channels(colors, 4)
