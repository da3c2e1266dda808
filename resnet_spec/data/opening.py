"""Opens the data set of a `--data KIND:DIR` argument."""

from __future__ import annotations

import os
from functools import partial

from resnet_spec.data.dataset import Data
from resnet_spec.data.dividing import DATA_VERSION
from resnet_spec.data.folder import DataPurpose
from resnet_spec.data.kinds import KINDS, DataKind, DataRequest
from resnet_spec.data.listing import ReportCount
from resnet_spec.data.refusal import refuse
from resnet_spec.diagnostics import DataError, ResnetSpecError, printable, suggestion

_ARCHIVES = (".zip", ".tar", ".tgz", ".gz", ".bz2", ".xz", ".7z", ".rar")


def open_data(
    text: str,
    *,
    input: tuple[int, int, int],
    split: tuple[float, float],
    seed: int = 0,
    skip_bad: bool = False,
    classes: int | None = None,
    purpose: DataPurpose = "train",
    version: int = DATA_VERSION,
    progress: ReportCount | None = None,
) -> Data:
    """Open a data set. No image is decoded yet.

    Args:
        text: `KIND`, `KIND:DIR`, or `synthetic:KEY=VALUE,...`.
        input: the input size of the network, (C, H, W) in pixels; the default size of synthetic images.
        split: the fractions (validation, test) by which a data set without splits is divided, by a hash of each image's name.
        seed: the default seed of synthetic images.
        skip_bad: leave out broken links and folders that cannot be read, with a note; otherwise they are an error.
        classes: the default number of classes of synthetic images.
        purpose: what the images are for. "evaluate" also opens a folder without training images, or with a single class; the
            classes are then those of all its splits.
        version: of the rules by which folders are read and divided, as recorded with a run; see `dividing`.
        progress: is called now and then while files are listed, as `progress("listing", images, None)`.

    Raises:
        ArgumentError: `text` names no kind of data set, or files that are missing or cannot be read.
        DataError: the data set is damaged, or has no classes or images.
    """
    if not (min(split) >= 0 and sum(split) < 1):
        fractions = f"{split[0]:g} for validation and {split[1]:g} for test"
        raise refuse("invalid-split", f"the fractions {fractions} leave no images for training")
    if not 1 <= version <= DATA_VERSION:
        message = f"the data were divided by rules of a later version of resnet-spec ({version})"
        raise refuse("later-version", message, "update resnet-spec")
    name, _, options = text.partition(":")
    if (kind := KINDS.get(name)) is None:
        raise _refuse_kind(text, name)
    request = DataRequest(text, options, input, split, seed, skip_bad, classes, purpose, version, progress)
    if kind.has_folder:
        _require_folder(kind, options)
    try:
        return kind.open(request)
    except OSError as error:
        place = printable(str(error.filename or options))
        raise refuse("unreadable-file", f"`{place}` cannot be read ({error.strerror})") from None


def open_some_data(
    text: str,
    *,
    input: tuple[int, int, int],
    split: tuple[float, float],
    skip_bad: bool = False,
    classes: int | None = None,
    version: int = DATA_VERSION,
    progress: ReportCount | None = None,
) -> Data:
    """Open a data set as for training, or for evaluation if it has no training images. See `open_data`."""
    opened = partial(open_data, text, input=input, split=split, skip_bad=skip_bad, classes=classes)
    opened = partial(opened, version=version, progress=progress)
    try:
        return opened(purpose="train")
    except DataError as error:
        if error.diagnostics[0].code != "data-split":
            raise
    return opened(purpose="evaluate")


def _require_folder(kind: DataKind, options: str) -> None:
    if not options:
        raise refuse("missing-data", f"`{kind.name}` needs the folder of its files", f"write `{kind.usage}`")
    path = os.path.expanduser(options)
    if not os.path.isdir(path):
        why = "is not a folder" if os.path.exists(path) else "does not exist"
        is_archive = options.lower().endswith(_ARCHIVES)
        help = "unpack it, and name the folder of its files" if is_archive else ""
        raise refuse("missing-data", f"`{printable(options)}` {why}", help)


def _refuse_kind(text: str, name: str) -> ResnetSpecError:
    if os.path.isdir(os.path.expanduser(text)):
        folder = printable(text)
        return refuse("unknown-data", f"`{folder}` is given without a kind of data set", f"write `folder:{folder}`")
    synonyms = {synonym: kind.name for kind in KINDS.values() for synonym in kind.synonyms}
    message = f"there is no kind of data set called `{printable(name)}`"
    return refuse("unknown-data", message, suggestion(name, list(KINDS), synonyms))
