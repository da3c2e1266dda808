"""Which images are evaluated: a split of the run's own data, or all images of other data.

A folder counts as the run's own when names and sizes of its files overlap the list of images that the run held out, wherever it
is now. Its splits are then those of the list, so that no image of the training is scored as one that the network has not seen.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np

from resnet_spec.data import Data, Split
from resnet_spec.data.dataset import Pixels
from resnet_spec.data.decode import Levels
from resnet_spec.diagnostics import ArgumentError, DataError, Diagnostic, printable
from resnet_spec.training.held_out import HeldOut, read_held_out
from resnet_spec.training.run_record import RUN_FILE, read_record
from resnet_spec.training.splits import subset, with_held_out
from resnet_spec.weights.metadata import WeightsFacts

SplitName = Literal["train", "validation", "test", "all"]
SPLITS: tuple[SplitName, ...] = ("train", "validation", "test", "all")
SYNONYMS = {"val": "validation", "valid": "validation", "dev": "validation", "training": "train", "testing": "test"}
OVERLAP = 0.5  # of the images of the smaller of list and folder, for a folder that is the run's own


@dataclass(frozen=True, slots=True)
class Chosen:
    """The images to evaluate, as a split with its name, of how many there are; and notes on the choice."""

    split: Split
    name: SplitName
    available: int
    notes: tuple[str, ...] = ()


def read_list(path: Path, text: str) -> HeldOut | None:
    """What a run held out, of weights at `path` that name `text` as their data; None where that is not known.

    It is not known for weights without the folder of their run, and for runs of version 0.1.0.
    """
    run = path if path.is_dir() else path.parent
    if not (run / RUN_FILE).is_file():
        return None
    with suppress(ArgumentError):
        record = read_record(run)
        if record.data == text and record.data_version > 1:
            return read_held_out(run) or {}
    return None


def choose_images(
    data: Data,
    facts: WeightsFacts,
    held_out: HeldOut | None,
    asked: SplitName | None,
    *,
    named: bool,
    trained_here: bool = True,
) -> Chosen:
    """Choose the images of opened data to evaluate. `named`: they were named, and not found by the run.

    Where weights were not `trained_here`, no image is known to be of their training.

    `asked` None means the test images, or all where the data are others without splits. Raises DataError where there is no such
    split.
    """
    if trained_here and (held_out is None or not named or _is_own(data, held_out)):
        return _choose_own(data, facts, held_out, asked, named=named)
    parts = _parts(data)
    if not data.divided:
        notes = ("the data are not those of the run: no image was held out or left out",) if trained_here else ()
        return _choose(data, parts, asked or "test", *notes)
    if asked not in (None, "all"):
        other = ", and is not the data of the run" if trained_here else ""
        message = f"{printable(data.text)} has no splits{other}: its images are one set"
        help = "leave `--split` out, or write `--split all`"
        raise DataError([Diagnostic("data-split", message, None, help=help)])
    why = "the data are not those of the run, and have no splits" if trained_here else "the data have no splits"
    return _choose(data, parts, "all", why)


def _choose_own(data: Data, facts: WeightsFacts, held_out: HeldOut | None, asked: SplitName | None, *, named: bool) -> Chosen:
    """Choose among the images of the run, or of data of which nothing is known: the rules of the training divide them."""
    with suppress(ValueError):  # other data may have too few images to hold some out
        data = with_held_out(data, *facts.hold_out, facts.rules)
    parts = _parts(data)
    if held_out:
        parts = _as_listed(parts, held_out)
    notes = []
    if held_out is None and named and data.divided and asked != "all":
        notes.append(
            "without the list in the run's folder it is not known whether these are its images, so only those are scored that "
            "its rule would hold out; `--split all` takes all"
        )
    return _choose(data, parts, asked or "test", *notes)


def _choose(data: Data, parts: dict[SplitName, Split], name: SplitName, *notes: str) -> Chosen:
    available = sum(map(len, parts.values()))
    if name == "all" and parts:
        return Chosen(join_splits(list(parts.values())), "all", available, notes)
    if name not in parts:
        message = f"{printable(data.text)} has no {name} images"
        names = [*parts, "all"] if len(parts) > 1 else [*parts]
        help = f"`--split` takes {', '.join(names)} here"
        raise DataError([Diagnostic("data-split", message, None, help=help)])
    return Chosen(parts[name], name, available, notes)


def _parts(data: Data) -> dict[SplitName, Split]:
    splits: dict[SplitName, Split | None] = {"train": data.train, "validation": data.validation, "test": data.test}
    return {name: split for name, split in splits.items() if split is not None and len(split)}


def _is_own(data: Data, held_out: HeldOut) -> bool:
    """Whether names and sizes of the files of a data set overlap those that a run held out."""
    if data.home is None:
        return True
    names = {split.name(i) for split in _parts(data).values() for i in range(len(split))}
    listed = {name: size for images in held_out.values() for name, size in images.items()}
    if not listed:
        return not data.divided  # the data of the run had all splits that it needed
    same = sum(name in names and _size(data.home / name) == size for name, size in listed.items())
    return same >= max(1.0, OVERLAP * min(len(listed), len(names)))


def _size(path: Path) -> int | None:
    try:
        return os.stat(path).st_size
    except OSError:
        return None


def _as_listed(parts: dict[SplitName, Split], held_out: HeldOut) -> dict[SplitName, Split]:
    """The parts as the run had them, where images were added or removed since: a listed image is in the split of the list."""
    place: dict[str, SplitName] = {name: split for split in SPLITS if split in held_out for name in held_out[split]}
    wanted: dict[SplitName, list[tuple[Split, list[int]]]] = {}
    moved = False
    for here, split in parts.items():
        groups: dict[SplitName, list[int]] = {}
        for i in range(len(split)):
            there = place.get(split.name(i), "train" if here in held_out else here)
            groups.setdefault(there, []).append(i)
            moved |= there != here
        for there, indices in groups.items():
            wanted.setdefault(there, []).append((split, indices))
    if not moved:
        return parts
    found = {there: join_splits([subset(split, indices) for split, indices in groups]) for there, groups in wanted.items()}
    return {name: found[name] for name in SPLITS if name in found}


@dataclass(frozen=True, slots=True)
class _Joined:
    """Reads the images of several splits, one after the other; an object, so that it can be pickled for workers."""

    splits: tuple[Split, ...]

    def read(self, i: int) -> Pixels:
        split, index = self._find(i)
        return split.read(index)

    def name(self, i: int) -> str:
        split, index = self._find(i)
        return split.name(index)

    def read_with(self, levels: Levels) -> Callable[[int], Pixels]:
        found = [split if split.read_with is None else replace(split, read=split.read_with(levels)) for split in self.splits]
        return _Joined(tuple(found)).read

    def _find(self, i: int) -> tuple[Split, int]:
        for split in self.splits:
            if i < len(split):
                return split, i
            i -= len(split)
        raise IndexError(i)


def join_splits(splits: Sequence[Split]) -> Split:
    """The images of several splits as one."""
    if len(splits) == 1:
        return splits[0]
    joined = _Joined(tuple(splits))
    labels = np.concatenate([split.labels for split in splits])
    levels = joined.read_with if any(split.read_with is not None for split in splits) else None
    return Split(labels, joined.read, joined.name, None, levels)
