"""A finished run continued to more epochs, and a run that finds its data from anywhere."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from torch import nn

import resnet_spec
from resnet_spec.cli import group
from resnet_spec.diagnostics import ArgumentError
from resnet_spec.training import lengthening, session
from resnet_spec.training.console import Console
from resnet_spec.training.recipe import read_recipe
from resnet_spec.training.stop import Stop
from tests.training import tiny
from tests.training.tiny import refused, train, write_folder

pytestmark = [pytest.mark.torch, pytest.mark.training]
FILES = ("last.safetensors", "best.safetensors", "metrics.jsonl", "metrics.csv", "results.json", "recipe.yaml", "run.json")
CONSTANT: dict[str, Any] = {"schedule": "constant", "ema": {"decay": 0.9}, "augment": {"random_crop": {"padding": 1}}}


@pytest.fixture(autouse=True)
def _no_pictures(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(session, "write_pictures", lambda *_: None)


def resume(run: Path, **options: Any) -> Any:
    return resnet_spec.resume(run, device="cpu", console=Console.silent(), **options)


def assert_equal_runs(one: Path, other: Path) -> None:
    for name in FILES:
        assert (one / name).read_bytes() == (other / name).read_bytes(), name


# --- more epochs -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "changes",
    [
        {**CONSTANT, "warmup": {"length": 7, "unit": "iterations"}},
        {"schedule": {"op": "multistep", "milestones": [1, 3]}, "early_stopping": {"patience": 9}},
    ],
)
def test_a_run_of_20_epochs_continued_to_40_is_a_run_of_40(tmp_path: Path, changes: dict[str, Any]) -> None:
    """Epochs of five steps: 2 and 4 of them stand for 20 and 40."""
    whole, run = tmp_path / "whole", tmp_path / "run"
    train(whole, epochs=4, **changes)
    assert len(train(run, epochs=2, **changes).rows) == 2
    assert len(resume(run, epochs=4).rows) == 4
    assert_equal_runs(whole, run)
    assert read_recipe(run / "recipe.yaml").epochs == 4
    resume(run)  # which is then a finished run of 4
    assert_equal_runs(whole, run)


def test_the_length_of_a_run_that_is_not_finished_changes_too(tmp_path: Path) -> None:
    whole, run = tmp_path / "whole", tmp_path / "run"
    train(whole, epochs=3, **CONSTANT)
    stop = Stop()
    console = Console(
        lambda line: None, lambda epoch, step, *_: setattr(stop, "signal", 2 if step == 7 else stop.signal), print
    )

    with pytest.raises(resnet_spec.Interrupted):
        resnet_spec.train(
            tiny.SPEC, tiny.recipe(epochs=9, **CONSTANT), tiny.DATA, out=run, device="cpu", console=console, stop=stop
        )
    resume(run, epochs=3)
    assert_equal_runs(whole, run)


def test_a_run_killed_while_its_length_is_written_has_one_or_the_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    train(tmp_path / "run", epochs=1, **CONSTANT)

    class Killed(BaseException):
        pass

    for name, epochs in (("write_atomically", 1), ("write_record", 2)):
        run = shutil.copytree(tmp_path / "run", tmp_path / name)
        calls: list[int] = []
        original = getattr(lengthening, name)

        def die(*arguments: Any, name: str = name, calls: list[int] = calls, original: Any = original) -> None:
            calls.append(1)
            if len(calls) == (1 if name == "write_atomically" else 2):
                raise Killed
            original(*arguments)

        with monkeypatch.context() as patch:
            patch.setattr(lengthening, name, die)
            with pytest.raises(Killed):
                resume(run, epochs=2)
        assert len(resume(run).rows) == epochs
        assert len(resume(run, epochs=3).rows) == 3


@pytest.mark.parametrize(
    ("changes", "epochs", "words"),
    [
        ({"schedule": "cosine"}, 4, "follow a `cosine` schedule over its whole length"),
        ({"schedule": "one_cycle"}, 4, "`one_cycle`"),
        (
            {"optimizer": {"op": "SGD", "lr": 0.0}, "schedule": None, "epochs": 5, "early_stopping": {"patience": 1}},
            9,
            "stopped early",
        ),
        ({"schedule": None, "epochs": None, "iterations": 7}, 4, "cut short by `iterations`"),
        ({"schedule": None, "epochs": 3}, 2, "has trained 15 steps already"),
    ],
)
def test_a_run_that_cannot_have_another_length_says_what_is_possible(
    tmp_path: Path, changes: dict[str, Any], epochs: int, words: str
) -> None:
    train(tmp_path / "run", **changes)
    before = {path: path.read_bytes() for path in (tmp_path / "run").rglob("*") if path.is_file()}
    found = refused(lambda: resume(tmp_path / "run", epochs=epochs))
    assert found.code == "run-length"
    assert words in found.message
    if words.startswith("has trained"):
        return
    command = found.help.partition("`")[2].partition("`")[0]
    assert f"--weights {tmp_path}/run/last.safetensors" in command
    assert {path: path.read_bytes() for path in (tmp_path / "run").rglob("*") if path.is_file()} == before
    done = CliRunner().invoke(group, [*command.split()[1:], "--dry-run"])  # the way out works
    assert done.exit_code == 0, done.output


def test_the_command_continues_a_finished_run(tmp_path: Path) -> None:
    train(tmp_path / "run", epochs=1, schedule=None)
    run = str(tmp_path / "run")
    done = CliRunner().invoke(group, ["train", "--resume", run, "--epochs", "2", "--device", "cpu"])
    assert done.exit_code == 0, done.output
    assert "epoch 2/2" in done.output
    assert "finished  the run has trained its 2 epochs; its report is written again; `--epochs N` trains on" in (
        CliRunner().invoke(group, ["train", "--resume", run, "--device", "cpu"]).output
    )
    assert CliRunner().invoke(group, ["train", "--resume", run, "--epochs", "2", "--lr", "1"]).exit_code == 2
    with pytest.raises(ArgumentError, match="`epochs` takes an integer"):
        resume(tmp_path / "run", epochs=0)


def test_a_run_of_a_module_is_continued_too(tmp_path: Path) -> None:
    def module() -> nn.Module:
        import torch

        torch.manual_seed(1)
        return nn.Sequential(nn.Flatten(), nn.Linear(432, 4))

    train(tmp_path / "whole", spec=module(), input=(3, 12, 12), epochs=2, schedule=None)
    train(tmp_path / "run", spec=module(), input=(3, 12, 12), epochs=1, schedule=None)
    resume(tmp_path / "run", epochs=2, module=module())
    assert_equal_runs(tmp_path / "whole", tmp_path / "run")


# --- the data of a run -----------------------------------------------------------------------------------------------------


@pytest.fixture
def ran(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with `work/data` and `work/runs/a`, which was begun with a relative path in `work`."""
    write_folder(tmp_path / "work" / "data")
    monkeypatch.chdir(tmp_path / "work")
    train(Path("runs/a"), data="folder:data", epochs=1, schedule=None)
    return tmp_path


