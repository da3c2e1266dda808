"""Finds folders that are not what they seem: classes that hold classes, splits inside classes, a class that would be lost.

Nothing here is guessed: what may mean two things is an error that names the folder to use.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path

from resnet_spec.data.dataset import BadImage
from resnet_spec.data.decode import look_at
from resnet_spec.data.layout import find_images_and_masks, find_splits, is_split_name
from resnet_spec.data.listing import Contents, Listing
from resnet_spec.data.refusal import refuse
from resnet_spec.diagnostics import ResnetSpecError, printable
from resnet_spec.diagnostics.text import join_first, quote_all, quote_first

# Images in formats that are not read, and what holds images in other forms.
_OTHER_IMAGES = frozenset(
    (
        *(".heic", ".heif", ".avif", ".jp2", ".j2k", ".jpx", ".jxl", ".jxr", ".svg", ".psd", ".tga", ".ico", ".eps", ".pcx"),
        *(".raw", ".cr2", ".cr3", ".nef", ".arw", ".dng", ".orf", ".rw2", ".raf", ".exr", ".hdr", ".dds", ".qoi", ".fits"),
        *(".dcm", ".dicom", ".nii", ".npy", ".npz", ".mat", ".mp4", ".mov", ".avi", ".webm", ".pdf", ".zip", ".tar", ".gz"),
    )
)
_MOST_SIBLINGS = 200  # folders next to one that are looked at


def check_classes(listing: Listing, shown: str, place: str, contents: Mapping[str, Contents]) -> list[str]:
    """Raise DataError where the folders in `place` do not look like classes; else notes on them.

    `shown` is the folder of the data set in messages; `contents` are the folders in `place`, by name.
    """
    for name, found in contents.items():
        if not found.images and found.unread:
            _refuse_lost_class(listing.root, _join(shown, f"{place}/{name}" if place else name), name, found)
    full = {name: found for name, found in contents.items() if found.images}
    if len(full) == 1:
        _refuse_one_too_high(listing, shown, place, *next(iter(full.items())))
    _refuse_same_folders(listing, shown, place, full)
    if both := find_images_and_masks(list(full)):
        message = (
            f"{quote_all(both) if len(both) < 4 else quote_first(both)} look like images and their masks, not like classes"
        )
        raise refuse(
            "unclear-layout", message, "put the images of each class into a separate folder; rename these, if they are classes"
        )
    nested = [
        f"`{printable(name)}` ({quote_first(list(found.folders))})" for name, found in full.items() if len(found.folders) > 1
    ]
    return [f"the images in folders of a class are all of that class: {join_first(nested)}"] if nested else []


def note_unread(contents: Iterable[Contents]) -> list[str]:
    """A note on the files that are not read, by suffix."""
    counts: Counter[str] = Counter()
    for found in contents:
        counts.update(found.unread)
    if not counts:
        return []
    return [f"files without the suffix of an image are not read: {_count_suffixes(counts)}"]


def _count_suffixes(counts: Mapping[str, int]) -> str:
    rows = sorted(counts.items(), key=lambda row: (-row[1], row[0]))
    return join_first([f"{count:,} {f'`{printable(suffix)}`' if suffix else 'without a suffix'}" for suffix, count in rows], 6)


def note_sibling_splits(listing: Listing, root: Path, given: str, shown: str) -> list[str]:
    """A note where the folder is itself a split of the folder above it."""
    root = root.resolve()
    if not is_split_name(root.name):
        return []
    above = Listing(root.parent)
    places = above.folders()[:_MOST_SIBLINGS]
    splits = find_splits(places, [name for name in places if is_split_name(name) and above.folders(name)], listing.version)
    if splits is None or root.name not in splits.used.values() or len(splits.used) < 2:
        return []
    others = quote_all([name for name in splits.used.values() if name != root.name])
    return [f"next to `{shown}` there is {others}; `folder:{_above(root, given)}` uses all of these splits"]


def suggest_class_folders(root: Path, given: str) -> str:
    """Help where a folder holds images alone: the folder above it, if it looks like the data set."""
    above = Listing(root.resolve().parent)
    siblings = above.folders()[:_MOST_SIBLINGS]
    if sum(bool(above.images(name, nested=False)) for name in siblings) > 1:
        return f"`{printable(root.resolve().name)}` may be a class of `folder:{_above(root.resolve(), given)}`"
    return ""


def _above(root: Path, given: str) -> str:
    """The folder above `root`, which the user wrote as `given`."""
    above, slash, name = given.rstrip("/").rpartition("/")
    return printable(above if slash and name == root.name else str(root.parent))


def _refuse_lost_class(root: Path, folder: str, name: str, found: Contents) -> None:
    """Raise DataError if a folder without images holds what should be images. `folder` is its path in messages."""
    strange = [suffix for suffix in found.unread if suffix in _OTHER_IMAGES]
    misnamed = not strange and _is_image(root, found.example)
    if not strange and not misnamed:
        return
    kinds = _count_suffixes(found.unread)
    message = f"no file of the class `{printable(name)}` is read, since none has the suffix of an image: {kinds}"
    if misnamed:
        help = f"they are images: give them the suffix of their format, such as `{printable(Path(found.example).stem)}.jpg`"
    else:
        help = f"convert them, for example with ImageMagick: `magick mogrify -format png '{folder}/*{strange[0]}'`"
    raise refuse("lost-class", message, f"{help}; or move the folder out of the data set, if it is no class")


def _is_image(root: Path, name: str) -> bool:
    try:
        look_at(root / name, name)
    except BadImage:
        return False
    return True


def _refuse_one_too_high(listing: Listing, shown: str, place: str, name: str, found: Contents) -> None:
    """Raise DataError if the only folder with images holds the classes or splits."""
    inside = f"{place}/{name}" if place else name
    while len(found.folders) == 1 and not found.loose:
        inside += f"/{next(iter(found.folders))}"
        found = listing.scan(inside)
    if len(found.folders) < 2 or found.loose:
        return
    names = quote_all(list(found.folders)) if len(found.folders) < 4 else quote_first(list(found.folders))
    where = f"`{shown}{f'/{printable(place)}' if place else ''}`"
    message = f"{where} has only one folder with images, `{printable(name)}`, which has the folders {names}"
    if place:  # a split: what is above it is not known to be right
        help = f"move the folders of `{printable(inside)}` to `{printable(place)}`, if they are the classes"
    else:
        help = f"use `folder:{_join(shown, inside)}`"
    raise refuse("unclear-layout", message, help)


def _refuse_same_folders(listing: Listing, shown: str, place: str, full: Mapping[str, Contents]) -> None:
    """Raise DataError if several folders hold the same folders, as splits and parts of a data set do."""
    holders = {name: {each.casefold() for each in found.folders} for name, found in full.items() if len(found.folders) > 1}
    times = Counter(each for folders in holders.values() for each in folders)
    shared = {each for each, count in times.items() if count > 1}
    same = [name for name, folders in holders.items() if len(folders & shared) > 1]
    if len(same) < 2:
        return
    first = same[0]
    names = [each for each in full[first].folders if each.casefold() in shared]
    inside = f"{place}/{first}" if place else first
    held = quote_all(names) if len(names) < 4 else quote_first(names)
    are = quote_all(same) if len(same) < 4 else quote_first(same)
    message = f"{are} have the same folders, {held}: they are not like classes"
    raise _explain_same_folders(listing, shown, inside, message, names)


def _explain_same_folders(listing: Listing, shown: str, inside: str, message: str, names: list[str]) -> ResnetSpecError:
    path = f"`folder:{_join(shown, inside)}`"
    if not all(map(is_split_name, names)):
        help = f"if they are splits, call them `train`, `val` and `test`; if each is a data set, use one, such as {path};"
        return refuse("unclear-layout", message, f"{help} if they are classes, move their images out of these folders")
    if any(listing.folders(f"{inside}/{name}") for name in names):
        return refuse("unclear-layout", message, f"each looks like a data set with splits; use one, such as {path}")
    help = "put the splits above the classes: `train/CLASS/...`, `val/CLASS/...` and `test/CLASS/...`"
    return refuse("unclear-layout", f"{message}: the splits are inside the classes", help)


def _join(shown: str, place: str) -> str:
    return f"{shown.rstrip('/')}/{printable(place)}"
