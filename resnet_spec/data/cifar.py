"""CIFAR-10 and CIFAR-100 as their author publishes them (Krizhevsky 2009, https://www.cs.toronto.edu/~kriz/cifar.html).

Goes in: a folder with the binary or the Python version of the files. Comes out: training and test images of 32x32 pixels,
in memory. The Python version is pickled, and a pickle may run anything: it is read with stand-ins for the five names that
these files need, and any other name is refused. Not even numpy's own functions are called.
"""

from __future__ import annotations

import pickle
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from resnet_spec.data.dataset import Data, Labels, Pixels, held
from resnet_spec.data.refusal import refuse
from resnet_spec.diagnostics import SpecError, printable

IMAGE = 3 * 32 * 32  # bytes: the red plane, the green, the blue
LARGEST = 1 << 30  # bytes of a pickle; the largest published one has 155 million

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
    """One published form. The label is byte `label` of a record of `before` + IMAGE bytes, or stands under `key`."""

    folder: str
    train: tuple[str, ...]
    test: tuple[str, ...]
    meta: str
    names: tuple[str, ...]
    per_file: tuple[int, int]  # images in a file of train and of test, as published
    before: int = 0  # bytes before the pixels; 0 for a pickle
    key: str = ""


_BATCHES = tuple(f"data_batch_{number}" for number in range(1, 6))
_LAYOUTS: dict[str, tuple[_Layout, ...]] = {
    "cifar10": (
        _Layout(
            *("cifar-10-batches-bin", tuple(f"{name}.bin" for name in _BATCHES), ("test_batch.bin",), "batches.meta.txt"),
            *(CIFAR10, (10_000, 10_000), 1),
        ),
        _Layout("cifar-10-batches-py", _BATCHES, ("test_batch",), "batches.meta", CIFAR10, (10_000, 10_000), 0, "labels"),
    ),
    "cifar100": (
        _Layout(
            *("cifar-100-binary", ("train.bin",), ("test.bin",), "fine_label_names.txt", CIFAR100, (50_000, 10_000)),
            *(2,),  # the coarse label, then the fine one
        ),
        _Layout("cifar-100-python", ("train",), ("test",), "meta", CIFAR100, (50_000, 10_000), 0, "fine_labels"),
    ),
}


def open_cifar(text: str, root: Path) -> Data:
    """The data set in `root`, or in the folder below it that its archive unpacks to. Raises SpecError."""
    kind, _, rest = text.partition(":")
    layouts = _LAYOUTS[kind]
    places = [(layout, folder) for layout in layouts for folder in (root, root / layout.folder)]
    for layout, folder in places:
        if any((folder / name).is_file() for name in (*layout.train, *layout.test)):
            return _open(kind, text, layout, folder)
    raise refuse(
        "missing-data",
        f"`{printable(rest)}` holds neither `{layouts[0].train[0]}` nor `{layouts[1].train[0]}`",
        f"unpack the archive of {kind} there, so that `{layouts[0].folder}` or `{layouts[1].folder}` lies in it",
    )


def _open(kind: str, text: str, layout: _Layout, folder: Path) -> Data:
    missing = [name for name in (*layout.train, *layout.test) if not (folder / name).is_file()]
    if missing:
        raise refuse("missing-data", f"`{printable(str(folder))}` lacks " + ", ".join(f"`{name}`" for name in missing))
    notes: list[str] = []
    splits = []
    for what, names, published in zip(("train", "test"), (layout.train, layout.test), layout.per_file, strict=True):
        read = [_read(layout, folder / name) for name in names]
        few = [f"{name} ({len(labels)})" for name, (_, labels) in zip(names, read, strict=True) if len(labels) != published]
        if few:
            notes.append(f"the published files of {what} have {published} images each; another number is in " + ", ".join(few))
        pixels = np.concatenate([one for one, _ in read]) if len(read) > 1 else read[0][0]
        splits.append(held(pixels, np.concatenate([labels for _, labels in read]), what))
    train, test = splits
    return Data(kind, text, _class_names(layout, folder), train, None, test, 3, (32, 32), tuple(notes))


def _read(layout: _Layout, path: Path) -> tuple[Pixels, Labels]:
    raw, labels = _read_binary(layout, path) if layout.before else _read_pickle(layout, path)
    classes = len(layout.names)
    if wrong := [int(i) for i in np.flatnonzero((labels < 0) | (labels >= classes))[:1]]:
        raise _damaged(path, f"image {wrong[0]} has label {labels[wrong[0]]}; there are {classes} classes")
    planes = raw.reshape(-1, 3, 32, 32)
    return np.ascontiguousarray(planes.transpose(0, 2, 3, 1)), labels


def _read_binary(layout: _Layout, path: Path) -> tuple[Pixels, Labels]:
    record = layout.before + IMAGE
    size = path.stat().st_size
    if not size or size % record:
        raise _damaged(path, f"has {size} bytes, which is no multiple of the {record} bytes of an image; it may be truncated")
    records = np.fromfile(path, np.uint8).reshape(-1, record)
    return records[:, layout.before :], records[:, layout.before - 1].astype(np.int64)


