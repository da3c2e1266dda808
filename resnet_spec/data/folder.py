"""A folder with a folder of images for each class, the layout of torchvision's ImageFolder.

The folder contains either folders for splits (`train/`, `val/`, `test/`, and other names that people give them), each with
class folders, or the class folders themselves. In the latter case, images are divided by a hash of their names.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np

from resnet_spec.data.arrangement import check_classes, note_sibling_splits, note_unread, suggest_class_folders
from resnet_spec.data.class_names import find_near_miss, note_near_misses
from resnet_spec.data.dataset import Data
from resnet_spec.data.dividing import DATA_VERSION, SPLITS, SplitKind, divide
from resnet_spec.data.duplicates import find_duplicates
from resnet_spec.data.layout import PLAIN, SplitFolders, find_splits, is_split_name, may_be_split, name_same_class_in_splits
from resnet_spec.data.listing import Contents, Listed, Listing, ReportCount
from resnet_spec.data.refusal import refuse
from resnet_spec.diagnostics import printable
from resnet_spec.diagnostics.text import count_text, join_first, join_words, quote_all, quote_first

DataPurpose = Literal["train", "evaluate"]
_SEPARATE = "put the images of each class into a separate folder"


def open_folder(
    text: str,
    root: Path,
    split: tuple[float, float],
    skip_bad: bool,
    *,
    purpose: DataPurpose = "train",
    version: int = DATA_VERSION,
    progress: ReportCount | None = None,
) -> Data:
    """Open the images below `root`. The arguments are those of `open_data`, and so are the errors."""
    given = text.partition(":")[2]
    opening = _Opening(Listing(root, version, progress), root, given, purpose)
    classes, splits, divided = opening.read(split)
    notes = [*opening.notes, *opening.listing.check(skip_bad)]
    opening.check(classes, splits)
    notes += find_duplicates(root, splits)
    train, validation, test = (listed.split(root) for listed in splits)
    return Data(
        *("folder", text, classes, train, validation, test, None, None, tuple(notes), root),
        version=version,
        divided=divided,
    )


@dataclass(slots=True)
class _Opening:
    """A folder while it is opened. `given` is the folder as the user wrote it."""

    listing: Listing
    root: Path
    given: str
    purpose: DataPurpose
    notes: list[str] = field(default_factory=list)

    @property
    def shown(self) -> str:
        return printable(self.given)

    def read(self, split: tuple[float, float]) -> tuple[tuple[str, ...], list[Listed], tuple[str, ...]]:
        """Classes, splits, and which of these were divided from the rest, by the fractions `split`."""
        places = self.listing.folders()
        version = self.listing.version
        candidates = [name for name in places if (name == "train" if version == 1 else may_be_split(name))]
        splits = find_splits(places, [name for name in candidates if self.listing.folders(name)], version)
        if splits is not None:
            return (*self._read_splits(places, splits), ())
        alone = {"train", "val", "valid", "validation", "test"} if version == 1 else set(filter(is_split_name, places))
        if places and set(places) <= alone:
            place = "train" if version == 1 else min(places, key=lambda name: (not name.lower().startswith("train"), name))
            raise refuse("no-classes", f"`{self.shown}/{printable(place)}` has no class folders", _SEPARATE)
        return self._divide(places, split)

    def check(self, classes: Sequence[str], splits: Sequence[Listed]) -> None:
        """Raise DataError where there are too few classes or images."""
        if not classes:
            if self.listing.images("", nested=False):
                message = f"the images in `{self.shown}` are not in class folders"
                raise refuse("no-classes", message, suggest_class_folders(self.root, self.given) or _SEPARATE)
            message = f"`{self.shown}` has no class folders with images"
            raise refuse("no-images", message, "images are recognized by their suffix, such as .jpg")
        if self.purpose == "evaluate":
            return
        if len(classes) == 1:
            message = f"there is only one class, `{printable(classes[0])}`; a classifier needs at least two"
            raise refuse("no-classes", message, f"{_SEPARATE}; classes that a file lists are not read")
        if not splits[0].names:
            message = f"no image of `{self.shown}` is left for training"
            raise refuse("no-images", message, "give smaller fractions to the other splits")

    def _read_splits(self, places: list[str], splits: SplitFolders) -> tuple[tuple[str, ...], list[Listed]]:
        """Classes and splits of a folder that has splits."""
        self._note_splits(places, splits)
        if "train" not in splits.used and self.purpose == "train":
            self._refuse_without_train(places, splits)
        if self.purpose == "train" and not self.listing.folders(splits.used["train"]):
            message = f"`{self.shown}/{printable(splits.used['train'])}` has no class folders"
            raise refuse("no-classes", message, _SEPARATE)
        found: dict[SplitKind, dict[str, Contents]] = {}
        homes: dict[SplitKind, str] = {}
        for what, place in splits.used.items():
            homes[what] = self._class_home(place)
            found[what] = {name: self.listing.scan(f"{homes[what]}/{name}") for name in self.listing.folders(homes[what])}
            if self.listing.version > 1:
                self.notes += check_classes(self.listing, self.shown, homes[what], found[what])
        with_images = {what: [name for name, each in contents.items() if each.images] for what, contents in found.items()}
        first = next(what for what in SPLITS if what in found)
        classes = tuple(with_images[first])
        if self.purpose == "evaluate":
            classes = tuple(sorted({name for names in with_images.values() for name in names}))
        if first == "train":
            self._note_empty([name for name in found["train"] if name not in with_images["train"]], splits.used["train"])
        number = {name: label for label, name in enumerate(classes)}
        listed = []
        for what in SPLITS:
            if what in found and what != first:
                self._compare_classes(splits.used[what], with_images[what], classes)
            contents = found.get(what, {})
            pairs = [(name, number[one]) for one, each in contents.items() if each.images for name in each.images]
            listed.append(Listed(what, [name for name, _ in pairs], [label for _, label in pairs]))
        if self.listing.version > 1:
            self.notes += note_near_misses(sorted({name for names in with_images.values() for name in names}))
            self.notes += note_unread(each for contents in found.values() for each in contents.values())
        for place in homes.values():
            self._note_loose(self.listing.images(place, nested=False))
        return classes, listed

    def _note_splits(self, places: list[str], splits: SplitFolders) -> None:
        """Notes on what folders were taken for, where their names do not say it."""
        if self.listing.version > 1:
            named = [
                f"`{printable(place)}` is the {what} split"
                for what, place in splits.used.items()
                if place not in PLAIN and what not in splits.unused
            ]
            self.notes += [join_words(named, "and")] if named else []
        for what, others in splits.unused.items():
            rest = "`, `".join(map(printable, others))
            verb = "is" if len(others) == 1 else "are"
            self.notes.append(f"`{printable(splits.used[what])}` is the {what} split; `{rest}` {verb} not read")
        if self.listing.version > 1 and (rest_of := self._others(places, splits)):
            used = quote_all(list(splits.used.values()))
            self.notes.append(f"only the splits {used} are read, and not {quote_first(rest_of)}")

    def _others(self, places: list[str], splits: SplitFolders) -> list[str]:
        """The folders that are no splits and have folders or images."""
        known = {*splits.used.values(), *(name for names in splits.unused.values() for name in names)}
        rest = [name for name in places if name not in known]
        return [name for name in rest if self.listing.folders(name) or self.listing.images(name, nested=False)]

    def _refuse_without_train(self, places: list[str], splits: SplitFolders) -> None:
        has = quote_all(list(splits.used.values()))
        if others := self._others(places, splits):
            message = f"{has} looks like a split, and {quote_first(others)} like classes"
            raise refuse("unclear-layout", message, "put the class folders of the training images into a folder `train`")
        message = f"`{self.shown}` has no training images: it has only {has}"
        help = f"`resnet-spec eval RUN --data folder:{self.shown}` evaluates on these"
        raise refuse("data-split", message, f"{help}; call the folder of training images `train`")

    def _class_home(self, place: str) -> str:
        """The folder of a split's class folders: that of the split, or the only folder in it if that has several."""
        inside = self.listing.folders(place)
        if self.listing.version == 1 or len(inside) != 1 or self.listing.images(place, nested=False):
            return place
        home = f"{place}/{inside[0]}"
        if len(self.listing.folders(home)) < 2 or self.listing.images(home, nested=False):
            return place
        self.notes.append(f"the classes of `{printable(place)}` are in `{printable(home)}`")
        return home

    def _compare_classes(self, place: str, present: list[str], classes: Sequence[str]) -> None:
        """Raise DataError where a split has classes that are not trained on; else notes on those that it lacks."""
        known = set(classes)
        if classes and (strange := [name for name in present if name not in known]):
            near = [found for name in strange if (found := find_near_miss(name, classes))]
            help = f"{join_first(near)}: rename one of the folders" if near else ""
            message = f"`{printable(place)}` has classes without images in `train`: {quote_first(strange)}"
            raise refuse("class-not-in-train", message, help)
        if not present:
            self.notes.append(f"`{printable(place)}` has no class folders with images")
        elif lacking := sorted(known.difference(present)):
            self.notes.append(f"`{printable(place)}` has no images of {quote_first(lacking)}")

    def _divide(self, places: list[str], split: tuple[float, float]) -> tuple[tuple[str, ...], list[Listed], tuple[str, ...]]:
        """Classes and splits of a folder of class folders."""
        version = self.listing.version
        found = {name: self.listing.scan(name) for name in places}
        if version > 1:
            self.notes += check_classes(self.listing, self.shown, "", found)
            if same := name_same_class_in_splits([name for name, each in found.items() if each.images]):
                message = f"{quote_first(same)} are called like splits, but have no class folders"
                raise refuse("unclear-layout", message, "put the images into `train/CLASS`, `val/CLASS` and `test/CLASS`")
        classes = tuple(name for name, each in found.items() if each.images)
        if classes:
            self._note_empty([name for name, each in found.items() if not each.images], "")
            self._note_loose(self.listing.images("", nested=False))
        if version > 1:
            self.notes += note_near_misses(classes)
            self.notes += note_unread(found.values())
            if self.purpose == "train":
                self.notes += note_sibling_splits(self.listing, self.root, self.given, self.shown)
        names: dict[SplitKind, list[str]] = {what: [] for what in SPLITS}
        labels: dict[SplitKind, list[int]] = {what: [] for what in SPLITS}
        few: list[str] = []
        for label, one in enumerate(classes):
            images = found[one].images
            chosen = divide(images, split, version)
            for number, what in enumerate(SPLITS):
                indices = np.flatnonzero(chosen == number).tolist()
                names[what] += [images[i] for i in indices]
                labels[what] += [label] * len(indices)
            lacks = [what for what, part in zip(SPLITS[1:], split, strict=True) if part and SPLITS.index(what) not in chosen]
            if version > 1 and lacks:
                few.append(f"`{printable(one)}` ({count_text(len(images), 'image')}) has none for {join_words(lacks, 'and')}")
        divided = tuple(what for what in SPLITS[1:] if names[what])
        if version > 1 and divided and self.purpose == "train":
            shares = join_words(
                [f"{part:.3g} of it for {what}" for what, part in zip(SPLITS[1:], split, strict=True) if part], "and"
            )
            self.notes.append(f"the folder has no splits, so each class is divided: {shares} (`split` in the recipe)")
            if any(len(each.folders) > 1 for each in found.values()):
                self.notes.append(
                    "images of one folder in a class may come into several splits: where they are alike, like frames of "
                    "a video, put whole folders into `train/CLASS`, `val/CLASS` and `test/CLASS`"
                )
        if few:
            self.notes.append(f"too few images of a class: {join_first(few)}")
        trained = set(labels["train"])
        if lacking := [one for label, one in enumerate(classes) if label not in trained]:
            self.notes.append(f"the split leaves no training image of {quote_first(lacking)}")
        return classes, [Listed(what, names[what], labels[what]) for what in SPLITS], divided

    def _note_empty(self, names: list[str], place: str) -> None:
        if names:
            where = f" of `{printable(place)}`" if place else ""
            self.notes.append(f"folders{where} without images are not classes: {quote_first(names)}")

    def _note_loose(self, images: list[str]) -> None:
        if images:
            self.notes.append(f"images outside the class folders are not read: {quote_first(images)}")
