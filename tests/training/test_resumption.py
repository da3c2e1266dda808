"""A run that is killed anywhere and resumed ends with the same bytes as one that was not."""

from __future__ import annotations

import os
import pickle
import random
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

import resnet_spec
from resnet_spec import build
from resnet_spec.diagnostics import ResnetSpecError
from resnet_spec.report.pictures import FinishedRun
from resnet_spec.report.record import read_rows
from resnet_spec.training import checkpoints, feeding, runs, session
from resnet_spec.training.console import Console
from tests.training import drill, tiny

pytestmark = [pytest.mark.torch, pytest.mark.training]
ROOT = Path(__file__).parents[2]
FILES = ("last.safetensors", "best.safetensors", "metrics.jsonl", "metrics.csv", "results.json", "predictions.csv")
SIGNALS = {"sigkill": -9, "sigterm": 130, "sigint": 130}
BOUNDARIES = ("open", "half", "fsync", "replace")


@pytest.fixture(autouse=True)
def _no_pictures(monkeypatch: pytest.MonkeyPatch) -> None:
    """They are drawn elsewhere, and take longer than the runs."""
    monkeypatch.setattr(session, "write_pictures", lambda *_: None)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that was not interrupted."""
    return undisturbed(tmp_path_factory, drill.RECIPE)


@pytest.fixture(scope="module")
def read_by_workers(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same with images that other processes read."""
    return undisturbed(tmp_path_factory, drill.READ_BY_WORKERS)


def undisturbed(tmp_path_factory: pytest.TempPathFactory, recipe: str) -> Path:
    folder = tmp_path_factory.mktemp("drill") / "whole"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(session, "write_pictures", lambda *_: None)
        drill.begin(folder, recipe=recipe)
    return folder


def killed(folder: Path, kind: str, at: int) -> int:
    """Run a process that kills itself; its exit code."""
    command = [sys.executable, "-m", "tests.training.drill", str(folder), kind, str(at)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=300, start_new_session=True)
    assert "Traceback" not in done.stderr
    return done.returncode


