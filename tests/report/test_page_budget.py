"""The page of a run stays small, whatever the run is of."""

from __future__ import annotations

import io
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from resnet_spec.data.dataset import Pixels
from resnet_spec.data.thumbnail import SIDE, make_thumbnail
from resnet_spec.report import page, page_budget, pictures
from resnet_spec.report.page_budget import BUDGET, MOST_PICTURES, write_page
from tests.report.examples import a_run, numbered
from tests.report.test_page_classes import with_images
from tests.report.test_pictures import RUN, SCORES

pytestmark = pytest.mark.slow
LIMIT = 5_000_000


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(page, "draw_curves", lambda *_: b"<svg/>")
    monkeypatch.setattr(page, "draw_confusion", lambda *_: b"<svg/>")


def noise(side: int) -> Pixels:
    return np.random.default_rng(side).integers(0, 256, (side, side, 3), np.uint8)


def test_pictures_are_embedded_while_there_is_room_and_are_files_then(monkeypatch: pytest.MonkeyPatch) -> None:
    facts = with_images(numbered(8), 1500)
    monkeypatch.setattr(page_budget, "BUDGET", 1_500_000)
    pixels = noise(SIDE)
    found = write_page(facts, lambda i: pixels)
    assert len(found.text.encode()) < 1_500_000
    embedded = set(re.findall(r'src="(data:image/jpeg[^"]*)"', found.text))
    outside = set(re.findall(r'src="images/(\d+\.jpg)"', found.text))
    assert embedded
    assert outside == {name for name, _ in found.files}
    assert len(found.files) > 100
    assert "no picture" not in found.text
    first = found.text.index("Worst mistakes")
    assert found.text.index('src="data:image/jpeg', first) < found.text.index('src="images/', first)  # the most useful first


def test_the_limit_holds_for_many_long_names() -> None:
    names = tuple(f"{'<&>' * 60}{i}" for i in range(40))
    found = write_page(with_images(names, 2500, '"<&>' * 60 + "{}"), lambda i: noise(SIDE))
    assert len(found.text.encode()) < LIMIT
    assert BUDGET < LIMIT


def test_the_limit_holds_for_many_classes_epochs_and_long_texts() -> None:
    facts = replace(
        with_images(tuple(f"{'<' * 200}{i}" for i in range(500)), 1000),
        rows=a_run(20_000),
        most_classes=300,
        spec_text="<" * 1_000_000,
        recipe_text="&\n" * 500_000,
        diagram_svg=b"<svg>" + b" " * 5_000_000 + b"</svg>",
    )
    found = write_page(facts, lambda i: noise(40))
    assert len(found.text.encode()) < LIMIT
    assert 'src="diagram.svg"' in found.text
    assert "per_class.csv" in found.text
    assert "metrics.csv" in found.text


def test_no_more_images_are_read_than_are_shown() -> None:
    read: list[int] = []

    def picture(i: int) -> Pixels:
        read.append(i)
        return noise(8)

    facts = with_images(numbered(30), 20_000)
    found = write_page(facts, picture)
    assert len(read) == len(set(read)) <= MOST_PICTURES
    assert len(found.text.encode()) < LIMIT


def test_an_image_that_cannot_be_read_leaves_a_gap() -> None:
    found = write_page(with_images(("a", "b"), 20), lambda i: None if i % 2 else noise(8))
    assert found.text.count("no picture") > 0
    assert found.text.count('class="small"') > 0


def test_files_are_written_next_to_the_page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pictures, "draw_curves", lambda *_: b"curves")
    monkeypatch.setattr(pictures, "draw_confusion", lambda *_: b"confusion")
    monkeypatch.setattr(page_budget, "BUDGET", 300_000)
    facts = with_images(numbered(30), 400)
    assert facts.images is not None
    assert facts.confusion is not None
    scores, pixels = replace(SCORES, confusion=facts.confusion), noise(SIDE)
    run = replace(RUN, scores=scores, gallery=facts.images.gallery, picture=lambda i: pixels)
    pictures.write_pictures(tmp_path, run)
    named = set(re.findall(r'src="(images/\d+\.jpg)"', (tmp_path / "report.html").read_text(encoding="utf-8")))
    assert named
    assert {f"images/{path.name}" for path in (tmp_path / "images").iterdir()} == named


@pytest.mark.parametrize(
    ("shape", "suffix"), [((300, 200, 3), ".jpg"), ((2000, 3, 1), ".jpg"), ((28, 28, 1), ".png"), ((1, 1, 3), ".png")]
)
def test_a_thumbnail_is_small_and_has_the_shape_of_its_image(shape: tuple[int, int, int], suffix: str) -> None:
    thumbnail = make_thumbnail(np.full(shape, 90, np.uint8))
    assert thumbnail is not None
    assert thumbnail.suffix == suffix
    with Image.open(io.BytesIO(thumbnail.data)) as image:
        assert max(image.size) == min(SIDE, max(shape[:2]))
        assert np.asarray(image).ravel()[0] == pytest.approx(90, abs=2)


def test_images_of_other_channels_have_no_thumbnail() -> None:
    assert make_thumbnail(np.zeros((8, 8, 5), np.uint8)) is None
    assert make_thumbnail(np.zeros((0, 8, 3), np.uint8)) is None
