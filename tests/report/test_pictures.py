"""The files that a finished run's report consists of, written from plain facts."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from resnet_spec.data import Data
from resnet_spec.data.preparation import Preparation
from resnet_spec.report import pictures
from resnet_spec.report.page_budget import Page
from resnet_spec.report.pictures import FinalScores, FinishedRun, report_of, write_pictures
from tests.report.examples import a_confusion, a_run, numbered, timings

CLASSES = numbered(30)
ROWS = a_run(3)
SCORES = FinalScores(True, 0.5, 0.875, 0.99, a_confusion(CLASSES))
BALANCED = f"{100 * SCORES.confusion.balanced_accuracy:.2f}%"
F1 = f"{100 * SCORES.confusion.macro_f1:.2f}%"
RUN = FinishedRun(
    name="net",
    params=1234567,
    macs=89,
    spec="spec: 1",
    fingerprint="rs1:0",
    diagram=b"<svg/>",
    recipe="quick",
    recipe_text="epochs: 3",
    data=Data("synthetic", "synthetic:size=8", CLASSES, None, None, None, 3, (8, 8)),
    counts={"training": 4000, "test": 1000},
    preparation=Preparation(3, (8, 8), None, "bilinear", None, (0.5, 0.5, 0.5), (0.25, 0.25, 0.25)),
    notes=("a note",),
    skipped={"a.png": "the file is empty"},
    rows=ROWS,
    timings=timings(ROWS),
    best_epoch=2,
    scores=SCORES,
    environment={"torch": "2", "command": "resnet-spec train"},
)


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Draw nothing: pictures take time, and have tests of their own."""
    monkeypatch.setattr(pictures, "draw_curves", lambda *_: b"curves")
    monkeypatch.setattr(pictures, "draw_confusion", lambda *_: b"confusion")
    monkeypatch.setattr(pictures, "write_page", lambda report, read: Page(f"<html>{report.name}\udcff</html>"))


def test_every_file_is_written(tmp_path: Path) -> None:
    write_pictures(tmp_path, RUN)
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        *("confusion.csv", "confusion.png", "confusion.svg", "curves.png", "curves.svg"),
        *("diagram.svg", "per_class.csv", "report.html"),
    ]
    assert (tmp_path / "report.html").read_text(encoding="utf-8") == "<html>net\\udcff</html>"


def test_without_scores_and_diagram_their_files_are_absent(tmp_path: Path) -> None:
    write_pictures(tmp_path, replace(RUN, scores=None, diagram=None))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["curves.png", "curves.svg", "report.html"]


def test_the_page_has_what_is_known() -> None:
    page = report_of(RUN)
    assert page.synthetic
    assert page.network == (
        *(("input", "3x8x8"), ("parameters", "1,234,567"), ("multiply-adds", "89"), ("fingerprint", "rs1:0")),
    )
    assert page.data[:2] == (("training images", "4,000"), ("test images", "1,000"))
    assert dict(page.data)["classes"].endswith("class 19, and 10 more")
    assert page.results == (
        ("weights", "epoch 2, the best on the validation images"),
        ("validation accuracy", f"{100 * (ROWS[1].validation_accuracy or 0):.2f}%"),
        *(("test accuracy", "87.50%"), ("test loss", "0.5000"), ("test top-5", "99.00%")),
        *(("test balanced accuracy", BALANCED), ("test macro F1", F1)),
    )
    assert (page.test_accuracy, page.confusion_of) == (0.875, "test images, epoch 2, the best on the validation images")
    assert page.notes == ("a note", "skipped: a.png: the file is empty")
    assert (page.command, page.environment) == ("resnet-spec train", (("torch", "2"),))


def test_what_is_not_known_is_left_out() -> None:
    page = report_of(replace(RUN, macs=None, fingerprint="", best_epoch=0, scores=replace(SCORES, is_test=False, top5=None)))
    assert [label for label, _ in page.network] == ["input", "parameters"]
    assert page.results == (
        ("weights", "the last epoch"),
        *(("validation balanced accuracy", BALANCED), ("validation macro F1", F1)),
    )
    assert (page.test_accuracy, page.confusion_of) == (None, "validation images, the last epoch")
    assert report_of(replace(RUN, scores=None)).confusion is None
