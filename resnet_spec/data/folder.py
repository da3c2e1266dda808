"""A folder with a folder of images for each class, the layout of torchvision's ImageFolder.

The folder contains either `train/` and optionally `val/` and `test/`, each with class folders, or the class folders themselves.
In the latter case, images are split by a hash of their names.
"""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

from resnet_spec.data.dataset import Data
from resnet_spec.data.duplicates import find_duplicates
from resnet_spec.data.listing import Listed, Listing
from resnet_spec.data.refusal import refuse
from resnet_spec.diagnostics import printable
from resnet_spec.diagnostics.text import join_first

VALIDATION = ("val", "valid", "validation")
_SEPARATE = "put the images of each class into a separate folder"


def open_folder(text: str, root: Path, split: tuple[float, float], skip_bad: bool) -> Data:
    """Open the images below `root`. `split`: fractions (validation, test) for images without splits. Raises as `open_data`."""
    listing = Listing(root)
    places = listing.folders()
    shown = printable(text.partition(":")[2])
    notes: list[str] = []
    if "train" in places and listing.folders("train"):
        classes, splits = _read_splits(listing, places, notes)
    else:
        if places and set(places) <= {"train", "test", *VALIDATION}:
            raise refuse("no-classes", f"`{shown}/train` has no class folders", _SEPARATE)
        classes, splits = _make_splits(listing, places, split, notes)
    notes += listing.check(skip_bad)
    if not classes:
        if listing.images("", nested=False):
            raise refuse("no-classes", f"the images in `{shown}` are not in class folders", _SEPARATE)
        raise refuse(
            "no-images", f"`{shown}` has no class folders with images", "images are recognized by their suffix, such as .jpg"
        )
    if len(classes) == 1:
        raise refuse("no-classes", f"there is only one class, `{printable(classes[0])}`; a classifier needs at least two")
    if not splits[0].names:
        raise refuse("no-images", f"no image of `{shown}` is left for training", "give smaller fractions to the other splits")
    notes += find_duplicates(root, splits)
    train, validation, test = (listed.split(root) for listed in splits)
    return Data("folder", text, classes, train, validation, test, None, None, tuple(notes), root)


def _read_splits(listing: Listing, places: list[str], notes: list[str]) -> tuple[tuple[str, ...], list[Listed]]:
    """Classes and splits of a folder that has splits."""
    train = {name: listing.images(f"train/{name}") for name in listing.folders("train")}
    _note_empty([name for name, images in train.items() if not images], "train", notes)
    classes = tuple(name for name, images in train.items() if images)
    number = {name: label for label, name in enumerate(classes)}
    splits = [_listed("train", train, number)]
    validation = [name for name in VALIDATION if name in places]
    if len(validation) > 1:
        notes.append(f"`{validation[0]}` is the validation split; `{'`, `'.join(validation[1:])}` is not read")
    for what, place in (("validation", validation[0] if validation else None), ("test", "test" if "test" in places else None)):
        if place is None:
            splits.append(Listed(what, (), ()))
            continue
        found = {name: listing.images(f"{place}/{name}") for name in listing.folders(place)}
        if classes and (strange := [name for name, images in found.items() if images and name not in number]):
            names = join_first([f"`{printable(name)}`" for name in strange])
            raise refuse("class-not-in-train", f"`{place}` has classes without images in `train`: {names}")
        splits.append(_listed(what, {name: images for name, images in found.items() if images}, number))
        if not splits[-1].names:
            notes.append(f"`{place}` has no class folders with images")
        elif lacking := [f"`{printable(name)}`" for name in classes if not found.get(name)]:
            notes.append(f"`{place}` has no images of {join_first(lacking)}")
    for place in ("train", *validation[:1], *(["test"] if "test" in places else [])):
        _note_loose(listing.images(place, nested=False), notes)
    return classes, splits


def _make_splits(
    listing: Listing, places: list[str], split: tuple[float, float], notes: list[str]
) -> tuple[tuple[str, ...], list[Listed]]:
    """Classes and splits of a folder of class folders."""
    found = {name: listing.images(name) for name in places}
    classes = tuple(name for name, images in found.items() if images)
    if classes:
        _note_empty([name for name, images in found.items() if not images], "", notes)
        _note_loose(listing.images("", nested=False), notes)
    names: dict[str, list[str]] = {"train": [], "validation": [], "test": []}
    labels: dict[str, list[int]] = {what: [] for what in names}
    for label, one in enumerate(classes):
        for name in found[one]:
            what = split_of(name, split)
            names[what].append(name)
            labels[what].append(label)
    if lacking := [f"`{printable(one)}`" for label, one in enumerate(classes) if label not in set(labels["train"])]:
        notes.append(f"the split leaves no training image of {join_first(lacking)}")
    return classes, [Listed(what, names[what], labels[what]) for what in names]


def split_of(name: str, split: tuple[float, float]) -> str:
    """The split of an image, which depends only on its name, so adding or removing other images does not change it.

    The test split is chosen first, so changing the fraction for validation does not change it.
    """
    validation, test = split
    place = int.from_bytes(hashlib.sha256(os.fsencode(name)).digest()[:8], "big") / 2**64
    return "test" if place < test else "validation" if place < test + validation else "train"


def _listed(what: str, images: dict[str, list[str]], number: dict[str, int]) -> Listed:
    pairs = [(path, number[name]) for name, paths in images.items() for path in paths]
    return Listed(what, [path for path, _ in pairs], [label for _, label in pairs])


def _note_empty(names: list[str], place: str, notes: list[str]) -> None:
    if names:
        where = f" of `{place}`" if place else ""
        notes.append(f"folders{where} without images are not classes: {join_first([f'`{printable(name)}`' for name in names])}")


def _note_loose(images: list[str], notes: list[str]) -> None:
    if images:
        notes.append(
            f"images outside the class folders are not read: {join_first([f'`{printable(name)}`' for name in images])}"
        )
