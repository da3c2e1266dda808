"""MNIST and Fashion-MNIST in the idx format (LeCun et al. 1998; Xiao et al. 2017, arXiv:1708.07747).

The four files, plain or compressed with gzip, are read into gray training and test images in memory.
"""

from __future__ import annotations

import gzip
import math
import zlib
from pathlib import Path

import numpy as np

from resnet_spec.data.dataset import Data, Pixels, Split, make_split
from resnet_spec.data.refusal import refuse
from resnet_spec.diagnostics import ResnetSpecError, printable

LARGEST = 1 << 31  # bytes in a file; the published ones have 47 million

_CLASSES = {
    "mnist": tuple("0123456789"),
    "fashion-mnist": (
        *("T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot"),
    ),
}
_FOLDERS = {
    "mnist": (".", "MNIST/raw", "raw", "MNIST", "mnist"),
    "fashion-mnist": (".", "FashionMNIST/raw", "raw", "FashionMNIST", "fashion-mnist", "fashion"),
}
_SPLITS = {"train": "train", "test": "t10k"}
_HELP = "unpack or download it again"


def open_mnist(text: str, root: Path) -> Data:
    """Open the data set in `root`, or in the folder below it that torchvision uses. Raises what `open_data` raises."""
    kind, _, rest = text.partition(":")
    folder = next((root / name for name in _FOLDERS[kind] if _find(root / name, "train", "images", 3)), None)
    if folder is None:
        raise refuse(
            "missing-data",
            f"`{printable(rest)}` contains no `train-images-idx3-ubyte`, plain or compressed with gzip",
            f"put the four files of {kind} there; torchvision's folder `{_FOLDERS[kind][1]}` is also recognized",
        )
    classes = _CLASSES[kind]
    splits: list[Split | None] = []
    size = (0, 0)
    for what, prefix in _SPLITS.items():
        path = _need(folder, prefix, "images", 3)
        images = read_idx(path, 3)
        labels_path = _need(folder, prefix, "labels", 1)
        labels = read_idx(labels_path, 1).astype(np.int64)
        if len(images) != len(labels):
            raise refuse(
                "damaged-data",
                f"`{printable(str(path))}` has {len(images)} images, but `{labels_path.name}` has {len(labels)} labels",
                _HELP,
            )
        if len(labels) and labels.max() >= len(classes):
            wrong = int(np.argmax(labels >= len(classes)))
            raise _damaged(labels_path, f"has the label {labels[wrong]} for image {wrong}; there are {len(classes)} classes")
        if splits and images.shape[1:] != size:
            sizes = f"{images.shape[1]}x{images.shape[2]} pixels, but training images have {size[0]}x{size[1]}"
            raise _damaged(path, f"has images of {sizes}")
        size = (images.shape[1], images.shape[2])
        splits.append(make_split(images[..., None], labels, what))
    train, test = splits
    return Data(kind, text, classes, train, None, test, 1, size)


def _find(folder: Path, prefix: str, what: str, rank: int) -> Path | None:
    names = (f"{prefix}-{what}{mark}idx{rank}-ubyte{packed}" for packed in ("", ".gz") for mark in "-.")
    return next((path for name in names if (path := folder / name).is_file()), None)


def _need(folder: Path, prefix: str, what: str, rank: int) -> Path:
    if (path := _find(folder, prefix, what, rank)) is None:
        raise refuse(
            "missing-data", f"`{printable(str(folder))}` lacks `{prefix}-{what}-idx{rank}-ubyte`, plain or compressed with gzip"
        )
    return path


def read_idx(path: Path, rank: int) -> Pixels:
    """Read an array of bytes with `rank` axes. The header: two zero bytes, the type (8: bytes), the rank, 4 bytes a length."""
    try:
        with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as file:
            head = file.read(4 + 4 * rank)
            if head[:4] != bytes((0, 0, 8, rank)):
                raise _damaged(path, f"begins with {head[:4].hex(' ') or 'nothing'}, not with 00 00 08 {rank:02x}")
            if len(head) < 4 + 4 * rank:
                raise _damaged(path, "ends within its header")
            shape = tuple(int(length) for length in np.frombuffer(head, ">u4", offset=4))
            size = math.prod(shape)
            if size > LARGEST:
                raise _damaged(path, f"declares {size} bytes, more than any published file has")
            content = file.read(size + 1)
    except (OSError, EOFError, zlib.error) as error:
        raise _damaged(path, f"cannot be read ({printable(str(error))})") from None
    if len(content) != size:
        there = "more" if len(content) > size else str(len(content))
        raise _damaged(path, f"declares {size} bytes ({'x'.join(map(str, shape))}), but contains {there}")
    return np.frombuffer(bytearray(content), np.uint8).reshape(shape)


def _damaged(path: Path, why: str) -> ResnetSpecError:
    return refuse("damaged-data", f"`{printable(str(path))}` {why}", _HELP)
