"""Finds files with equal content in two splits or two classes."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Hashable, Iterable, Sequence
from pathlib import Path

import numpy as np

from resnet_spec.data.listing import Listed
from resnet_spec.diagnostics import printable
from resnet_spec.diagnostics.text import count_text, join_first

MOST_FILES = 200_000  # with more, the search would take minutes
_HEAD = 4096  # bytes

_Member = tuple[str, str, int]  # split, name, class


def find_duplicates(root: Path, splits: Sequence[Listed]) -> tuple[str, ...]:
    """Notes on files whose content is in more than one split or more than one class.

    Only files of equal size are opened, and only those with the same beginning are read whole. A file that cannot be read is
    left out: it is reported when it is decoded.
    """
    count = sum(len(listed.names) for listed in splits)
    if count > MOST_FILES:
        return (f"duplicates were not searched for, since there are more than {MOST_FILES} images",)

    def head(member: _Member) -> Hashable:
        with open(root / member[1], "rb") as file:
            return file.read(_HEAD)

    def content(member: _Member) -> Hashable:
        with open(root / member[1], "rb") as file:
            return hashlib.file_digest(file, "blake2b").digest()

    groups = _of_equal_size(root, splits)
    for key in (head, content):
        groups = [part for group in groups for part in _divide(group, key)]
    across = [group for group in groups if len({what for what, _, _ in group}) > 1]
    between = [group for group in groups if len({label for _, _, label in group}) > 1]
    notes = []
    if across:
        notes.append(f"in more than one split, which makes results look better than they are: {_summarize(across, _split)}")
    if between:
        notes.append(f"in more than one class: {_summarize(between, _class)}")
    return tuple(notes)


def _of_equal_size(root: Path, splits: Sequence[Listed]) -> list[list[_Member]]:
    """The images that have the size of one in another split or class, by size."""
    places = [(listed.what, name, label) for listed in splits for name, label in zip(listed.names, listed.labels, strict=True)]
    sizes = np.fromiter((_size(f"{root}{os.sep}{name}") for listed in splits for name in listed.names), np.int64)
    order = np.argsort(sizes, kind="stable")
    order = order[np.searchsorted(sizes[order], 1) :]  # empty files are bad images, not duplicates
    runs = [run for run in np.split(order, np.flatnonzero(np.diff(sizes[order])) + 1) if len(run) > 1]
    groups = ([places[i] for i in run.tolist()] for run in sorted(runs, key=lambda run: int(run[0])))
    return [group for group in groups if len({(what, label) for what, _, label in group}) > 1]


def _size(path: str) -> int:
    try:
        return os.stat(path).st_size
    except OSError:
        return 0


def _divide(group: Iterable[_Member], key: Callable[[_Member], Hashable]) -> list[list[_Member]]:
    """Divide a group by `key`; only parts in more than one split or class are returned."""
    parts: dict[Hashable, list[_Member]] = {}
    for member in group:
        try:
            value = key(member)
        except OSError:
            continue
        if value is not None:
            parts.setdefault(value, []).append(member)
    return [part for part in parts.values() if len({(what, label) for what, _, label in part}) > 1]


def _split(member: _Member) -> str:
    return member[0]


def _class(member: _Member) -> int:
    return member[2]


def _summarize(groups: Sequence[Sequence[_Member]], part: Callable[[_Member], Hashable]) -> str:
    """The number of groups, and for some of them two members that differ in `part`."""
    pairs = [(group[0], next(member for member in group if part(member) != part(group[0]))) for group in groups]
    shown = join_first([" = ".join(f"`{printable(name)}` ({what})" for what, name, _ in pair) for pair in pairs])
    return f"{count_text(len(groups), 'image')} ({shown})"
