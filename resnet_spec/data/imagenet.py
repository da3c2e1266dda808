"""ImageNet as ILSVRC 2012 publishes it (Russakovsky et al. 2015, arXiv:1409.0575).

The images are in `train/n01440764/*.JPEG`, and in `val/` with such folders, or directly in `val/` with a list of their classes
next to it. Papers report the accuracy on the official validation set, so it is the test split here, and there is no validation
split. Classes are numbered in the order of their WordNet numbers, as in all published weights.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path

from resnet_spec._system.files import require_regular
from resnet_spec.data.arrangement import note_unread
from resnet_spec.data.dataset import Data
from resnet_spec.data.dividing import DATA_VERSION
from resnet_spec.data.listing import Listed, Listing, ReportCount
from resnet_spec.data.refusal import refuse
from resnet_spec.diagnostics import printable
from resnet_spec.diagnostics.text import join_first

_WORDNET = re.compile(r"n\d{8}")
_SOLUTION = "LOC_val_solution.csv"
_BELOW = ("", "ILSVRC/Data/CLS-LOC", "Data/CLS-LOC")  # the latter in Kaggle's archives
_PUBLISHED = {"train": 1_281_167, "test": 50_000}


def open_imagenet(
    text: str, root: Path, skip_bad: bool, *, version: int = DATA_VERSION, progress: ReportCount | None = None
) -> Data:
    """Open the data set in `root`. The arguments are those of `open_data`, and so are the errors."""
    shown = printable(text.partition(":")[2])
    home = next((root / place for place in _BELOW if (root / place / "train").is_dir()), None)
    if home is None:
        raise refuse(
            "missing-data", f"`{shown}` has no folder `train`", "unpack the archives so that `train` and `val` are there"
        )
    listing = Listing(home, version, progress)
    numbers = [name for name in listing.folders("train") if _WORDNET.fullmatch(name)]
    contents = {name: listing.scan(f"train/{name}") for name in numbers}
    found = {name: each.images for name, each in contents.items()}
    numbers = [name for name in numbers if found[name]]
    if len(numbers) < 2:
        raise refuse(
            "no-classes",
            f"`{shown}/train` has {len(numbers)} class folders such as `n01440764` with images",
            "unpack the archive of each class into a folder of its name; other folders of images are opened with `folder:DIR`",
        )
    label = {name: i for i, name in enumerate(numbers)}
    pairs = [(path, label[name]) for name in numbers for path in found[name]]
    train = Listed("train", [path for path, _ in pairs], [i for _, i in pairs])
    test = _test(listing, root, label, shown)
    notes = list(listing.check(skip_bad))
    if empty := [name for name in found if not found[name]]:
        notes.append(f"folders of `train` without images are not classes: {join_first([f'`{name}`' for name in empty])}")
    if version > 1:
        notes += note_unread(contents.values())
    if not test.names:
        notes.append("there is no `val` with images, so there is no test split")
    if len(numbers) == 1000:
        for listed in (train, test):
            if listed.names and len(listed.names) != _PUBLISHED[listed.what]:
                notes.append(f"{len(listed.names)} images of {listed.what}, but {_PUBLISHED[listed.what]} are published")
    classes = _class_names(numbers, root, home)
    return Data(
        "imagenet",
        text,
        classes,
        train.split(home),
        None,
        test.split(home),
        None,
        None,
        tuple(notes),
        files=home,
        version=version,
    )


def _test(listing: Listing, root: Path, label: Mapping[str, int], shown: str) -> Listed:
    if "val" not in listing.folders():
        return Listed("test", (), ())
    folders = [name for name in listing.folders("val") if _WORDNET.fullmatch(name)]
    if folders:
        pairs = [(path, name) for name in folders for path in listing.images(f"val/{name}")]
    else:
        flat = listing.images("val")
        if listing.version == 1:
            flat = [path for path in flat if path.rpartition("/")[0] in ("val", "val/images")]
        if not flat:
            return Listed("test", (), ())
        answers = _answers(root, listing.root)
        if not answers:
            raise refuse(
                "flat-validation",
                f"the images of `{shown}/val` are not in class folders, and no list of their classes was found",
                f"move them into folders such as `val/n01440764`, or put Kaggle's `{_SOLUTION}` into `{shown}`",
            )
        if unknown := [path for path in flat if Path(path).stem not in answers]:
            names = join_first([f"`{printable(path)}`" for path in unknown])
            raise refuse("damaged-data", f"the list of the classes of `{shown}/val` lacks {names}", "download it again")
        pairs = [(path, answers[Path(path).stem]) for path in flat]
    if strange := sorted({name for _, name in pairs if name not in label}):
        names = join_first([f"`{printable(name)}`" for name in strange])
        raise refuse("class-not-in-train", f"`val` has classes without images in `train`: {names}")
    return Listed("test", [path for path, _ in pairs], [label[name] for _, name in pairs])


def _answers(root: Path, home: Path) -> dict[str, str]:
    """The WordNet number of each image, by its name without suffix: from Kaggle's list, or from that of Tiny ImageNet."""
    solution = _lines((root / _SOLUTION, home / _SOLUTION))
    if any(line.startswith("ImageId,") for line in solution):
        answers = {name: prediction.split() for name, _, prediction in (line.partition(",") for line in solution)}
        return {name: words[0] for name, words in answers.items() if words and _WORDNET.fullmatch(words[0])}
    rows = (line.split("\t") for line in _lines((home / "val" / "val_annotations.txt",)))
    return {Path(row[0]).stem: row[1] for row in rows if len(row) > 1}


def _class_names(numbers: list[str], root: Path, home: Path) -> tuple[str, ...]:
    """The first name of each class in a list that often comes with the images, else the WordNet numbers; all distinct."""
    words: dict[str, str] = {}
    for name in ("LOC_synset_mapping.txt", "synset_words.txt", "words.txt"):
        for line in _lines((root / name, home / name)):
            number, _, synonyms = line.strip().replace("\t", " ").partition(" ")
            words.setdefault(number, synonyms.partition(",")[0].strip())
    for path in (root / "imagenet_class_index.json", home / "imagenet_class_index.json"):
        try:
            entries = json.loads(require_regular(path).read_text(encoding="utf-8")).values()
            words |= {number: str(word) for number, word in entries}
        except (OSError, ValueError, AttributeError, TypeError):
            continue
    names = [words.get(number) or number for number in numbers]
    twice = {name for name in names if names.count(name) > 1}
    return tuple(f"{name} ({number})" if name in twice else name for name, number in zip(names, numbers, strict=True))


def _lines(paths: tuple[Path, ...]) -> list[str]:
    """The lines of the first of these files that exists; none if no file does."""
    for path in paths:
        if path.is_file():
            with path.open(encoding="utf-8", errors="replace") as file:
                return list(file)
    return []
