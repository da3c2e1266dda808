"""The part of the page with images: inert whatever they are called, every link leads somewhere, and the numbers are right."""

from __future__ import annotations

import re
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from resnet_spec.report import page
from resnet_spec.report.calibration import BINS, Reliability, reliability_of
from resnet_spec.report.confusion import ConfusionMatrix
from resnet_spec.report.gallery import Gallery
from resnet_spec.report.page import RunReport, html_report
from resnet_spec.report.page_calibration import _SIDE, _TOP, calibration_html
from resnet_spec.report.page_classes import MOST_CELLS, ShownImages
from resnet_spec.report.predictions import Predicted
from tests.report.examples import HOSTILE, a_run, numbered
from tests.report.test_page import Reader

ROWS = a_run(2)


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Draw nothing: pictures take time, and have tests of their own."""
    monkeypatch.setattr(page, "draw_curves", lambda *_: b"<svg/>")
    monkeypatch.setattr(page, "draw_confusion", lambda *_: b"<svg/>")


def with_images(classes: tuple[str, ...], count: int, file: str = "image {}", most: int = 2000) -> RunReport:
    """A report of `count` images, each with a picture."""
    random = np.random.default_rng(count)
    probabilities = random.dirichlet(np.ones(len(classes)), count).astype(np.float32)
    labels, guesses = random.integers(0, len(classes), count), probabilities.argmax(axis=1)
    gallery = Gallery(lambda i: file.replace("{}", str(i)))
    gallery.add(Predicted(np.arange(count), labels, guesses, probabilities))
    table = np.zeros((len(classes), len(classes)), int)
    np.add.at(table, (labels, guesses), 1)
    pictures = {i: f"data:image/png;base64,{i}" for i in range(count)}
    return RunReport(
        *("n", "d", ROWS),
        confusion=ConfusionMatrix(classes, tuple(map(tuple, table.tolist()))),
        images=ShownImages(gallery, "test images", most, pictures, frozenset({0})),
        reliability=reliability_of([[0] * (BINS - 1) + [count], [0.0] * (BINS - 1) + [0.98 * count], [0] * BINS]),
    )


def shape(text: str) -> list[tuple[str, list[str]]]:
    return [(tag, sorted(attributes)) for tag, attributes in Reader(text).elements]


@pytest.mark.parametrize("classes", [4, MOST_CELLS + 1])
def test_every_link_leads_to_its_images_and_back(classes: int) -> None:
    facts = with_images(numbered(classes), 200)
    text = html_report(facts)
    elements = Reader(text).elements
    ids = [attributes["id"] for _, attributes in elements if "id" in attributes]
    links = [attributes["href"] or "" for tag, attributes in elements if tag == "a"]
    assert len(ids) == len(set(ids))
    assert links
    assert {link.removeprefix("#") for link in links} == set(ids)
    assert all(link.startswith("#") for link in links)


def test_each_cell_opens_its_own_images() -> None:
    facts = with_images(("a", "b", "c"), 60)
    assert facts.confusion is not None
    assert facts.images is not None
    panels = re.findall(
        r'<div class="panel" id="c(\d)-(\d)">(.*?</div>)</div>(?=<div class="(?:panel|scroll)|<p)', html_report(facts)
    )
    counts = {(i, j): n for i, row in enumerate(facts.confusion.counts) for j, n in enumerate(row) if n}
    assert {(int(i), int(j)) for i, j, _ in panels} == set(counts)
    for i, j, panel in panels:
        shown = facts.images.gallery.cell(int(i), int(j))
        assert re.findall(r"base64,(\d+)", panel) == [str(each.index) for each in shown]
        assert str(counts[int(i), int(j)]) in panel
        assert len(shown) == min(12, counts[int(i), int(j)])


def test_a_matrix_of_many_classes_is_a_picture_and_its_mistakes_are_links() -> None:
    few, many = (html_report(with_images(numbered(n), 100)) for n in (MOST_CELLS, MOST_CELLS + 1))
    assert 'class="matrix"' in few
    assert 'class="matrix"' not in many
    assert 'alt="confusion matrix"' in many
    assert many.count('href="#c') > 50


@pytest.mark.parametrize("name", [name for name in HOSTILE if name.strip()])
def test_hostile_names_of_classes_and_files_add_no_element(name: str) -> None:
    text = html_report(with_images((name, "other"), 9, name.replace("{}", "")))
    text.encode("utf-8")
    assert shape(text) == shape(html_report(with_images(("harmless", "other"), 9, "harmless")))
    assert all(c == "\n" or c.isprintable() for c in text)
    assert "://" not in text


@settings(max_examples=25)
@given(st.text(st.sampled_from("<>&\"'`=/-!$\\% \n\0\x1bab\u202e\ud800"), min_size=1).map(lambda text: f"x{text}"))
def test_random_markup_in_names_adds_no_element(name: str) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(page, "draw_curves", lambda *_: b"<svg/>")
        assert shape(html_report(with_images((name, "b"), 6, name))) == shape(html_report(with_images(("x", "b"), 6, "x")))


def test_the_page_allows_pictures_of_files_only_where_it_has_some() -> None:
    facts = with_images(("a", "b"), 9)
    assert facts.images is not None
    assert 'img-src data:"' in html_report(facts)
    outside = replace(facts, images=replace(facts.images, pictures={3: "images/3.jpg"}))
    assert "img-src data: 'self' file:\"" in html_report(outside)
    assert html_report(outside).count("no picture") > 0


@pytest.mark.parametrize(("mean", "right", "gap"), [(0.9, 0.5, (0.5, 0.9)), (0.5, 0.9, (0.5, 0.9))])
def test_the_gap_lies_between_probability_and_accuracy(mean: float, right: float, gap: tuple[float, float]) -> None:
    """Whichever is higher; and a line of the color of `correct` is at the accuracy."""
    one = reliability_of([[0] * (BINS - 1) + [100], [0.0] * (BINS - 1) + [mean * 100], [0] * (BINS - 1) + [round(right * 100)]])
    drawn = re.findall(r'<rect class="(hit|gap)" x="[^"]*" y="([^"]*)" width="[^"]*" height="([^"]*)"', calibration_html(one))
    heights = [((_TOP + _SIDE - float(y) - float(height)) / _SIDE, (_TOP + _SIDE - float(y)) / _SIDE) for _, y, height in drawn]
    assert [kind for kind, *_ in drawn] == ["hit", "gap", "hit"]
    assert heights[0] == pytest.approx((0, right))
    assert heights[1] == pytest.approx(gap)
    assert sum(heights[2]) / 2 == pytest.approx(right)


def test_calibration_is_drawn_and_said() -> None:
    text = html_report(with_images(("a", "b"), 50))
    assert "<b>98.00%</b>" in text
    assert "surer than it is right" in text
    assert 'role="img"' in text
    assert (
        "reliability"
        not in html_report(replace(with_images(("a", "b"), 50), reliability=Reliability((0,), (0.0,), (0,)))).split("</style>")[
            1
        ]
    )


def test_classes_without_images_have_no_numbers() -> None:
    gallery = Gallery(str)
    facts = RunReport(
        "n", "d", ROWS, confusion=ConfusionMatrix(("a", "b"), ((0, 0), (0, 0))), images=ShownImages(gallery, "test images")
    )
    read = Reader(html_report(facts))
    assert "Worst mistakes" not in read.text
    assert "NaN" not in read.text
