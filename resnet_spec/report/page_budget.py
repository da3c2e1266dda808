"""Keeps the page of a run small, however many images, classes and epochs it is about.

Texts and tables come first, and are shortened where they alone are too long. Then pictures of images are embedded, the most
useful ones first, while there is room; further ones become files next to the page.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

from resnet_spec.data.dataset import Pixels
from resnet_spec.data.thumbnail import make_thumbnail
from resnet_spec.report.page import RunReport, html_report

BUDGET = 4_800_000  # bytes of a page
TEXTS = 2_400_000  # bytes of it that are no pictures of images
MOST_PICTURES = 1200  # of images, in the page and next to it: reading one takes milliseconds
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
    if facts.images is None or read is None:
        return Page(text)
    shown = text.count("<figure>")
    if not shown:
        return Page(text)
    pictures: dict[int, str] = {}
    small: set[int] = set()
    files: list[tuple[str, bytes]] = []
    room = BUDGET - _size(text) - 2000
    for index, times in _shown(facts):
        if len(pictures) >= MOST_PICTURES:
            break
        pixels = read(index)
        thumbnail = None if pixels is None else make_thumbnail(pixels)
        if thumbnail is None:
            continue
        source = f"data:{thumbnail.media_type};base64,{base64.b64encode(thumbnail.data).decode('ascii')}"
        cost = times * (len(source) + 60)
        if cost > room:
            source = f"{FOLDER}/{index}{thumbnail.suffix}"
            files.append((f"{index}{thumbnail.suffix}", thumbnail.data))
            cost = times * (len(source) + 60)
        if cost > room:
            break
        room -= cost
        pictures[index] = source
        if thumbnail.is_small:
            small.add(index)
    facts = replace(facts, images=replace(facts.images, pictures=pictures, small=frozenset(small)))
    return Page(html_report(facts), tuple(files))


def _size(text: str) -> int:
    return len(text.encode("utf-8", "backslashreplace"))


def _shown(facts: RunReport) -> Iterator[tuple[int, int]]:
    """The images of a page by their positions, the most useful first, and how often each may appear."""
    assert facts.images is not None
    gallery = facts.images.gallery
    worst = {shown.index for shown in gallery.worst}
    seen: set[int] = set()
    for shown in gallery.in_turn():
        if shown.index not in seen:
            seen.add(shown.index)
            yield shown.index, 2 if shown.index in worst else 1
