"""`--data KIND:PATH` in, an opened data set out.

Each kind has a module of its own that knows one layout; this one knows the words before the colon.
"""

from __future__ import annotations

import os
from pathlib import Path

from resnet_spec.data.cifar import open_cifar
from resnet_spec.data.dataset import Data
from resnet_spec.data.folder import open_folder
from resnet_spec.data.imagenet import open_imagenet
from resnet_spec.data.mnist import open_mnist
from resnet_spec.data.refusal import refuse
from resnet_spec.data.synthetic import open_synthetic
from resnet_spec.diagnostics import printable, suggestion

KINDS = ("synthetic", "cifar10", "cifar100", "mnist", "fashion-mnist", "folder", "imagenet")
SYNONYMS = {
    "cifar": "cifar10",
    "cifar-10": "cifar10",
    "cifar-100": "cifar100",
    "fashionmnist": "fashion-mnist",
    "fashion_mnist": "fashion-mnist",
    "fmnist": "fashion-mnist",
    "imagefolder": "folder",
    "image-folder": "folder",
    "dir": "folder",
    "ilsvrc": "imagenet",
    "ilsvrc2012": "imagenet",
    "imagenet1k": "imagenet",
    "fake": "synthetic",
    "shapes": "synthetic",
}


def open_data(
    text: str,
    *,
    input: tuple[int, int, int],
    split: tuple[float, float],
    seed: int = 0,
    skip_bad: bool = False,
    classes: int | None = None,
) -> Data:
    """Open what `text` names: `KIND`, `KIND:PATH`, or `synthetic:key=value,...`. Raises SpecError.

    `input` is (C, H, W) as the network takes it, and `classes` how many it tells apart: what `synthetic` draws unless its
    options say otherwise, as is `seed`. `split` are the fractions (validation, test) that a data set without splits of its
    own is cut into, by a hash of each image's name. No image is decoded here. With `skip_bad`, links to nothing and folders
    that may not be read are left out, with a note; they are refused otherwise.
    """
    if not (min(split) >= 0 and sum(split) < 1):
        raise refuse("invalid-split", f"the fractions {split[0]:g} for validation and {split[1]:g} for test leave no training")
    kind, _, rest = text.partition(":")
    if kind == "synthetic":
        return open_synthetic(text, rest, input, seed, classes)
    if kind not in KINDS:
        raise _unknown(text, kind)
    if not rest:
        raise refuse("missing-data", f"`{kind}` needs the folder where its files lie", f"write `{kind}:DIR`")
    root = Path(os.path.expanduser(rest))
    if not os.path.isdir(root):
        why = "is not a folder" if os.path.exists(root) else "does not exist"
        raise refuse("missing-data", f"`{printable(rest)}` {why}")
    try:
        match kind:
            case "cifar10" | "cifar100":
                return open_cifar(text, root)
            case "mnist" | "fashion-mnist":
                return open_mnist(text, root)
            case "imagenet":
                return open_imagenet(text, root, skip_bad)
            case _:
                return open_folder(text, root, split, skip_bad)
    except OSError as error:
        place = printable(str(error.filename or rest))
        raise refuse("unreadable-file", f"`{place}` cannot be read ({error.strerror})") from None


def _unknown(text: str, kind: str) -> Exception:
    if os.path.isdir(os.path.expanduser(text)):
        return refuse("unknown-data", f"`{printable(text)}` does not say what it is", f"write `folder:{printable(text)}`")
    return refuse("unknown-data", f"there is no kind of data set called `{printable(kind)}`", suggestion(kind, KINDS, SYNONYMS))
