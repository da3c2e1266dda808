"""Which images are evaluated: splits of the run's own data, wherever they are now, and all images of other data."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from resnet_spec import evaluate
from resnet_spec.cli import group
from resnet_spec.inference.evaluate import Evaluation
from resnet_spec.training import session
from tests.training.tiny import refused, train, write_folder

pytestmark = [pytest.mark.torch, pytest.mark.training]


def write_classes(folder: Path, count: int, seed: int = 0) -> Path:
    """Class folders of noise, without splits: `cat/cat0.png` and so on. Sizes of files differ with the seed."""
    random = np.random.default_rng(seed)
    for name in ("cat", "dog"):
        (folder / name).mkdir(parents=True)
        for i in range(count):
            side = 12 + seed
            Image.fromarray(random.integers(0, 256, (side, side, 3), np.uint8)).save(folder / name / f"{name}{i}.png")
    return folder


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with `data` (20 images of each class, without splits) and `run`, which was trained on it."""
    root = tmp_path_factory.mktemp("choosing")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(session, "write_pictures", lambda *_: None)
        train(root / "run", f"folder:{write_classes(root / 'data', 20)}", epochs=1, split={"validation": 0.2, "test": 0.25})
    return root


@pytest.fixture
def copied(ran: Path, tmp_path: Path) -> Path:
    """The data of the run, at another place."""
    return Path(shutil.copytree(ran / "data", tmp_path / "elsewhere"))


def members(run: Path, data: Path, split: str | None = None) -> set[str]:
    """The images that an evaluation scores, as it reveals them: those that it leaves out where they are damaged."""
    found: set[str] = set()
    images = sorted(str(path.relative_to(data)) for path in data.rglob("*.png"))
    for half in (0, 1):
        here = Path(shutil.copytree(data, data.with_name(f"{data.name}-half{half}")))
        for name in images[half::2]:
            size = (here / name).stat().st_size
            (here / name).write_bytes(b"x" * size)  # damaged, and of the same size
        options = {} if split is None else {"split": split}
        found |= set(evaluate(run, f"folder:{here}", skip_bad=True, device="cpu", **options).skipped)  # type: ignore[arg-type]
    return found


def listed(run: Path) -> dict[str, set[str]]:
    return {split: set(names) for split, names in json.loads((run / "held_out.json").read_text(encoding="utf-8")).items()}


def scored(found: Evaluation) -> tuple[str, int, int]:
    return found.split, found.scores.images, found.available


# --- the run's own data ----------------------------------------------------------------------------------------------------


def test_the_splits_of_a_run_are_scored_and_counted(ran: Path) -> None:
    assert scored(evaluate(ran / "run", device="cpu")) == ("test", 10, 40)
    assert scored(evaluate(ran / "run", split="validation", device="cpu")) == ("validation", 8, 40)
    assert scored(evaluate(ran / "run", split="train", device="cpu")) == ("train", 22, 40)
    whole = evaluate(ran / "run", split="all", device="cpu")
    assert scored(whole) == ("all", 40, 40)
    parts = [evaluate(ran / "run", split=split, device="cpu").scores for split in ("train", "validation", "test")]
    assert whole.scores.loss == pytest.approx(sum(each.loss * each.images for each in parts) / 40, rel=1e-5)
    confusions = np.array([each.confusion for each in parts]).sum(0)
    assert np.array_equal(whole.scores.confusion, confusions)


def test_a_copy_of_the_data_is_the_runs_own(ran: Path, copied: Path) -> None:
    assert scored(evaluate(ran / "run", f"folder:{copied}", device="cpu")) == ("test", 10, 40)
    assert members(ran / "run", copied) == listed(ran / "run")["test"]
    assert (
        members(ran / "run", Path(shutil.move(copied, copied.with_name("again"))), "validation")
        == (listed(ran / "run")["validation"])
    )


