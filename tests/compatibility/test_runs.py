"""Runs that version 0.1.0 wrote go on, evaluate and predict as they did then; so do trainings from weights that it wrote.

Where this machine computes as the one of the recording (the probe is equal), bytes are equal; elsewhere numbers are near. The
near comparison is made everywhere, so that it is known to work.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

import resnet_spec

from .command_line import Done, inside, run
from .training import (
    CPU,
    EXPECTED,
    FROM_WEIGHTS,
    OF_FOLDERS,
    RECORDED,
    RESULTS,
    RUNS,
    STARTED,
    assert_near,
    assert_near_run,
    assert_near_weights,
    begin_from_weights,
    copy_fixtures,
    evaluated,
    good,
    predicted,
    probe,
    sha256,
    sha256_of_result,
    split_members,
    without_additions,
)

pytestmark = pytest.mark.torch
OUTCOMES: dict[str, Any] = json.loads(RECORDED.read_text(encoding="utf-8"))
STOPPED = [name for name, (_, _, step) in STARTED.items() if step is not None]


@pytest.fixture(scope="module")
def exact() -> bool:
    """Whether bytes can be compared."""
    return bool(probe() == OUTCOMES["probe"])


@pytest.fixture(scope="module")
def went_on(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Done]]:
    """A folder with the recorded runs, all at their ends, and what going on with those that were stopped came to."""
    folder = tmp_path_factory.mktemp("ended")
    copy_fixtures(folder)
    with inside(folder):
        return folder, {name: run("train", "--resume", name, *CPU) for name in STOPPED}


@pytest.fixture
def there(went_on: tuple[Path, dict[str, Done]]) -> Iterator[Path]:
    """That folder, as the working directory."""
    folder, _ = went_on
    with inside(folder):
        yield folder


@pytest.fixture
def fresh(tmp_path: Path) -> Iterator[Path]:
    """The recorded runs as they were written, in a working directory of their own."""
    copy_fixtures(tmp_path)
    with inside(tmp_path):
        yield tmp_path


def assert_as_recorded(found: Path, name: str, exact: bool) -> None:
    """The results of a run: files, and their bytes where machines agree."""
    assert_near_run(found, EXPECTED / name)
    there = [result for result in RESULTS if (found / result).exists()]
    assert sorted(there) == sorted(OUTCOMES["results"][name])
    if exact:
        assert {result: sha256_of_result(found / result) for result in there} == OUTCOMES["results"][name]


def test_nobody_has_changed_the_fixtures() -> None:
    for name, files in OUTCOMES["results"].items():
        assert {path.name: sha256(path) for path in (EXPECTED / name).iterdir()} == files
    for name, checkpoints in OUTCOMES["checkpoints"].items():
        paths = sorted((RUNS / name / "checkpoints").iterdir())
        assert [path.name for path in paths] == checkpoints
        assert all(path.stem.endswith(sha256(path)) for path in paths)
    assert sha256(RUNS / "drawn.safetensors") == OUTCOMES["drawn"]["drawn.safetensors"]


@pytest.mark.parametrize("name", STOPPED)
def test_a_stopped_run_is_gone_on_with(went_on: tuple[Path, dict[str, Done]], name: str) -> None:
    good(went_on[1][name])


@pytest.mark.parametrize("name", STARTED)
def test_a_recorded_run_ends_as_it_did(there: Path, name: str, exact: bool) -> None:
    assert_as_recorded(there / name, name, exact)


def test_the_checkpoint_before_a_damaged_one_leads_to_the_same_end(fresh: Path, exact: bool) -> None:
    """By the Python interface, too."""
    newest = max((fresh / "stopped" / "checkpoints").iterdir())
    newest.write_bytes(newest.read_bytes()[:1000])
    result = resnet_spec.resume("stopped", device="cpu")
    assert len(result.rows) == 3
    assert_as_recorded(fresh / "stopped", "stopped", exact)


@pytest.mark.parametrize("name", STARTED)
def test_a_recorded_run_knows_its_data_wherever_they_lie(fresh: Path, name: str) -> None:
    """A run refuses data whose images, labels or splits are others than when it began."""
    good(run("train", "--resume", name, "--dry-run", *CPU))
    if name in OF_FOLDERS:
        shutil.move(fresh / f"{name}_images", fresh / "moved")
        good(run("train", "--resume", name, "--dry-run", "--data", f"folder:{fresh}/moved", *CPU))


@pytest.mark.parametrize("what", OUTCOMES["evaluations"])
def test_evaluation_is_as_it_was(there: Path, what: str, exact: bool) -> None:
    path, split = what.split()
    wanted = OUTCOMES["evaluations"][what]
    found = without_additions(evaluated(path, "--split", split), wanted)
    assert_near(found, wanted, what)
    if exact:
        assert found == wanted


@pytest.mark.parametrize("name", OUTCOMES["predictions"])
def test_prediction_is_as_it_was(there: Path, name: str, exact: bool) -> None:
    wanted = OUTCOMES["predictions"][name]
    images = [row["image"] for row in wanted["predictions"]]
    found = predicted(name, *images)
    for one, other in zip(found["predictions"], wanted["predictions"], strict=True):
        assert one["image"] == other["image"]
        shares, wanted_shares = ({each["name"]: each["probability"] for each in row["classes"]} for row in (one, other))
        assert shares == pytest.approx(wanted_shares, abs=0.02)
    if exact:
        assert found == wanted


def test_the_python_interface_evaluates_and_predicts_the_same(there: Path) -> None:
    found = evaluated("finished")
    scores = resnet_spec.evaluate("finished", device="cpu").scores
    assert (scores.loss, scores.accuracy) == (found["loss"], found["accuracy"])
    rows = predicted("finished", "cut_images/ash/ash_00.png")["predictions"]
    (prediction,) = resnet_spec.predict("finished", "cut_images/ash/ash_00.png", top=4, device="cpu")
    assert list(prediction.classes) == [(each["name"], each["probability"]) for each in rows[0]["classes"]]


@pytest.mark.parametrize("name", OF_FOLDERS)
def test_each_image_stays_in_the_split_that_it_was_in(there: Path, name: str, tmp_path: Path) -> None:
    """Of a folder that was cut by the names of its images, and of one whose training images were held out by the seed."""
    copied = tmp_path / "here"
    copied.mkdir()
    shutil.copytree(there / name, copied / name)
    shutil.copytree(there / f"{name}_images", copied / f"{name}_images")
    with inside(copied):
        found = split_members(name, copied)
    assert found == OUTCOMES["splits"][name]
    assert all(found.values())


@pytest.mark.parametrize("name", FROM_WEIGHTS)
def test_training_from_recorded_weights_ends_as_it_did(
    there: Path, name: str, exact: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """But for one thing, which is switched off here: 0.1.0 drew all rows of a classifier for other classes."""
    monkeypatch.setattr("resnet_spec.weights.starting.ClassNames.rows", lambda _: ())
    good(run(*begin_from_weights(name)))
    assert_as_recorded(there / name, name, exact)


def test_weights_are_drawn_as_they_were(there: Path, exact: bool) -> None:
    good(run("build", "small.yaml", "-o", "again.safetensors", "--seed", "11"))
    assert_near_weights(there / "again.safetensors", RUNS / "drawn.safetensors")
    if exact:
        assert sha256(there / "again.safetensors") == OUTCOMES["drawn"]["drawn.safetensors"]


@pytest.mark.parametrize("weights", ["drawn.safetensors", "finished/best.safetensors", "stopped/last.safetensors"])
def test_recorded_weights_fit_the_network_of_their_spec(fresh: Path, weights: str) -> None:
    module = resnet_spec.build("small.yaml", weights=weights)
    with torch.inference_mode():
        outputs = module.eval()(torch.zeros(2, 3, 10, 10))
    assert outputs.shape == (2, 4)
    assert bool(torch.isfinite(outputs).all())
