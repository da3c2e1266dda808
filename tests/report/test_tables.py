"""Tables for the terminal: aligned, inert, and the most telling of what is too much."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from resnet_spec.diagnostics.text import display_width, pad
from resnet_spec.report.confusion import ConfusionMatrix
from resnet_spec.report.names import short_name
from resnet_spec.report.tables import confusion_text, per_class_text
from tests.report.examples import HOSTILE, a_confusion, numbered


@given(st.text(st.characters(), max_size=200), st.integers(8, 60))
def test_a_short_name_is_printable_and_fits(name: str, most: int) -> None:
    shown = short_name(name, most)
    assert shown.isprintable()
    assert shown.strip()
    assert display_width(shown) <= max(most, 2)
    assert len(shown) <= 2 * most + 2


def test_a_name_that_fits_is_left_alone_and_a_long_one_keeps_both_ends() -> None:
    assert short_name("golden retriever") == "golden retriever"
    assert short_name("cats/a_very_long_name_of_a_breed/variant_17") == "cats/a_very_lon…riant_17"
    assert short_name("  ") == '"  "'


def test_wide_characters_take_two_columns_and_marks_none() -> None:
    assert display_width("\u732b\uff08e\u0301") == 5
    assert pad("\u732b", 4) == "\u732b  "
    assert pad("\u732b", 4, right=True) == "  \u732b"


def test_a_small_matrix_is_shown_whole() -> None:
    matrix = ConfusionMatrix(("cat", "dog"), ((50, 0), (2, 48)))
    assert confusion_text(matrix) == (
        "true / predicted  cat  dog  recall\n"
        "----------------  ---  ---  ------\n"
        "cat                50    .  100.0%\n"
        "dog                 2   48   96.0%\n"
    )


def test_long_names_are_numbered() -> None:
    text = confusion_text(ConfusionMatrix(("airplane", "ship"), ((1, 2), (0, 0))))
    assert text.splitlines()[0] == "true / predicted  0  1  recall"
    assert text.splitlines()[2:] == ["0 airplane        1  2   33.3%", "1 ship            .  .       -"]


def test_of_many_classes_the_most_frequent_mistakes_are_shown() -> None:
    counts = [[10 if i == j else 0 for j in range(30)] for i in range(30)]
    counts[3][7], counts[8][2] = 4, 9
    text = confusion_text(ConfusionMatrix(numbered(30), tuple(map(tuple, counts))), most=20)
    assert text.splitlines()[0] == "the most frequent mistakes (13 of 313 images are wrong):"
    assert text.splitlines()[3:] == [
        "class 8  class 2         9         47.4%",
        "class 3  class 7         4         28.6%",
    ]
    perfect = ConfusionMatrix(numbered(30), tuple(tuple(int(i == j) for j in range(30)) for i in range(30)))
    assert confusion_text(perfect) == "no mistakes in 30 images of 30 classes\n"


def test_classes_are_listed_in_order_or_the_worst_of_them_first() -> None:
    matrix = ConfusionMatrix(("a", "b", "c"), ((9, 1, 0), (5, 5, 0), (0, 0, 0)))
    text = per_class_text(matrix).splitlines()
    assert text[0].split() == ["class", "images", "correct", "recall", "precision", "F1"]
    assert [line.split() for line in text[2:5]] == [
        ["a", "10", "9", "90.0%", "64.3%", "75.0%"],
        ["b", "10", "5", "50.0%", "83.3%", "62.5%"],
        ["c", "0", "0", "-", "-", "-"],
    ]
    assert text[-1].split() == ["all", "classes", "20", "14", "70.0%"]
    worst = per_class_text(matrix, most=1).splitlines()
    assert worst[2].split()[0] == "b"
    assert worst[-1] == "(2 classes with a higher recall are left out)"


@pytest.mark.parametrize("most", [5, 20])
def test_hostile_names_are_inert_and_columns_stay_aligned(most: int) -> None:
    matrix = a_confusion(HOSTILE)
    for text in (confusion_text(matrix, most), per_class_text(matrix, most)):
        text.encode("utf-8")
        assert all(c == "\n" or c.isprintable() for c in text)
    lines = [line for line in per_class_text(matrix).splitlines() if line.endswith("%")]
    assert len({display_width(line) for line in lines[: len(HOSTILE)]}) == 1
