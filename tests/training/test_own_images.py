"""Runs on folders of images: what is held out and recorded, levels, and how such runs are resumed and used."""

from __future__ import annotations

import json
import shutil
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import resnet_spec
from resnet_spec.data import open_data
from resnet_spec.data.dividing import divide
from resnet_spec.diagnostics import ArgumentError
from resnet_spec.training import session
from resnet_spec.training.console import Console
from resnet_spec.training.held_out import read_held_out
from resnet_spec.training.run_record import read_record
from resnet_spec.weights.file import read_facts
from tests.training.tiny import ready, train

pytestmark = [pytest.mark.torch, pytest.mark.training]


@pytest.fixture(autouse=True)
def _no_pictures(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(session, "write_pictures", lambda *_: None)


def write(root: Path, values: int = 255, count: int = 20, classes: tuple[str, ...] = ("cat", "dog", "eel", "fox")) -> str:
    """Noise up to `values`, of a brightness for each class: bytes, or 16 bits."""
    for label, one in enumerate(classes):
        (root / one).mkdir(parents=True)
        for number in range(count):
            share = np.random.default_rng([label, number]).random((12, 12)) * 0.2 + 0.2 * label
            kind = np.uint8 if values < 256 else np.uint16
            Image.fromarray((share * values).astype(kind)).save(root / one / f"{number}.png")
    return f"folder:{root}"


def resume(run: Path, data: str | None = None) -> None:
    resnet_spec.resume(run, data=data, device="cpu", console=Console.silent())


def test_what_was_held_out_is_listed_in_the_run(tmp_path: Path) -> None:
    data = write(tmp_path / "data")
    train(tmp_path / "run", data=data, epochs=1, split={"validation": 0.2, "test": 0.1})
    found = read_held_out(tmp_path / "run")
    assert found is not None
    assert {what: Counter(name.split("/")[0] for name in names) for what, names in found.items()} == {
        "validation": dict.fromkeys(("cat", "dog", "eel", "fox"), 4),
        "test": dict.fromkeys(("cat", "dog", "eel", "fox"), 2),
    }
    assert all(size == (tmp_path / "data" / name).stat().st_size for names in found.values() for name, size in names.items())
    names = [f"cat/{number}.png" for number in range(20)]
    chosen = divide(sorted(names), (0.2, 0.1)).tolist()
    assert {name for name, what in zip(sorted(names), chosen, strict=True) if what == 1} <= found["validation"].keys()


def test_a_run_in_the_folder_of_its_data_is_no_class_of_the_next(tmp_path: Path) -> None:
    data = write(tmp_path / "data")
    train(tmp_path / "data" / "runs" / "mine", data=data, epochs=1)
    write_image = Image.fromarray(np.zeros((12, 12), np.uint8))
    write_image.save(tmp_path / "data" / "runs" / "mine" / "curves.png")
    assert open_data(data, input=(3, 12, 12), split=(0.2, 0.2)).classes == ("cat", "dog", "eel", "fox")


def test_a_run_records_the_version_of_the_rules_and_goes_on_by_it(tmp_path: Path) -> None:
    data = write(tmp_path / "data")
    train(tmp_path / "run", data=data, epochs=1)
    assert read_record(tmp_path / "run").data_version == 2
    assert read_facts(tmp_path / "run" / "last.safetensors").rules == 2
    shutil.move(tmp_path / "data", tmp_path / "moved")
    resume(tmp_path / "run", f"folder:{tmp_path}/moved")
    assert (
        resnet_spec.evaluate(tmp_path / "run", f"folder:{tmp_path}/moved", split="validation", device="cpu").scores.images == 16
    )


def test_weights_of_data_that_need_no_rule_do_not_record_one(tmp_path: Path) -> None:
    train(tmp_path / "run", epochs=1)
    facts = read_facts(tmp_path / "run" / "last.safetensors")
    assert (facts.data_version, facts.rules) == (None, 2)
    assert read_held_out(tmp_path / "run") is None
    train(tmp_path / "held", epochs=1, data="synthetic:classes=4,size=12,train=80,validation=0,test=30", hold_out=0.25)
    assert read_facts(tmp_path / "held" / "last.safetensors").data_version == 2
    found = read_held_out(tmp_path / "held")
    assert found is not None
    assert len(found["validation"]) == 20
    resume(tmp_path / "held")


@pytest.mark.parametrize("text", ["{", "[]", '{"train": {}}', '{"test": {"a": true}}', '{"test": []}'])
def test_a_list_that_was_changed_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "held_out.json").write_text(text)
    with pytest.raises(ArgumentError) as caught:
        read_held_out(tmp_path)
    assert caught.value.diagnostics[0].code == "not-a-run"