def test_a_run_finds_its_data_from_any_working_directory(ran: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = (ran / "work" / "runs" / "a" / "last.safetensors").read_bytes()
    score = resnet_spec.evaluate("runs/a", device="cpu").scores
    assert resnet_spec.evaluate("runs/a", device="cpu").data == "folder:data"
    (ran / "elsewhere").mkdir()
    monkeypatch.chdir(ran / "elsewhere")
    run = ran / "work" / "runs" / "a"
    resume(run, epochs=2)
    monkeypatch.chdir(ran / "work")
    train(Path("runs/b"), data="folder:data", epochs=2, schedule=None)
    assert (run / "last.safetensors").read_bytes() == (ran / "work" / "runs" / "b" / "last.safetensors").read_bytes() != before
    monkeypatch.chdir(ran / "elsewhere")
    for path in (run, run / "best.safetensors"):
        found = resnet_spec.evaluate(path, device="cpu")
        assert found.scores.images == score.images
        assert found.data == f"folder:{ran / 'work' / 'data'}"


def test_a_run_that_was_moved_together_with_its_data_finds_them(ran: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.move(ran / "work", ran / "moved")
    monkeypatch.chdir(ran)
    lines: list[str] = []
    console = Console(lines.append, lambda *step: None, lambda *row: None)
    resnet_spec.resume(ran / "moved" / "runs" / "a", device="cpu", console=console)
    assert resnet_spec.evaluate(ran / "moved" / "runs" / "a", device="cpu").scores.images == 8


def test_data_that_are_nowhere_are_asked_for(ran: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.move(ran / "work" / "data", ran / "images")
    monkeypatch.chdir(ran)
    run = ran / "work" / "runs" / "a"
    for act in (lambda: resume(run), lambda: resnet_spec.evaluate(run, device="cpu")):
        found = refused(act)
        assert found.code == "missing-data"
        assert str(ran / "work" / "data") in found.message
        assert found.help == "say where they are now: `--data folder:DIR`"
    resume(run, data=f"folder:{ran / 'images'}")


def test_a_record_says_where_the_data_are(ran: Path) -> None:
    found = json.loads((ran / "work" / "runs" / "a" / "run.json").read_text(encoding="utf-8"))
    assert found["data"] == "folder:data"
    assert found["data_folder"] == {"absolute": str(ran / "work" / "data"), "relative": "../../data"}
