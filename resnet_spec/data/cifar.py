"""CIFAR-10 and CIFAR-100 as their author publishes them (Krizhevsky 2009, https://www.cs.toronto.edu/~kriz/cifar.html).

Reads the binary and the Python version of the files, into training and test images of 32x32 pixels. The Python version is
pickled, and a pickle can execute code: `unpickle` reads it without calling any function, not even numpy's.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from resnet_spec.data.cifar_pickle import StoredArray, UnreadablePickleError, unpickle
from resnet_spec.data.dataset import Data, Labels, Pixels, make_split
from resnet_spec.data.refusal import refuse
from resnet_spec.diagnostics import ResnetSpecError, printable

IMAGE = 3 * 32 * 32  # bytes: the red plane, the green, the blue

CIFAR10 = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
CIFAR100_WORDS = """
apple aquarium_fish baby bear beaver bed bee beetle bicycle bottle bowl boy bridge bus butterfly camel can castle
caterpillar cattle chair chimpanzee clock cloud cockroach couch crab crocodile cup dinosaur dolphin elephant flatfish forest
fox girl hamster house kangaroo keyboard lamp lawn_mower leopard lion lizard lobster man maple_tree motorcycle mountain
mouse mushroom oak_tree orange orchid otter palm_tree pear pickup_truck pine_tree plain plate poppy porcupine possum rabbit
raccoon ray road rocket rose sea seal shark shrew skunk skyscraper snail snake spider squirrel streetcar sunflower
sweet_pepper table tank telephone television tiger tractor train trout tulip turtle wardrobe whale willow_tree wolf woman
worm
"""
CIFAR100 = tuple(CIFAR100_WORDS.split())


@dataclass(frozen=True, slots=True)
class _Layout:
    """One published form of a data set.

    Attributes:
        folder: what its archive unpacks to.
        train, test: the names of the files.
        meta: the name of the file with the names of the classes.
        classes: their usual names.
        per_file: the images in each file of train and of test, as published.
        labels: in the binary form, how many bytes of labels come before the pixels of an image (the last one is the label);
            in the Python form, the key of the list of labels.
    """

    folder: str
    train: tuple[str, ...]
    test: tuple[str, ...]
    meta: str
    classes: tuple[str, ...]
    per_file: tuple[int, int]
    labels: int | str


_BATCHES = tuple(f"data_batch_{number}" for number in range(1, 6))
_LAYOUTS: dict[str, tuple[_Layout, ...]] = {
    "cifar10": (
        _Layout(
            folder="cifar-10-batches-bin",
            train=tuple(f"{name}.bin" for name in _BATCHES),
            test=("test_batch.bin",),
            meta="batches.meta.txt",
            classes=CIFAR10,
            per_file=(10_000, 10_000),
            labels=1,
        ),
        _Layout(
            folder="cifar-10-batches-py",
            train=_BATCHES,
            test=("test_batch",),
            meta="batches.meta",
            classes=CIFAR10,
            per_file=(10_000, 10_000),
            labels="labels",
        ),
    ),
    "cifar100": (
        _Layout(
            folder="cifar-100-binary",
            train=("train.bin",),
            test=("test.bin",),
            meta="fine_label_names.txt",
            classes=CIFAR100,
            per_file=(50_000, 10_000),
            labels=2,  # the coarse label, then the fine one
        ),
        _Layout(
            folder="cifar-100-python",
            train=("train",),
            test=("test",),
            meta="meta",
            classes=CIFAR100,
            per_file=(50_000, 10_000),
            labels="fine_labels",
        ),
    ),
}


def open_cifar(text: str, root: Path) -> Data:
    """Open the data set in `root`, or in the folder below it that its archive unpacks to. Raises what `open_data` raises."""
    kind, _, rest = text.partition(":")
    layouts = _LAYOUTS[kind]
    candidates = [(layout, folder) for layout in layouts for folder in (root, root / layout.folder)]
    for layout, folder in candidates:
        if any((folder / name).is_file() for name in (*layout.train, *layout.test)):
            return _open(kind, text, layout, folder)
    raise refuse(
        "missing-data",
        f"`{printable(rest)}` contains neither `{layouts[0].train[0]}` nor `{layouts[1].train[0]}`",
        f"unpack the archive of {kind} there, so that it contains `{layouts[0].folder}` or `{layouts[1].folder}`",
    )


def _open(kind: str, text: str, layout: _Layout, folder: Path) -> Data:
    missing = [name for name in (*layout.train, *layout.test) if not (folder / name).is_file()]
    if missing:
        raise refuse("missing-data", f"`{printable(str(folder))}` lacks " + ", ".join(f"`{name}`" for name in missing))
    notes: list[str] = []
    splits = []
    for split, names, published in zip(("train", "test"), (layout.train, layout.test), layout.per_file, strict=True):
        read = [_read(layout, folder / name) for name in names]
        odd = [f"{name} ({len(labels)})" for name, (_, labels) in zip(names, read, strict=True) if len(labels) != published]
        if odd:
            notes.append(f"the published files of {split} have {published} images each, unlike " + ", ".join(odd))
        pixels = np.concatenate([each for each, _ in read]) if len(read) > 1 else read[0][0]
        splits.append(make_split(pixels, np.concatenate([labels for _, labels in read]), split))
    train, test = splits
    return Data(kind, text, _class_names(layout, folder), train, None, test, 3, (32, 32), tuple(notes))


def _read(layout: _Layout, path: Path) -> tuple[Pixels, Labels]:
    """Read the images `(N, 32, 32, 3)` and labels of a file."""
    if isinstance(layout.labels, int):
        flat, labels = _read_binary(path, layout.labels)
    else:
        flat, labels = _read_pickle(path, layout.labels)
    classes = len(layout.classes)
    wrong = np.flatnonzero((labels < 0) | (labels >= classes))
    if len(wrong):
        raise _damaged(path, f"has label {labels[wrong[0]]} for image {wrong[0]}; there are {classes} classes")
    planes = flat.reshape(-1, 3, 32, 32)
    return np.ascontiguousarray(planes.transpose(0, 2, 3, 1)), labels


def _read_binary(path: Path, before: int) -> tuple[Pixels, Labels]:
    record = before + IMAGE
    size = path.stat().st_size
    if not size or size % record:
        raise _damaged(path, f"has {size} bytes, not a multiple of the {record} bytes of an image; it may be truncated")
    records = np.fromfile(path, np.uint8).reshape(-1, record)
    return records[:, before:], records[:, before - 1].astype(np.int64)


def _read_pickle(path: Path, key: str) -> tuple[Pixels, Labels]:
    content = _unpickle(path)
    data, labels = content.get("data"), content.get(key)
    if not isinstance(data, StoredArray) or not isinstance(labels, list):
        raise _damaged(path, f"lacks `data` or `{key}`")
    raw = data.bytes()
    if raw is None or not raw or len(raw) % IMAGE or len(raw) // IMAGE != len(labels):
        raise _damaged(path, f"does not hold {IMAGE} bytes for each of its {len(labels)} labels")
    if not all(type(label) is int and abs(label) < 1 << 31 for label in labels):
        raise _damaged(path, "has labels that are not numbers")
    return np.frombuffer(raw, np.uint8).reshape(-1, IMAGE), np.array(labels, np.int64)


def _class_names(layout: _Layout, folder: Path) -> tuple[str, ...]:
    """The class names in the meta file if it has the right number of them, else the usual names."""
    path = folder / layout.meta
    if not path.is_file():
        return layout.classes
    found: Sequence[object]
    if isinstance(layout.labels, int):
        found = [name for line in path.read_text(encoding="utf-8", errors="replace").splitlines() if (name := line.strip())]
    else:
        meta = _unpickle(path)
        stored = meta.get("label_names", meta.get("fine_label_names"))
        found = stored if isinstance(stored, list) else ()
    names = tuple(name for name in found if isinstance(name, str))
    return names if len(set(names)) == len(layout.classes) else layout.classes


def _unpickle(path: Path) -> dict[object, object]:
    try:
        return unpickle(path)
    except UnreadablePickleError as error:
        if error.name:
            raise refuse(
                "refused-pickle",
                f"`{printable(str(path))}` would call `{printable(error.name)}` when unpickled; no published file does",
                "nothing was executed; download the archive from its author, or use the binary version",
            ) from None
        raise _damaged(path, printable(str(error))) from None


def _damaged(path: Path, why: str) -> ResnetSpecError:
    return refuse("damaged-data", f"`{printable(str(path))}` {why}", "unpack or download it again")
