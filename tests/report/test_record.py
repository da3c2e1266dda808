"""Rows and confusion matrices: they come back as they went, and their figures are numpy's."""

from __future__ import annotations

import csv
import io
import json
import math
from dataclasses import astuple, fields

import pytest
from hypothesis import given
from hypothesis import strategies as st

from resnet_spec.report.record import (
    EpochRow,
    Timing,
    choose_row,
    epoch_line,
    metrics_csv,
    metrics_jsonl,
    read_rows,
    timing_csv,
)
from tests.report.examples import a_run

measured = st.none() | st.floats()
random_rows = st.builds(
    EpochRow,
    *(st.integers(0, 2**62), st.integers(0, 2**62), st.floats(), st.floats(), st.floats()),
    *(measured, measured, measured, measured, measured, measured),
)


def same(one: EpochRow, other: EpochRow) -> bool:
    """Equal in every bit that counts: NaN is NaN, and -0.0 is not 0.0."""
    return [repr(value) for value in astuple(one)] == [repr(value) for value in astuple(other)]


@given(st.lists(random_rows, max_size=5))
def test_rows_come_back_from_json_lines_exactly(rows: list[EpochRow]) -> None:
    back = read_rows(metrics_jsonl(rows))
    assert len(back) == len(rows)
    assert all(same(one, other) for one, other in zip(rows, back, strict=True))


@given(st.lists(random_rows, min_size=1, max_size=5))
def test_json_lines_are_strict_json_and_csv_says_the_same(rows: list[EpochRow]) -> None:
    def refuse(word: str) -> None:
        raise AssertionError(f"{word} is not JSON")

    entries = [json.loads(line, parse_constant=refuse) for line in metrics_jsonl(rows).splitlines()]
    table = list(csv.DictReader(io.StringIO(metrics_csv(rows))))
    for row, entry, line in zip(rows, entries, table, strict=True):
        for field in fields(EpochRow):
            value = getattr(row, field.name)
            if value is None:
                assert entry[field.name] is None
                assert line[field.name] == ""
            else:
                assert repr(float(entry[field.name])) == repr(float(value))
                assert line[field.name] == repr(value)


@pytest.mark.parametrize(
    ("line", "what"),
    [
        ("{", "line 2 is not JSON"),
        ("[" * 100_000, "line 2 is not JSON"),
        ("[1]", "line 2 is not a JSON object"),
        ("{}", "line 2: `epoch` is missing"),
        ('{"epoch": true}', "line 2: `epoch` is not"),
        ('{"epoch": 1.5}', "line 2: `epoch` is not"),
        ('{"epoch": 1, "step": 1, "lr": "high"}', "line 2: `lr` is not"),
        ('{"epoch": 1, "step": 1, "lr": 1e-3, "train_loss": null}', "line 2: `train_loss` is missing"),
        ('{"epoch": 1' + "0" * 400 + "}", "line 2: `epoch` is not"),
        ('{"epoch": 1, "step": 1, "lr": 1' + "0" * 400 + "}", "line 2: `lr` is not"),
    ],
)
def test_a_broken_line_is_named(line: str, what: str) -> None:
    with pytest.raises(ValueError, match=what):
        read_rows(metrics_jsonl(a_run(1)) + line + "\n")


def test_keys_of_later_versions_are_passed_over() -> None:
    row = a_run(1)[0]
    entry = json.loads(metrics_jsonl([row]))
    assert read_rows(json.dumps({**entry, "new": [1, 2]})) == [row]


def test_timings_are_a_table() -> None:
    assert timing_csv([Timing(1, 4.25, 11764.7, 5.0)]) == (
        "epoch,seconds,images_per_second,total_seconds\n1,4.25,11764.7,5.0\n"
    )


def test_the_line_of_an_epoch_is_as_tutorials_print_it() -> None:
    row = EpochRow(3, 1173, 0.1, 0.8123, 0.712, None, None, None, 0.9, 0.7011, 0.978)
    assert epoch_line(row, Timing(3, 4.0, 12345.0, 95.9), 30) == (
        "epoch  3/30  loss 0.8123  train 71.20%  test 70.11% (top-5 97.80%)  lr 0.1       12,345 images/s  00:01:35"
    )
    row = EpochRow(100, 1, 6.25e-05, math.nan, 0.098, 1.0, 0.1, None, None, None, None)
    assert epoch_line(row, Timing(100, 4.0, 3.5, 360_000.0), 100) == (
        "epoch 100/100  loss nan  train  9.80%  val 10.00%  lr 6.25e-05    3.50 images/s  100:00:00"
    )


def test_the_epoch_that_counts_is_the_first_of_the_highest_on_images_held_out_else_the_last() -> None:
    def row(epoch: int, train: float, validation: float | None, test: float | None) -> EpochRow:
        return EpochRow(epoch, epoch, 0.1, 1.0, train, None, validation, None, None, test, None)

    assert choose_row([]) is None
    both = [row(1, 0.5, 0.4, 0.9), row(2, 0.6, 0.7, 0.1), row(3, 0.7, 0.7, 0.2), row(4, 0.8, math.nan, 0.3)]
    assert choose_row(both) == (both[1], True)
    tested = [row(1, 0.5, None, 0.9), row(2, 0.6, None, 0.4)]
    assert choose_row(tested) == (tested[1], False)
