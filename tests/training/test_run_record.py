"""run.json: one writer, one reader, and what is said of one that was changed."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from resnet_spec.data.preparation import Preparation
from resnet_spec.diagnostics import ArgumentError
from resnet_spec.training.run_record import RunRecord, read_record, write_record

pytestmark = pytest.mark.torch
RECORD = RunRecord(
    name="small é",
    fingerprint="rs1:abc",
    input=(3, 12, 12),
    data="folder:/images",
    synthetic=False,
    classes=("cat", "dog\n"),
    counts={"training": 80, "validation": None, "test": 30},
    labels="1" * 64,
    images="2" * 64,
    held=("test", "training"),
    preparation=Preparation(3, (12, 12), 14, "bilinear", (12, 12), (0.5,) * 3, (0.25,) * 3),
    processes=1,
    steps_per_epoch=5,
    skip_bad=True,
    overfit_batch=False,
    module=False,
    weights=True,
)


def test_a_record_is_read_as_it_was_written(tmp_path: Path) -> None:
    texts = {"recipe.yaml": "3" * 64}
    for record in (RECORD, replace(RECORD, fingerprint="", held=(), module=True), replace(RECORD, contents="4", texts=texts)):
        write_record(tmp_path, record)
        assert read_record(tmp_path) == record


def test_keys_of_later_versions_are_ignored(tmp_path: Path) -> None:
    write_record(tmp_path, RECORD)
    data = json.loads((tmp_path / "run.json").read_text(encoding="utf-8"))
    (tmp_path / "run.json").write_text(json.dumps({"seen": [1], **data, "more": None}), encoding="utf-8")
    assert read_record(tmp_path) == RECORD


def test_its_keys_are_in_the_order_of_version_0_1(tmp_path: Path) -> None:
    write_record(tmp_path, RECORD)
    keys = list(json.loads((tmp_path / "run.json").read_text(encoding="utf-8")))
    first = ["format", "name", "fingerprint", "input", "data", "synthetic", "classes", "counts", "labels", "images", "held"]
    rest = ["preparation", "processes", "steps_per_epoch", "skip_bad", "overfit_batch", "module", "weights"]
    assert keys == first + rest


@pytest.mark.parametrize("key", ["name", "input", "data", "counts", "held", "preparation", "skip_bad", "weights"])
@pytest.mark.parametrize("change", [lambda data, key: data.pop(key), lambda data, key: data.update({key: {"a": 5}})])
def test_a_record_of_another_form_is_not_that_of_a_run(
    tmp_path: Path, key: str, change: Callable[[dict[str, Any], str], None]
) -> None:
    write_record(tmp_path, RECORD)
    data = json.loads((tmp_path / "run.json").read_text(encoding="utf-8"))
    change(data, key)
    (tmp_path / "run.json").write_text(json.dumps(data), encoding="utf-8")
    with pytest.raises(ArgumentError) as caught:
        read_record(tmp_path)
    (found,) = caught.value.diagnostics
    assert found.code == "not-a-run"
    assert key in found.message or "training" in found.message  # the first count that is not there


@pytest.mark.parametrize("text", ["", "[", "[]", "5", "null", '"' + "[" * 5000, "[" * 100_000, '{"format": 1}'])
def test_what_is_no_record_is_not_that_of_a_run(tmp_path: Path, text: str) -> None:
    (tmp_path / "run.json").write_text(text, encoding="utf-8")
    with pytest.raises(ArgumentError, match="not-a-run"):
        read_record(tmp_path)


def test_a_record_of_a_later_form_is_refused(tmp_path: Path) -> None:
    write_record(tmp_path, replace(RECORD, format=2))
    with pytest.raises(ArgumentError, match="later version"):
        read_record(tmp_path)
