"""Recognizes how a folder of images is arranged: which of its folders are splits, and where its class folders are."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from resnet_spec.data.dividing import SPLITS, SplitKind

# The names of splits, in lower case; of two folders for one split, that with the earlier name is used.
_WORDS: dict[SplitKind, tuple[str, ...]] = {
    "train": ("train", "training"),
    "validation": ("val", "valid", "validation", "validate", "validating", "dev", "development", "eval", "evaluation"),
    "test": ("test", "testing"),
}
_SPLIT_OF = {word: split for split, words in _WORDS.items() for word in words}
PLAIN = ("train", "val", "valid", "validation", "test")  # names that need no explanation
# Words that may accompany that of a split: `train_images`, `Test Set`, `2017-val`.
_NEUTRAL = frozenset(
    ("set", "data", "dataset", "images", "image", "imgs", "img", "pictures", "photos", "split", "folder", "dir")
)
# Folders of images, and of what was drawn over these images to label their pixels: a data set for another task.
_IMAGES = frozenset(("image", "images", "img", "imgs", "jpegimages", "picture", "pictures", "photo", "photos"))
_DRAWN = frozenset(
    ("mask", "masks", "label", "labels", "annotation", "annotations", "segmentation", "segmentations", "gt", "groundtruth")
)
_WORD = re.compile(r"[^\W\d_]+")
_COMPOUND = re.compile(rf"({'|'.join(sorted(_SPLIT_OF, key=len, reverse=True))})({'|'.join(sorted(_NEUTRAL))})")


@dataclass(frozen=True, slots=True)
class SplitFolders:
    """The folder of each split that there is, and folders that would be the same split and are not read."""

    used: Mapping[SplitKind, str]
    unused: Mapping[SplitKind, tuple[str, ...]]


def find_splits(places: Sequence[str], with_folders: Sequence[str], version: int) -> SplitFolders | None:
    """The splits among the folders `places`, of which `with_folders` have folders themselves; None where there are none.

    A folder is a split if it is called so and has folders. If there is one, others may lack folders: they are empty splits.
    """
    if version == 1:
        named: dict[SplitKind, list[str]] = {
            "train": ["train"],
            "validation": [name for name in ("val", "valid", "validation") if name in places],
            "test": ["test"] if "test" in places else [],
        }
        if "train" not in with_folders:
            return None
    else:
        named = _name_splits(places)
        if not any(name in with_folders for names in named.values() for name in names):
            return None
        for names in named.values():
            names.sort(key=lambda name: name not in with_folders)  # stable: an empty folder is only used if there is no other
    return SplitFolders(
        {split: names[0] for split, names in named.items() if names},
        {split: tuple(names[1:]) for split, names in named.items() if names[1:]},
    )


def name_same_class_in_splits(names: Sequence[str]) -> list[str]:
    """Names that are those of several splits, such as `train_cat` and `test_cat`; none if there are no such names."""
    named = [each for each in _name_splits(names).values() if each]
    return sorted(name for each in named for name in each) if len(named) > 1 else []


def find_images_and_masks(names: Sequence[str]) -> list[str]:
    """The names of a folder of images, and of folders of the masks of these images; none if there are not both."""
    words = {name: set(_words_of(name)) for name in names}
    images = [name for name in names if words[name] and words[name] <= _IMAGES]
    masks = [name for name in names if words[name] & _DRAWN]
    return [*images, *masks] if images and masks else []


def is_split_name(name: str) -> bool:
    """Whether a folder of this name is called like a split, whatever is next to it."""
    split, rest = _parse(name)
    return split is not None and not rest


def may_be_split(name: str) -> bool:
    """Whether a folder of this name may be a split, depending on those next to it."""
    return _parse(name)[0] is not None


def _name_splits(places: Sequence[str]) -> dict[SplitKind, list[str]]:
    """The folders that are called like each split, the preferred ones first.

    A name is a split's word, alone or with words that mean nothing. Any other words have to be those of another split as well,
    as in `seg_train` and `seg_test`; `steam_train` alone is a class.
    """
    groups: dict[tuple[str, ...], dict[SplitKind, list[str]]] = {}
    for name in places:
        split, rest = _parse(name)
        if split is not None:
            groups.setdefault(rest, {split: [] for split in SPLITS})[split].append(name)
    several = {rest: named for rest, named in groups.items() if not rest or sum(map(bool, named.values())) > 1}
    if not several:
        return {split: [] for split in SPLITS}
    best = max(several, key=lambda rest: (sum(map(bool, several[rest].values())), not rest))
    return {split: sorted(names, key=lambda name: _preference(split, name)) for split, names in several[best].items()}


def _preference(split: SplitKind, name: str) -> tuple[int, bool, str]:
    words = _words_of(name)
    return min(_WORDS[split].index(word) for word in words if _SPLIT_OF.get(word) == split), name.lower() != name, name


def _parse(name: str) -> tuple[SplitKind | None, tuple[str, ...]]:
    """The split that a name means, and its other words; None where it means none, or several."""
    words = _words_of(name)
    splits = [word for word in words if word in _SPLIT_OF]
    if len(splits) != 1:
        return None, ()
    return _SPLIT_OF[splits[0]], tuple(word for word in words if word not in _SPLIT_OF and word not in _NEUTRAL)


def _words_of(name: str) -> list[str]:
    """The words of a name in lower case, compounds such as `trainset` divided."""
    words: list[str] = []
    for word in _WORD.findall(re.sub(r"(?<=[a-z])(?=[A-Z])", " ", name)):
        word = word.casefold()
        compound = _COMPOUND.fullmatch(word)
        words += compound.groups() if compound else [word]
    return words