def test_levels_are_measured_stored_and_used_again(tmp_path: Path) -> None:
    data = write(tmp_path / "data", values=3000)
    train(tmp_path / "run", data=data, epochs=1, levels="data", normalize={"mean": "data", "std": "data"})
    record = read_record(tmp_path / "run")
    levels = record.preparation.levels
    assert levels is not None
    assert 0 <= levels[0] < 100
    assert 2000 < levels[1] < 3000
    assert read_facts(tmp_path / "run" / "last.safetensors").preparation == record.preparation
    assert 0.3 < record.preparation.mean[0] < 0.7
    resume(tmp_path / "run")
    scores = resnet_spec.evaluate(tmp_path / "run", split="train", device="cpu").scores
    files = [tmp_path / "data" / one / f"{number}.png" for one in ("cat", "fox") for number in range(20)]
    predictions = resnet_spec.predict(tmp_path / "run", files, top=4, device="cpu")
    held_out = read_held_out(tmp_path / "run")
    assert held_out is not None
    trained = open_data(data, input=(3, 12, 12), split=(0.2, 0.2)).train
    assert trained is not None
    names = {trained.name(i) for i in range(len(trained))}
    right = [
        each.classes[0][0] == Path(each.image).parent.name
        for each in predictions
        if f"{Path(each.image).parent.name}/{Path(each.image).name}" in names
    ]
    table = np.array(scores.confusion)
    assert sum(right) == table[0, 0] + table[3, 3]
    assert len(right) == table[[0, 3]].sum()


def test_without_levels_files_are_as_those_of_version_0_1(tmp_path: Path) -> None:
    train(tmp_path / "run", data=write(tmp_path / "data"), epochs=1)
    assert "levels" not in json.loads((tmp_path / "run" / "run.json").read_text(encoding="utf-8"))["preparation"]


def notes(data: str, **options: object) -> list[str]:
    return list(ready(data=data, **options).notes)  # type: ignore[arg-type]


def test_notes_on_conversions_and_levels(tmp_path: Path) -> None:
    gray = write(tmp_path / "gray")
    assert "images are gray, and are converted to RGB for the network" in notes(gray)
    assert any("black and 4095 white" in note for note in notes(write(tmp_path / "deep", 3000), levels=[0, 4095]))
    assert any("16-bit images use the values" in note for note in notes(f"folder:{tmp_path}/deep"))
    assert any("`levels` changes nothing" in note for note in notes(gray, levels="data"))
    Image.new("RGB", (12, 12)).save(tmp_path / "gray" / "cat" / "color.png")
    assert any("1 of 64 images is in color" in note for note in notes(gray, set=("input=1x12x12",)))


def test_that_nothing_is_held_out_is_noted_unless_something_is(tmp_path: Path) -> None:
    write(tmp_path / "data" / "train")
    data = f"folder:{tmp_path}/data"
    assert any("nothing is held out" in note for note in notes(data))
    assert not any("nothing is held out" in note for note in notes(data, hold_out=0.1))


def test_hidden_images_are_left_out_by_predict_as_by_train(tmp_path: Path) -> None:
    data = write(tmp_path / "data")
    train(tmp_path / "run", data=data, epochs=1)
    copied = tmp_path / "data" / "cat" / "0.png"
    for name in (".ipynb_checkpoints/0-checkpoint.png", "cat/._0.png", "cat/@eaDir/0.png", "__MACOSX/cat/0.png"):
        (tmp_path / "data" / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(copied, tmp_path / "data" / name)
    (tmp_path / "data" / "cat" / "Thumbs.db").touch()
    found = resnet_spec.predict(tmp_path / "run", tmp_path / "data", device="cpu")
    assert len(found) == 80
    assert not any(each.problem for each in found)


def test_a_folder_with_a_test_split_alone_is_evaluated(tmp_path: Path) -> None:
    train(tmp_path / "run", data=write(tmp_path / "data"), epochs=1)
    write(tmp_path / "other" / "Testing", count=3, classes=("cat", "fox"))
    scores = resnet_spec.evaluate(tmp_path / "run", f"folder:{tmp_path}/other", device="cpu").scores
    assert scores.images == 6
