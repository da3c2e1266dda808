"""The confusion matrix: its figures are numpy's, and its tables are safe to open."""

from __future__ import annotations

import csv
import io

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from resnet_spec.report.confusion import ConfusionMatrix
from tests.report.examples import HOSTILE, a_confusion


@given(
    st.integers(1, 6).flatmap(lambda n: st.lists(st.lists(st.integers(0, 9), min_size=n, max_size=n), min_size=n, max_size=n))
)
def test_figures_of_a_confusion_are_those_of_numpy(lists: list[list[int]]) -> None:
    counts = np.array(lists)
    matrix = ConfusionMatrix(tuple(map(str, range(len(lists)))), tuple(map(tuple, lists)))
    diagonal = counts.diagonal()
    with np.errstate(invalid="ignore"):
        accuracy = diagonal.sum() / np.float64(counts.sum())
        recall, precision = diagonal / counts.sum(axis=1), diagonal / counts.sum(axis=0)
        f1 = 2 * diagonal / (counts.sum(axis=0) + counts.sum(axis=1))
    np.testing.assert_equal(matrix.accuracy, accuracy)
    for i in range(len(lists)):
        np.testing.assert_equal([matrix.recall(i), matrix.precision(i), matrix.f1(i)], [recall[i], precision[i], f1[i]])
    means = [float(np.mean(each[~np.isnan(each)])) if counts.any() else np.nan for each in (recall, f1)]
    np.testing.assert_allclose([matrix.balanced_accuracy, matrix.macro_f1], means)
    mistakes = matrix.mistakes(3)
    wrong = counts - np.diag(diagonal)
    assert [n for _, _, n in mistakes] == sorted(wrong[wrong > 0].tolist(), reverse=True)[:3]
    assert all(wrong[i, j] == n for i, j, n in mistakes)


def test_confusion_refuses_what_is_no_square() -> None:
    for classes, counts in (((), ()), (("a",), ((1, 2),)), (("a", "b"), ((1, 2),))):
        with pytest.raises(ValueError, match="one row and one column"):
            ConfusionMatrix(classes, counts)


def test_tables_of_classes_hold_no_formula_and_no_control_character() -> None:
    names = ("=1+1", "+1", "-1", "@SUM(A1)", "\t=1", " =1", "\uff1d1", 'a,"b"', *HOSTILE)
    matrix = a_confusion(names)
    for text in (matrix.per_class_csv(), matrix.confusion_csv()):
        text.encode("utf-8")
        assert all(c == "\n" or c.isprintable() for c in text)
        cells = [cell for line in csv.reader(io.StringIO(text)) for cell in line]
        assert not [cell for cell in cells if cell.strip().startswith(("=", "+", "-", "@", "\uff1d"))]
    lines = list(csv.reader(io.StringIO(matrix.confusion_csv())))
    assert tuple(tuple(map(int, line[1:])) for line in lines[1:]) == matrix.counts
    shares = list(csv.DictReader(io.StringIO(matrix.per_class_csv())))
    assert [float(line["recall"]) for line in shares] == [matrix.recall(i) for i in range(len(names))]
    assert [line["index"] for line in shares] == [str(i) for i in range(len(names))]


def test_a_class_without_images_has_empty_cells() -> None:
    lines = ConfusionMatrix(("a", "b"), ((3, 0), (0, 0))).per_class_csv().splitlines()
    assert lines[1:] == ["0,a,3,3,3,1.0,1.0,1.0", "1,b,0,0,0,,,"]