def _read_pickle(layout: _Layout, path: Path) -> tuple[Pixels, Labels]:
    content = _unpickle(path)
    data, labels = content.get("data"), content.get(layout.key)
    if not isinstance(data, _Array) or not isinstance(labels, list):
        raise _damaged(path, f"lacks `data` or `{layout.key}`")
    raw = data.bytes()
    if raw is None or not raw or len(raw) % IMAGE or len(raw) // IMAGE != len(labels):
        raise _damaged(path, f"does not hold {IMAGE} bytes for each of its {len(labels)} labels")
    if not all(type(label) is int and abs(label) < 1 << 31 for label in labels):
        raise _damaged(path, "has labels that are not numbers")
    return np.frombuffer(raw, np.uint8).reshape(-1, IMAGE), np.array(labels, np.int64)


def _class_names(layout: _Layout, folder: Path) -> tuple[str, ...]:
    """Those of the meta file if it is there and has the right number, else the well-known ones."""
    path = folder / layout.meta
    names: Sequence[object] = ()
    if path.is_file():
        if layout.before:
            names = [name for line in path.read_text(encoding="utf-8", errors="replace").splitlines() if (name := line.strip())]
        else:
            meta = _unpickle(path)
            found = meta.get("label_names", meta.get("fine_label_names"))
            names = found if isinstance(found, list) else ()
    words = tuple(name for name in names if isinstance(name, str))
    return words if len(set(words)) == len(layout.names) else layout.names


def _damaged(path: Path, why: str) -> SpecError:
    return refuse("damaged-data", f"`{printable(str(path))}` {why}", "unpack or download it again")


class _Array:
    """Stands for a numpy array while a file is unpickled: remembers its state, and does nothing."""

    __slots__ = ("state",)

    def __init__(self, *_: object) -> None:
        self.state: object = None

    def __setstate__(self, state: object) -> None:
        self.state = state

    def bytes(self) -> bytes | None:
        """The content, where it is an array of bytes (state: version, shape, dtype, whether in Fortran order, content)."""
        match self.state:
            case (_, tuple(), _Dtype(name="u1"), False | 0, bytes() as raw):
                return raw
            case (_, tuple(), _Dtype(name="u1"), False | 0, str() as raw):  # a string of Python 2, read as Latin-1
                return raw.encode("latin-1")
        return None


class _Dtype:
    """Stands for a numpy dtype."""

    __slots__ = ("name",)

    def __init__(self, name: object = "", *_: object) -> None:
        self.name = name

    def __setstate__(self, state: object) -> None:
        pass


class _Reconstruct:
    """Stands for `numpy.core.multiarray._reconstruct`."""

    __slots__ = ()

    def __call__(self, *_: object) -> _Array:
        return _Array()


class _Encode:
    """Stands for `_codecs.encode`, which Python 3 writes for bytes in the older protocols."""

    __slots__ = ()

    def __call__(self, text: str, *_: object) -> bytes:
        return str.encode(text, "latin-1")


_ADMITTED: dict[tuple[str, str], object] = {
    ("numpy", "ndarray"): _Array,
    ("numpy", "dtype"): _Dtype,
    ("numpy.core.multiarray", "_reconstruct"): _Reconstruct(),
    ("numpy._core.multiarray", "_reconstruct"): _Reconstruct(),
    ("_codecs", "encode"): _Encode(),
}


class _Unpickler(pickle.Unpickler):
    refused = ""

    def find_class(self, module: str, name: str, /) -> object:
        if (module, name) in _ADMITTED:
            return _ADMITTED[module, name]
        self.refused = f"{module}.{name}"
        raise pickle.UnpicklingError(self.refused)


def _unpickle(path: Path) -> dict[object, object]:
    if path.stat().st_size > LARGEST:
        raise _damaged(path, f"has more than {LARGEST} bytes")
    with path.open("rb") as file:
        reader = _Unpickler(file, encoding="latin-1")
        try:
            content: object = reader.load()
        except (
            *(pickle.UnpicklingError, EOFError, ValueError, TypeError, LookupError, AttributeError, struct.error),
            *(OverflowError, MemoryError, RecursionError),
        ) as error:
            if reader.refused:
                raise refuse(
                    "refused-pickle",
                    f"`{printable(str(path))}` asks for `{printable(reader.refused)}` to be run, which no file of CIFAR needs",
                    "nothing was run; download the archive from its author, or take the binary version",
                ) from None
            raise _damaged(path, f"cannot be unpickled ({printable(str(error)) or type(error).__name__})") from None
    if not isinstance(content, dict):
        raise _damaged(path, "does not hold a dict")
    return {key.decode("latin-1") if isinstance(key, bytes) else key: value for key, value in content.items()}
