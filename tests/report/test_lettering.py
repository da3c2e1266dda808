"""Names in any script can be read in a picture whose text is drawn."""

from __future__ import annotations

from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

import pytest
from matplotlib import font_manager

from resnet_spec.report import confusion_picture, lettering
from resnet_spec.report.confusion import ConfusionMatrix
from resnet_spec.report.confusion_picture import draw_confusion
from resnet_spec.report.lettering import find_families, spell

DEJAVU = ("DejaVu Sans",)
CAT = "\u732b"


@pytest.fixture
def font(tmp_path: Path) -> Iterator[str]:
    """An installed font with a square for one Chinese character."""
    fonts, pens = (import_module(f"fontTools.{name}") for name in ("fontBuilder", "pens.ttGlyphPen"))  # matplotlib needs them
    builder, empty, pen = fonts.FontBuilder(1000, isTTF=True), pens.TTGlyphPen(None), pens.TTGlyphPen(None)
    for i, corner in enumerate(((100, 0), (100, 800), (900, 800), (900, 0))):
        (pen.lineTo if i else pen.moveTo)(corner)
    pen.closePath()
    builder.setupGlyphOrder([".notdef", "cat"])
    builder.setupCharacterMap({ord(CAT): "cat"})
    builder.setupGlyf({".notdef": empty.glyph(), "cat": pen.glyph()})
    builder.setupHorizontalMetrics({".notdef": (1000, 0), "cat": (1000, 100)})
    builder.setupHorizontalHeader(ascent=900, descent=-100)
    builder.setupNameTable({"familyName": "One Square", "styleName": "Regular"})
    builder.setupOS2()
    builder.setupPost()
    builder.save(tmp_path / "square.ttf")
    before = list(font_manager.fontManager.ttflist)
    font_manager.fontManager.addfont(tmp_path / "square.ttf")
    lettering._letters_of.cache_clear()
    yield "One Square"
    font_manager.fontManager.ttflist[:] = before
    lettering._letters_of.cache_clear()


def matrix(*names: str) -> ConfusionMatrix:
    return ConfusionMatrix(names, tuple(tuple(3 * (i == j) for j in range(len(names))) for i in range(len(names))))


def test_letters_that_a_font_has_stay() -> None:
    text = "éà ß Ωμ кошка \u0642\u0637\u0629"
    assert spell(text, DEJAVU) == text
    assert find_families([text], DEJAVU) == ()


@pytest.mark.parametrize(
    ("text", "spelled"),
    [
        ("\u306d\u3053", "neko"),  # hiragana
        ("\u30cd\u30b3", "neko"),  # katakana
        ("\uace0\uc591\uc774", "goyangi"),  # hangul
        ("\uff23\uff41\uff54", "Cat"),  # full width
        ("a \U0001f9ad", "a (seal)"),
        (f"{CAT}A", "\\u732bA"),
        ("\U00020000", "\\U00020000"),
    ],
)
def test_letters_that_no_font_has_are_spelled(text: str, spelled: str) -> None:
    if not find_families([text], DEJAVU):
        assert spell(text, DEJAVU) == spelled
    assert spell(text, ("cmr10",)) == spelled  # a font of few letters


def test_a_font_that_is_installed_is_used(font: str) -> None:
    assert font in find_families([f"cat {CAT}"], DEJAVU)
    assert spell(CAT, (*DEJAVU, font)) == CAT


def test_a_picture_spells_only_what_it_cannot_draw(font: str, monkeypatch: pytest.MonkeyPatch) -> None:
    drawn: list[tuple[list[str], str]] = []

    def label(axis: object, labels: list[str], per: int, caption: str) -> None:
        drawn.append((labels, caption))

    monkeypatch.setattr(confusion_picture, "_label_classes", label)
    first = draw_confusion(matrix("dog", CAT), "png")
    assert drawn == [(["dog", CAT], "")]
    monkeypatch.setattr(lettering, "_lacking", lambda texts, families: {ord(CAT)} & {ord(c) for t in texts for c in t})
    draw_confusion(matrix("dog", CAT), "png")
    labels, caption = drawn[1]
    assert labels == ["dog", "#1 \\u732b"]
    assert "per_class.csv" in caption
    draw_confusion(matrix("dog", CAT), "svg")  # its text is shown in the fonts of the reader
    assert drawn[2] == (["dog", CAT], "")
    assert first.startswith(b"\x89PNG")
