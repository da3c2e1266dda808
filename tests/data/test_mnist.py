"""MNIST and Fashion-MNIST from idx files, as torchvision reads them."""

from __future__ import annotations

import gzip
import importlib
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from resnet_spec._system.torchvision_import import import_torchvision
from tests.data.conftest import Open, Refused, noise


def idx(array: np.ndarray[Any, np.dtype[np.uint8]]) -> bytes:
    return bytes((0, 0, 8, array.ndim)) + struct.pack(f">{array.ndim}I", *array.shape) + array.tobytes()


def write(folder: Path, packed: bool = False, mark: str = "-") -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for seed, (prefix, count) in enumerate((("train", 12), ("t10k", 5))):
        for name, array in (
            (f"{prefix}-images{mark}idx3-ubyte", noise(seed, count, 28, 28)),
            (f"{prefix}-labels{mark}idx1-ubyte", noise(seed, count) % 10),
        ):
            (folder / (name + ".gz" * packed)).write_bytes(gzip.compress(idx(array)) if packed else idx(array))


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize(("kind", "theirs"), [("mnist", "MNIST"), ("fashion-mnist", "FashionMNIST")])
def test_images_and_labels_are_those_torchvision_reads(
    tmp_path: Path, opened: Open, kind: str, theirs: str, packed: bool
) -> None:
    write(tmp_path / theirs / "raw", packed=False)
    import_torchvision()
    module: Any = importlib.import_module("torchvision.datasets")
    readers = [getattr(module, theirs)(str(tmp_path), train=train) for train in (True, False)]
    if packed:
        for path in list((tmp_path / theirs / "raw").iterdir()):
            path.unlink()
        write(tmp_path / theirs / "raw", packed=True)
    data = opened(f"{kind}:{tmp_path}")
    assert (data.channels, data.size, data.validation, len(data.classes)) == (1, (28, 28), None, 10)
    for split, reader in zip((data.train, data.test), readers, strict=True):
        assert split is not None
        assert split.pixels is not None
        assert (split.pixels[..., 0] == reader.data.numpy()).all()
        assert split.labels.tolist() == reader.targets.tolist()
        assert split.read(2).shape == (28, 28, 1)


@pytest.mark.parametrize(("below", "mark"), [(".", "-"), (".", "."), ("raw", "-"), ("MNIST", "-")])
def test_the_files_are_found_where_people_put_them(tmp_path: Path, opened: Open, below: str, mark: str) -> None:
    write(tmp_path / below, mark=mark)
    train = opened(f"mnist:{tmp_path}").train
    assert train is not None
    assert len(train) == 12


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("train-images-idx3-ubyte", idx(noise(0, 12, 28, 28))[:-1], "declares 9408 bytes (12x28x28), but contains 9407"),
        ("train-images-idx3-ubyte", idx(noise(0, 12, 28, 28)) + b"x", "but contains more"),
        ("train-images-idx3-ubyte", b"<html>", "begins with 3c 68 74 6d"),
        ("train-images-idx3-ubyte", b"", "begins with nothing"),
        ("train-images-idx3-ubyte", b"\0\0\x08\x03\0", "ends within its header"),
        ("train-images-idx3-ubyte", bytes((0, 0, 8, 3)) + b"\xff" * 12, "more than any published file has"),
        ("train-labels-idx1-ubyte", idx(noise(0, 11) % 10), "has 12 images, but `train-labels-idx1-ubyte` has 11 labels"),
        ("t10k-labels-idx1-ubyte", idx(np.full(5, 10, np.uint8)), "has the label 10 for image 0"),
        ("t10k-images-idx3-ubyte", idx(noise(0, 5, 14, 14)), "images of 14x14 pixels, but training images have 28x28"),
        ("t10k-images-idx3-ubyte", idx(noise(0, 5)), "begins with 00 00 08 01, not with 00 00 08 03"),
    ],
)
def test_damaged_files_are_named(tmp_path: Path, refused: Refused, name: str, content: bytes, words: str) -> None:
    write(tmp_path)
    (tmp_path / name).write_bytes(content)
    found = refused(f"mnist:{tmp_path}")
    assert found.code == "damaged-data"
    assert words in found.message
    assert name in found.message


@pytest.mark.parametrize(
    "change", [lambda raw: raw[:-9], lambda raw: b"no gzip", lambda raw: raw[:40] + b"\xff" * 40 + raw[80:]]
)
def test_damaged_archives_are_named(tmp_path: Path, refused: Refused, change: Any) -> None:
    write(tmp_path, packed=True)
    path = tmp_path / "train-images-idx3-ubyte.gz"
    path.write_bytes(change(path.read_bytes()))
    found = refused(f"mnist:{tmp_path}")
    assert (found.code, path.name in found.message) == ("damaged-data", True)


def test_a_missing_file_is_named(tmp_path: Path, refused: Refused) -> None:
    assert "train-images-idx3-ubyte" in refused(f"mnist:{tmp_path}").message
    write(tmp_path)
    (tmp_path / "t10k-labels-idx1-ubyte").unlink()
    found = refused(f"mnist:{tmp_path}")
    assert found.code == "missing-data"
    assert "t10k-labels-idx1-ubyte" in found.message
