"""Gray images whose values are wider than a byte: which values they use, and which become 0 and 255."""

from __future__ import annotations

from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from resnet_spec.data.dataset import BadImage, Data, Split
from resnet_spec.data.decode import Levels, Look, look_at
from resnet_spec.diagnostics.text import count_text

SAMPLE = 32  # images of a split
_NARROW = 0x10000 // 4  # values that give fewer than 64 of 256 levels


@dataclass(frozen=True, slots=True)
class Sample:
    """What some images of a data set are: how many were looked at, how many are gray, and how those of wide values are."""

    images: int
    gray: int
    wide: tuple[Look, ...]

    @property
    def fractions(self) -> int:
        return sum(look.fractions for look in self.wide)


def sample_images(data: Data) -> Sample:
    """Look at some images of each split, evenly spread. Those that cannot be read are left out: they are reported when read."""
    looks: list[Look] = []
    for split in (data.train, data.validation, data.test):
        if split is not None and data.home is not None:
            looks += _look(data.home, split, _spread(len(split), SAMPLE))
    return Sample(len(looks), sum(look.gray for look in looks), tuple(look for look in looks if look.levels is not None))


def note_levels(sample: Sample) -> list[str]:
    """Notes on images of wide values that would not be read well without `levels`."""
    notes = []
    if sample.fractions:
        notes.append(
            f"the pixels of {sample.fractions} of {count_text(sample.images, 'image')} are fractions, whose range is unknown: "
            "set it in the recipe, such as `levels: [0, 1]`, or `levels: data`"
        )
    whole = [look.levels for look in sample.wide if look.levels is not None and not (look.fractions or look.as_bytes)]
    if whole:
        least, most = min(levels[0] for levels in whole), max(levels[1] for levels in whole)
        if most - least < _NARROW and least >= 0 and most <= 0xFFFF:
            kept = (int(most) >> 8) - (int(least) >> 8) + 1
            notes.append(
                f"16-bit images use the values {least:.0f} to {most:.0f} alone, which leaves {kept} of 256 gray levels in "
                "their upper byte: `levels: data` in the recipe spreads these values over all of them"
            )
    return notes


def measure_levels(home: Path, split: Split) -> Levels | None:
    """The least and the greatest value of all images of a split; None where all values are bytes, or equal."""
    looks = [look for look in _look(home, split, range(len(split))) if look.levels is not None]
    found = [look.levels for look in looks if look.levels is not None]
    if all(look.as_bytes for look in looks):
        return None
    least, most = min(levels[0] for levels in found), max(levels[1] for levels in found)
    return (least, most) if least < most else None


def apply_levels(data: Data, levels: Levels | None) -> Data:
    """The data with images that are read with `levels`, if they are files."""
    if levels is None:
        return data

    def changed(split: Split | None) -> Split | None:
        return split if split is None or split.read_with is None else replace(split, read=split.read_with(levels))

    return replace(data, train=changed(data.train), validation=changed(data.validation), test=changed(data.test))


def _look(home: Path, split: Split, indices: Iterable[int]) -> list[Look]:
    """Look at images of a split, except those that cannot be read."""
    with ThreadPoolExecutor(4) as pool:
        return [look for look in pool.map(partial(_look_at_one, home, split), indices) if look is not None]


def _look_at_one(home: Path, split: Split, i: int) -> Look | None:
    try:
        return look_at(home / split.name(i))
    except BadImage:
        return None


def _spread(count: int, most: int) -> list[int]:
    """At most `most` of the numbers below `count`, evenly spread."""
    return list(range(count)) if count <= most else [i * count // most for i in range(most)]
