"""The table of predictions: whole or absent, safe to open, and with the numbers that were predicted."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from resnet_spec.report.csv_text import text_cell
from resnet_spec.report.predictions import probability_text, writing_predictions
from tests.report.examples import HOSTILE


def test_hostile_names_stay_text(tmp_path: Path) -> None:
    names = ("=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", " =1", 'a,"b"', *HOSTILE)
    probabilities = np.full(len(names), 1 / len(names), np.float32)
    with writing_predictions(tmp_path / "p.csv", names, ("file", "class")) as rows:
        for i, name in enumerate(names):
            rows.write((text_cell(name), text_cell(name)), i, probabilities)
    text = (tmp_path / "p.csv").read_text(encoding="utf-8")
    assert all(c == "\n" or c.isprintable() for c in text)
    lines = list(csv.reader(io.StringIO(text)))
    assert {len(line) for line in lines} == {3 + len(names)}
    cells = [cell for line in lines for cell in line]
    assert not [cell for cell in cells if cell.lstrip().startswith(("=", "+", "-", "@", "\uff1d"))]
    assert [line[1] for line in lines[1:]] == [line[2] for line in lines[1:]]


@given(st.floats(0, 1, width=32))
def test_a_probability_has_six_decimals_at_most(value: float) -> None:
    text = probability_text(value)
    assert float(text) == pytest.approx(value, abs=5.1e-7)
    assert len(text) <= 8
    assert "e" not in text


def test_rows_of_what_cannot_be_read_are_as_long_as_others(tmp_path: Path) -> None:
    with writing_predictions(tmp_path / "p.csv", ("a", "b"), ("file", "problem")) as rows:
        rows.write(("x", ""), 1, np.array([0.25, 0.75], np.float32))
        rows.write_without(("y", "damaged"))
    lines = list(csv.reader(io.StringIO((tmp_path / "p.csv").read_text(encoding="utf-8"))))
    assert lines == [
        ["file", "problem", "prediction", "probability of a", "probability of b"],
        ["x", "", "b", "0.25", "0.75"],
        ["y", "damaged", "", "", ""],
    ]


def test_an_interrupted_write_leaves_what_was_there(tmp_path: Path) -> None:
    (tmp_path / "p.csv").write_text("before", encoding="utf-8")

    def interrupted() -> None:
        with writing_predictions(tmp_path / "p.csv", ("a",), ("file",)) as rows:
            rows.write(("x",), 0, np.ones(1, np.float32))
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert [path.name for path in tmp_path.iterdir()] == ["p.csv"]
    assert (tmp_path / "p.csv").read_text(encoding="utf-8") == "before"


def test_an_error_names_the_file(tmp_path: Path) -> None:
    with pytest.raises(OSError, match=r"p\.csv"), writing_predictions(tmp_path / "none" / "p.csv", ("a",), ("file",)):
        pass
