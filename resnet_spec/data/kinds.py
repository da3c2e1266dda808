"""The kinds of data sets: how each `--data` argument is written, and how the data are opened.

To add a kind, write a module that opens it and add an entry to KINDS.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from resnet_spec.data.cifar import open_cifar
from resnet_spec.data.dataset import Data
from resnet_spec.data.folder import DataPurpose, open_folder
from resnet_spec.data.imagenet import open_imagenet
from resnet_spec.data.listing import ReportCount
from resnet_spec.data.mnist import open_mnist
from resnet_spec.data.synthetic import open_synthetic


@dataclass(frozen=True, slots=True)
class DataRequest:
    """A request for a data set. `text` is the whole argument, `options` the part after its colon; see also `open_data`."""

    text: str
    options: str
    input: tuple[int, int, int]
    split: tuple[float, float]
    seed: int
    skip_bad: bool
    classes: int | None
    purpose: DataPurpose
    version: int
    progress: ReportCount | None

    @property
    def root(self) -> Path:
        """The folder that the argument names."""
        return Path(self.options).expanduser()


@dataclass(frozen=True, slots=True)
class DataKind:
    """A kind of data set.

    Attributes:
        name: what the argument begins with.
        usage: how the whole argument is written, as shown in help texts.
        help: one line on what is read.
        open: opens the data set; raises what `open_data` raises.
        synonyms: other spellings, which are suggested and not accepted.
        has_folder: whether a folder follows the colon; `open` is called only where it exists.
    """

    name: str
    usage: str
    help: str
    open: Callable[[DataRequest], Data]
    synonyms: tuple[str, ...] = ()
    has_folder: bool = True


def _open_folder(request: DataRequest) -> Data:
    return open_folder(
        request.text,
        request.root,
        request.split,
        request.skip_bad,
        purpose=request.purpose,
        version=request.version,
        progress=request.progress,
    )


def _by_name(*kinds: DataKind) -> dict[str, DataKind]:
    return {kind.name: kind for kind in kinds}


KINDS: dict[str, DataKind] = _by_name(
    DataKind(
        name="synthetic",
        usage="synthetic",
        help="generated images of shapes; options follow the colon, such as `synthetic:classes=5,size=64,train=2000`",
        open=lambda request: open_synthetic(request.text, request.options, request.input, request.seed, request.classes),
        synonyms=("fake", "shapes"),
        has_folder=False,
    ),
    DataKind(
        name="cifar10",
        usage="cifar10:DIR",
        help="the official binary or Python files",
        open=lambda request: open_cifar(request.text, request.root),
        synonyms=("cifar", "cifar-10"),
    ),
    DataKind(
        name="cifar100",
        usage="cifar100:DIR",
        help="the official binary or Python files",
        open=lambda request: open_cifar(request.text, request.root),
        synonyms=("cifar-100",),
    ),
    DataKind(
        name="mnist",
        usage="mnist:DIR",
        help="the idx files, plain or compressed with gzip",
        open=lambda request: open_mnist(request.text, request.root),
    ),
    DataKind(
        name="fashion-mnist",
        usage="fashion-mnist:DIR",
        help="the idx files, plain or compressed with gzip",
        open=lambda request: open_mnist(request.text, request.root),
        synonyms=("fashionmnist", "fashion_mnist", "fmnist"),
    ),
    DataKind(
        name="folder",
        usage="folder:DIR",
        help="class folders with images, in `train/`, `val/` and `test/`, or directly in DIR",
        open=_open_folder,
        synonyms=("imagefolder", "image-folder", "dir"),
    ),
    DataKind(
        name="imagenet",
        usage="imagenet:DIR",
        help="ILSVRC 2012 with folders named after WordNet numbers, as published or in Kaggle's layout",
        open=lambda request: open_imagenet(
            request.text, request.root, request.skip_bad, version=request.version, progress=request.progress
        ),
        synonyms=("ilsvrc", "ilsvrc2012", "imagenet1k"),
    ),
)
