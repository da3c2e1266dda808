"""Keeps the page of a run small, however many images, classes and epochs it is about.

Texts and tables come first, and are shortened where they alone are too long. Then pictures of images are embedded, the most
useful ones first, while there is room; further ones become files next to the page.
"""

from __future__ import annotations

import base64
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace

from resnet_spec.data.dataset import Pixels
from resnet_spec.data.thumbnail import make_thumbnail
from resnet_spec.report.gallery import Gallery
from resnet_spec.report.page import RunReport, html_report
from resnet_spec.report.page_classes import count_shown

BUDGET = 4_800_000  # bytes of a page
TEXTS = 2_400_000  # bytes of it that are no pictures of images
MOST_PICTURES = 1200  # of images, in the page and next to it: reading one takes milliseconds
_TAG = 80  # bytes of a picture besides its source, less than which its place without a picture takes
FOLDER = "images"  # next to the page

# What is shortened where the texts of a page are too long, in this order.
_SHORTER: tuple[Callable[[RunReport], RunReport], ...] = (
    lambda facts: _with_images(facts, 600),
    lambda facts: replace(facts, diagram_svg=None, diagram_file="diagram.svg") if facts.diagram_svg else facts,
    lambda facts: replace(facts, most_text=20_000),
    lambda facts: replace(facts, most_epochs=100, most_classes=200),
    lambda facts: _with_images(facts, 100),
    lambda facts: replace(facts, has_figures=False, notes=(*facts.notes, "the page has no figures, which would be too large")),
    lambda facts: replace(_with_images(facts, 0), most_text=2000),
)


@dataclass(frozen=True, slots=True)
class Page:
    """The text of a page, and the files that are next to it, by their names below FOLDER."""

    text: str
    files: tuple[tuple[str, bytes], ...] = ()


def _with_images(facts: RunReport, most: int) -> RunReport:
    return facts if facts.images is None else replace(facts, images=replace(facts.images, most=most))


def write_page(facts: RunReport, read: Callable[[int], Pixels | None] | None) -> Page:
    """Write the page of a run. `read` returns the pixels of one of its images, or None if they cannot be read."""
    text = html_report(facts)
    for shorten in _SHORTER:
        if _size(text) <= TEXTS:
            break
        facts = shorten(facts)
        text = html_report(facts)
    images, matrix = facts.images, facts.confusion
    if images is None or matrix is None or read is None:
        return Page(text)
    pictures, files = _embed(images.gallery, count_shown(matrix, images), BUDGET - _size(text), read)
    small = frozenset(index for index, (_, is_small) in pictures.items() if is_small)
    sources = {index: source for index, (source, _) in pictures.items()}
    return Page(html_report(replace(facts, images=replace(images, pictures=sources, small=small))), tuple(files))


def _embed(
    gallery: Gallery, shown: Counter[int], room: int, read: Callable[[int], Pixels | None]
) -> tuple[dict[int, tuple[str, bool]], list[tuple[str, bytes]]]:
    """The sources of pictures of the images that are `shown` so many times, in `room` bytes, and whether each is small.

    Also returns those that are files, by name.
    """
    pictures: dict[int, tuple[str, bool]] = {}
    files: list[tuple[str, bytes]] = []
    room -= 200 + _TAG * sum(shown.values())
    for index in dict.fromkeys(each.index for each in gallery.in_turn() if each.index in shown):
        if len(pictures) == MOST_PICTURES:
            break
        pixels = read(index)
        thumbnail = None if pixels is None else make_thumbnail(pixels)
        if thumbnail is None:
            continue
        source = f"data:{thumbnail.media_type};base64,{base64.b64encode(thumbnail.data).decode('ascii')}"
        if files or len(source) * shown[index] > room:
            files.append((f"{index}{thumbnail.suffix}", thumbnail.data))
            source = f"{FOLDER}/{index}{thumbnail.suffix}"
        room -= len(source) * shown[index]
        pictures[index] = (source, thumbnail.is_small)
    return pictures, files


def _size(text: str) -> int:
    return len(text.encode("utf-8", "backslashreplace"))
