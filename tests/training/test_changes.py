"""What may have changed between the stop of a run and its resumption."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import resnet_spec
from resnet_spec.data import open_data
from resnet_spec.diagnostics import Diagnostic
from resnet_spec.training import runs, session
from resnet_spec.training.console import Console
from resnet_spec.training.plan import describe_plan
from resnet_spec.training.run_record import hash_contents, hash_text
from tests.training.tiny import refused, train, write_folder

pytestmark = [pytest.mark.torch, pytest.mark.training]


@pytest.fixture(autouse=True)
def _no_pictures(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(session, "write_pictures", lambda *_: None)


def resume(run: Path, data: str | None = None) -> None:
    resnet_spec.resume(run, data=data, device="cpu", console=Console.silent())


def refusal(run: Path) -> Diagnostic:
    return refused(lambda: resume(run))


@pytest.mark.parametrize("part", ["train", "val", "test"])
def test_images_that_were_replaced_under_their_names_are_found(tmp_path: Path, part: str) -> None:
    data = write_folder(tmp_path / "data")
    train(tmp_path / "run", data=data, epochs=1)
    path = tmp_path / "data" / part / "dog" / "1.png"
    before = path.read_bytes()
    Image.fromarray(np.zeros((14, 16, 3), np.uint8)).save(path)
    found = refusal(tmp_path / "run")
    assert found.code == "data-changed"
    assert "under the same names" in found.message
    assert "--weights" in found.help
    path.write_bytes(before)
    os.utime(path, (1, 1))  # a copy has other times
    resume(tmp_path / "run")


def test_a_copy_of_the_data_elsewhere_is_the_same(tmp_path: Path) -> None:
    data = write_folder(tmp_path / "data")
    train(tmp_path / "run", data=data, epochs=1)
    shutil.move(tmp_path / "data", tmp_path / "moved")
    resume(tmp_path / "run", f"folder:{tmp_path / 'moved'}")


def test_an_imagenet_folder_is_compared_too(tmp_path: Path) -> None:
    for part in ("train", "val"):
        for name in ("n01440764", "n01443537"):
            (tmp_path / part / name).mkdir(parents=True)
            Image.fromarray(np.zeros((8, 8, 3), np.uint8)).save(tmp_path / part / name / "a.JPEG")
    text = f"imagenet:{tmp_path}"

    def contents() -> str:
        return hash_contents(open_data(text, input=(3, 8, 8), split=(0.0, 0.0)))

    before = contents()
    assert contents() == before
    Image.fromarray(np.full((8, 8, 3), 9, np.uint8)).save(tmp_path / "val" / "n01443537" / "a.JPEG")
    assert contents() != before


@pytest.mark.parametrize(
    ("name", "old", "new"),
    [
        ("recipe.yaml", "lr: 0.05", "lr: 5"),
        ("recipe.yaml", "epochs: 1", "epochs: 9"),
        ("spec.yaml", "name: small", "name: large"),
    ],
)
def test_a_file_of_the_run_that_was_edited_is_refused(tmp_path: Path, name: str, old: str, new: str) -> None:
    run = tmp_path / "run"
    train(run, epochs=1)
    text = (run / name).read_text(encoding="utf-8")
    assert old in text
    (run / name).write_text(text.replace(old, new), encoding="utf-8")
    found = refusal(run)
    assert (found.code, found.severity) == ("not-a-run", "error")
    assert name in found.message
    assert "--weights" in found.help
    (run / name).write_bytes(text.replace("\n", "\r\n").encode())  # as some editors and version control leave it
    resume(run)


def test_a_run_of_version_0_1_is_not_checked(tmp_path: Path) -> None:
    run = tmp_path / "run"
    train(run, data=write_folder(tmp_path / "data"), epochs=1)
    record = json.loads((run / "run.json").read_text(encoding="utf-8"))
    assert set(record.pop("texts")) == {"recipe.yaml", "spec.yaml"}
    assert len(record.pop("contents")) == 64
    (run / "run.json").write_text(json.dumps(record), encoding="utf-8")
    recipe = (run / "recipe.yaml").read_text(encoding="utf-8")
    (run / "recipe.yaml").write_text(recipe.replace("lr: 0.05", "lr: 0.06"), encoding="utf-8")
    path = tmp_path / "data" / "train" / "dog" / "1.png"
    Image.fromarray(np.zeros((14, 16, 3), np.uint8)).save(path)
    resume(run)


def test_other_threads_are_noted(tmp_path: Path) -> None:
    run = tmp_path / "run"
    train(run, epochs=1)

    def notes() -> str:
        return describe_plan(runs.open_run(run, None, "cpu", None, Console.silent())[0])

    assert "threads" not in notes().partition("note")[2]
    before = torch.get_num_threads()
    torch.set_num_threads(before + 1)
    try:
        assert f"torch computes with {before + 1} threads, and did with {before} when the run began" in notes()
    finally:
        torch.set_num_threads(before)


def test_a_hash_of_a_text_ignores_line_ends() -> None:
    assert hash_text("a\nb\n") == hash_text("a\r\nb\r\n")
    assert hash_text("a\nb\n") != hash_text("a\nc\n")