@pytest.fixture(scope="module")
def stopped(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that was stopped by a signal at step 3. Copy it before going on with it."""
    folder = tmp_path_factory.mktemp("stopped") / "run"
    assert killed(folder, "sigterm", 3) == 130
    return folder


@pytest.fixture(scope="module")
def killed_late(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that was killed at step 10, with two checkpoints. Copy it before going on with it."""
    folder = tmp_path_factory.mktemp("killed") / "run"
    assert killed(folder, "sigkill", 10) == -9
    return folder


def assert_ends_as(whole: Path, folder: Path) -> None:
    drill.go_on(folder)
    for name in FILES:
        assert (folder / name).read_bytes() == (whole / name).read_bytes(), name
    assert not list(folder.rglob("*.tmp"))
    for path in (folder / "checkpoints").iterdir():
        assert checkpoints._read(path)[1] is not None


def test_two_whole_runs_are_equal(whole: Path, tmp_path: Path) -> None:
    drill.begin(tmp_path / "again")
    for name in FILES:
        assert (tmp_path / "again" / name).read_bytes() == (whole / name).read_bytes()


@pytest.mark.subprocess
@pytest.mark.parametrize(
    ("kind", "at"), [("sigkill", 2), *(pytest.param(*kill, marks=pytest.mark.drill) for kill in (("sigint", 10), ("half", 2)))]
)
def test_a_killed_run_ends_as_a_whole_one(whole: Path, tmp_path: Path, kind: str, at: int) -> None:
    """At step 2 there is no checkpoint yet: the run begins again."""
    assert killed(tmp_path / "run", kind, at) == SIGNALS.get(kind, -9)
    assert_ends_as(whole, tmp_path / "run")


@pytest.mark.drill
@pytest.mark.subprocess
@pytest.mark.parametrize("kind", ["group", "terminal"])
def test_a_signal_to_all_processes_leaves_those_that_read_images_at_work(
    read_by_workers: Path, tmp_path: Path, kind: str
) -> None:
    assert killed(tmp_path / "run", kind, 3) == 130
    newest = checkpoints.newest(tmp_path / "run", pytest.fail)
    assert newest is not None
    assert newest.step == 3
    assert_ends_as(read_by_workers, tmp_path / "run")


def drills(count: int, seed: int) -> list[tuple[str, int]]:
    """Kills at random steps and at every boundary of random writes."""
    chance = random.Random(seed)
    found = []
    for number in range(count):
        kinds = [*SIGNALS, *BOUNDARIES]
        kind = kinds[number % len(kinds)]
        found.append((kind, chance.randint(1, drill.STEPS) if kind in SIGNALS else chance.randint(1, 6)))
    return found


@pytest.mark.drill
@pytest.mark.subprocess
@pytest.mark.parametrize(("kind", "at"), drills(int(os.environ.get("DRILLS", "20")), 1))
def test_drill(whole: Path, tmp_path: Path, kind: str, at: int) -> None:
    assert killed(tmp_path / "run", kind, at) == SIGNALS.get(kind, -9)
    assert_ends_as(whole, tmp_path / "run")


@pytest.fixture(scope="module")
def of_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of a folder with weights of classes, a moving average and early stopping; the images are next to it."""
    folder = tmp_path_factory.mktemp("folder")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(session, "write_pictures", lambda *_: None)
        drill.begin(folder / "whole", recipe=drill.OF_FOLDER, data=drill.write_images(folder / "images"))
    return folder / "whole"


@pytest.mark.drill
@pytest.mark.subprocess
@pytest.mark.parametrize("at", [1, 3, 8, 13, 17])
def test_a_killed_run_of_a_folder_ends_as_a_whole_one(of_folder: Path, at: int) -> None:
    epochs = [row.epoch for row in read_rows((of_folder / "metrics.jsonl").read_text(encoding="utf-8"))]
    assert 3 < epochs[-1] < 30  # it stopped early
    folder = of_folder.with_name(f"killed-{at}")
    assert killed(folder, "folder", at) == -9
    assert_ends_as(of_folder, folder)


@pytest.mark.subprocess
def test_stopped_twice_and_resumed_twice(whole: Path, stopped: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(stopped, tmp_path / "run")
    step = checkpoints.newest(folder, pytest.fail)
    assert step is not None
    assert step.step == 3
    assert_ends_as(whole, folder)
    assert_ends_as(whole, folder)  # a finished run is finished


def damaged(path: Path, how: str) -> None:
    data = bytearray(path.read_bytes())
    match how:
        case "truncated":
            path.write_bytes(data[: len(data) // 2])
        case "zeroed":
            path.write_bytes(bytes(len(data)))
        case "empty":
            path.write_bytes(b"")
        case _:
            data[len(data) // 3] ^= 0b100
            path.write_bytes(data)


@pytest.mark.parametrize("how", ["truncated", "zeroed", "empty", "one bit"])
@pytest.mark.subprocess
def test_a_damaged_checkpoint_is_named_and_the_one_before_it_taken(
    whole: Path, killed_late: Path, tmp_path: Path, how: str
) -> None:
    folder = shutil.copytree(killed_late, tmp_path / "run")
    newest, before = sorted((folder / "checkpoints").iterdir(), reverse=True)
    damaged(newest, how)
    reported: list[str] = []
    found = checkpoints.newest(folder, reported.append)
    assert found is not None
    assert found.path == before
    assert len(reported) == 1
    assert newest.name in reported[0]
    damaged(before, how)
    assert checkpoints.newest(folder, reported.append) is None
    assert_ends_as(whole, folder)  # from the start, and the damaged files are written anew


class Bomb:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return (os.system, ("touch bomb-went-off",))


@pytest.mark.parametrize("how", ["torch", "pickle"])
def test_a_pickle_bomb_as_a_checkpoint_is_refused_without_running(
    tmp_path: Path, how: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Even with the right hash in its name."""
    import hashlib
    import io

    monkeypatch.chdir(tmp_path)
    buffer = io.BytesIO()
    if how == "torch":
        torch.save({"step": Bomb()}, buffer)
    else:
        pickle.dump({"step": Bomb()}, buffer)
    (tmp_path / "checkpoints").mkdir()
    name = f"step-00000009-{hashlib.sha256(buffer.getvalue()).hexdigest()}.pt"
    (tmp_path / "checkpoints" / name).write_bytes(buffer.getvalue())
    reported: list[str] = []
    assert checkpoints.newest(tmp_path, reported.append) is None
    assert name in reported[0]
    assert not (tmp_path / "bomb-went-off").exists()


@pytest.mark.subprocess
def test_other_data_are_refused(stopped: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(stopped, tmp_path / "run")
    with pytest.raises(ResnetSpecError, match="data-changed"):
        resnet_spec.resume(folder, data="synthetic:classes=4,size=12,train=96,validation=30,test=30", console=Console.silent())


def test_data_whose_channels_cannot_be_converted_are_refused(tmp_path: Path) -> None:
    """Names and labels of synthetic images do not depend on their channels."""
    tiny.train(tmp_path / "run", epochs=1)
    found = tiny.refused(lambda: resnet_spec.resume(tmp_path / "run", data=f"{tiny.DATA},channels=4", console=Console.silent()))
    assert found.code == "data-channels"


def test_only_as_many_checkpoints_as_wanted_are_kept(whole: Path) -> None:
    assert len(list((whole / "checkpoints").iterdir())) == 2


class Gone(Exception):  # noqa: N818
    """A run that ends without being asked."""


def _given_weights(folder: Path) -> Path:
    path = folder / "given.safetensors"
    module = build(tiny.SPEC)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.mul_(0.5)
    save_file(module.state_dict(), path)
    return path


def test_a_run_that_began_with_given_weights_ends_as_a_whole_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    finished: list[FinishedRun] = []
    monkeypatch.setattr(session, "write_pictures", lambda path, run: finished.append(run))

    def stop(step: int) -> None:
        if step == 3:
            raise Gone

    weights = _given_weights(tmp_path)
    tiny.train(tmp_path / "whole", weights=weights)
    with pytest.raises(Gone):
        tiny.train(tmp_path / "run", weights=weights, on_step=stop)
    weights.unlink()
    assert_ends_as(tmp_path / "whole", tmp_path / "run")
    assert f"38 tensors come from {weights}" in finished[0].notes
    assert finished[1].notes == finished[0].notes
    for path in (tmp_path / "run" / "checkpoints").iterdir():
        path.unlink()
    found = tiny.refused(lambda: drill.go_on(tmp_path / "run"))
    assert "its seed cannot give the weights it began with" in found.message


def test_a_run_of_a_module_ends_as_a_whole_one_from_its_first_step_on(tmp_path: Path) -> None:
    """Its own weights are kept; the size of drawn images is that of the start, not that of what is cut from them."""

    def module(seed: int) -> nn.Module:
        torch.manual_seed(seed)
        return nn.Sequential(nn.AdaptiveAvgPool2d(4), nn.Flatten(), nn.Linear(48, 4))

    def stop(step: int) -> None:
        if step == 3:
            raise Gone

    data = "synthetic:classes=4,train=80,validation=24,test=30"
    tiny.train(tmp_path / "whole", data, module(0), input=(3, 16, 16), crop=12)
    with pytest.raises(Gone):
        tiny.train(tmp_path / "run", data, module(0), input=(3, 16, 16), crop=12, on_step=stop)
    resnet_spec.resume(tmp_path / "run", module=module(1), device="cpu", console=Console.silent())
    for name in FILES:
        assert (tmp_path / "run" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes(), name


def test_a_module_that_torchrun_starts_again_continues(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def stop(step: int) -> None:
        if step == 7:
            raise Gone

    def module() -> nn.Module:
        torch.manual_seed(0)
        return nn.Sequential(nn.Flatten(), nn.Linear(432, 4))

    tiny.train(tmp_path / "whole", spec=module(), input=(3, 12, 12))
    with pytest.raises(Gone):
        tiny.train(tmp_path / "run", spec=module(), input=(3, 12, 12), on_step=stop)
    monkeypatch.setattr(runs, "restarted", lambda: True)
    tiny.train(tmp_path / "run", spec=module(), input=(3, 12, 12))
    for name in FILES:
        assert (tmp_path / "run" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes(), name


def test_images_of_other_names_are_other_data(tmp_path: Path) -> None:
    def stop(step: int) -> None:
        if step == 1:
            raise Gone

    data = tiny.write_folder(tmp_path / "data")
    with pytest.raises(Gone):
        tiny.train(tmp_path / "run", data, on_step=stop)
    (tmp_path / "data" / "train" / "cat" / "0.png").rename(tmp_path / "data" / "train" / "cat" / "other.png")
    assert tiny.refused(lambda: drill.go_on(tmp_path / "run")).code == "data-changed"


@pytest.mark.parametrize("held", [True, False])
def test_a_run_that_passes_over_bad_images_continues_with_other_free_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, held: bool
) -> None:
    """Images that are held are decoded at the start and those that cannot be are not counted; else they are found later."""

    def stop(step: int) -> None:
        if step == 3:
            raise Gone

    data = tiny.write_folder(tmp_path / "data")
    (tmp_path / "data" / "train" / "dog" / "7.png").write_bytes(b"")
    budget = {True: 2**40, False: 0}
    monkeypatch.setattr(feeding, "held_budget", lambda: budget[held])
    changes: dict[str, Any] = {"batch_size": 4, "normalize": {"mean": "half", "std": "half"}}
    tiny.train(tmp_path / "whole", data, skip_bad=True, workers=0, **changes)
    with pytest.raises(Gone):
        tiny.train(tmp_path / "run", data, skip_bad=True, workers=0, on_step=stop, **changes)
    monkeypatch.setattr(feeding, "held_budget", lambda: budget[not held])
    resnet_spec.resume(tmp_path / "run", device="cpu", workers=0, console=Console.silent())
    for name in FILES:
        assert (tmp_path / "run" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes(), name


ASKED_TWICE = """
import os, signal, sys, time
from resnet_spec.training import stop
stop.ECHO_SECONDS = float(sys.argv[1])
first, second = (getattr(signal, name) for name in sys.argv[2:])
asked = stop.Stop()
with asked.listening():
    os.kill(os.getpid(), first)
    time.sleep(0.3)
    os.kill(os.getpid(), second)
    time.sleep(0.3)
sys.exit(1 if asked.signal == first else 2)
"""


@pytest.mark.subprocess
@pytest.mark.parametrize(
    ("echo", "first", "second", "code"),
    [
        ("5", "SIGTERM", "SIGTERM", 1),  # torchrun hands on what its supervisor sent to all
        ("5", "SIGINT", "SIGTERM", 1),
        ("0", "SIGTERM", "SIGTERM", 128 + 15),
        ("5", "SIGINT", "SIGINT", 128 + 2),
        ("5", "SIGTERM", "SIGINT", 128 + 2),
    ],
)
def test_a_second_signal_ends_at_once_unless_it_is_an_echo(echo: str, first: str, second: str, code: int) -> None:
    done = subprocess.run([sys.executable, "-c", ASKED_TWICE, echo, first, second], cwd=ROOT, check=False)
    assert done.returncode == code