def test_no_image_of_the_training_is_scored_where_images_were_added_or_removed(ran: Path, copied: Path) -> None:
    """The rule alone would divide what is there now in another way."""
    held = listed(ran / "run")
    trained = {str(path.relative_to(copied)) for path in copied.rglob("*.png")} - held["test"] - held["validation"]
    write_classes(copied / "new", 60, seed=1)
    for name in ("cat", "dog"):
        for path in (copied / "new" / name).iterdir():
            path.rename(copied / name / f"new-{path.name}")
    shutil.rmtree(copied / "new")
    for name in sorted(held["test"])[:3]:
        (copied / name).unlink()
    assert scored(evaluate(ran / "run", f"folder:{copied}", device="cpu")) == ("test", 7, 157)
    found = members(ran / "run", copied)
    assert found == set(sorted(held["test"])[3:])
    assert not found & trained


# --- other data ------------------------------------------------------------------------------------------------------------


def test_all_images_of_another_folder_are_scored(ran: Path, tmp_path: Path) -> None:
    other = f"folder:{write_classes(tmp_path / 'other', 6, seed=2)}"
    found = evaluate(ran / "run", other, device="cpu")
    assert scored(found) == ("all", 12, 12)
    assert found.notes == ("the data are not those of the run, and have no splits",)
    assert found.scores.confusion == evaluate(ran / "run", other, split="all", device="cpu").scores.confusion
    refusal = refused(lambda: evaluate(ran / "run", other, split="test", device="cpu"))
    assert refusal.code == "data-split"
    assert "--split all" in refusal.help
    done = CliRunner().invoke(group, ["eval", str(ran / "run"), "--data", other, "--device", "cpu"])
    assert "scored 12 of 12 images; the data are not those of the run, and have no splits" in done.output
    shown = json.loads(
        CliRunner().invoke(group, ["eval", str(ran / "run"), "--data", other, "--device", "cpu", "--format", "json"]).output
    )
    assert (shown["split"], shown["images"], shown["available"]) == ("all", 12, 12)


def test_images_of_the_same_names_and_other_sizes_are_others(ran: Path, tmp_path: Path) -> None:
    other = f"folder:{write_classes(tmp_path / 'other', 20, seed=3)}"
    assert scored(evaluate(ran / "run", other, device="cpu")) == ("all", 40, 40)


@pytest.mark.parametrize(("split", "count"), [("test", 8), (None, 8), ("validation", 6), ("train", 24), ("all", 38)])
def test_another_folder_with_splits_has_those(ran: Path, tmp_path: Path, split: str | None, count: int) -> None:
    other = write_folder(tmp_path / "other")
    found = evaluate(ran / "run", other, split=split, device="cpu")  # type: ignore[arg-type]
    assert scored(found) == (split or "test", count, 38)


def test_a_folder_that_has_only_test_images_is_evaluated(ran: Path, tmp_path: Path) -> None:
    write_classes(tmp_path / "other" / "test", 5, seed=4)
    assert scored(evaluate(ran / "run", f"folder:{tmp_path / 'other'}", device="cpu")) == ("test", 10, 10)


def test_weights_without_their_run_hold_out_what_the_rule_does_and_say_so(ran: Path, tmp_path: Path) -> None:
    """It is not known whether the folder is that of the training, whose images must not be scored."""
    shutil.copy(ran / "run" / "best.safetensors", tmp_path / "mine.safetensors")
    found = evaluate(tmp_path / "mine.safetensors", f"folder:{ran / 'data'}", device="cpu")
    assert scored(found) == ("test", 10, 40)
    assert "it is not known whether these are its images" in found.notes[0]
    assert scored(evaluate(tmp_path / "mine.safetensors", f"folder:{ran / 'data'}", split="all", device="cpu"))[1] == 40


# --- images held out of a training split -----------------------------------------------------------------------------------


def test_images_held_out_of_a_training_split_are_those_of_the_list(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(session, "write_pictures", lambda *_: None)
    data = tmp_path / "data"
    write_folder(data)
    shutil.rmtree(data / "val")
    train(tmp_path / "run", f"folder:{data}", epochs=1, hold_out=0.25)
    held = listed(tmp_path / "run")
    assert set(held) == {"validation"}
    copied = Path(shutil.copytree(data, tmp_path / "copied"))
    assert members(tmp_path / "run", copied, "validation") == held["validation"]
    other = write_folder(tmp_path / "other", seed=5)
    found = evaluate(tmp_path / "run", other, split="train", device="cpu")
    assert scored(found) == ("train", 24, 38)  # nothing is held out of other data
