"""A run that is killed anywhere and resumed ends with the same bytes as one that was not."""

from __future__ import annotations

import os
import pickle
import random
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from resnet_spec.diagnostics import SpecError
from resnet_spec.training import checkpoints, session
from tests.training import drill

pytestmark = pytest.mark.torch
ROOT = Path(__file__).parents[2]
FILES = ("last.safetensors", "best.safetensors", "metrics.jsonl", "metrics.csv", "results.json")
SIGNALS = {"sigkill": -9, "sigterm": 130, "sigint": 130}
BOUNDARIES = ("open", "half", "fsync", "replace")


@pytest.fixture(autouse=True)
def _no_pictures(monkeypatch: pytest.MonkeyPatch) -> None:
    """They are drawn elsewhere, and take longer than the runs."""
    monkeypatch.setattr(session, "write_pictures", lambda *_: None)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that nobody disturbed."""
    folder = tmp_path_factory.mktemp("drill") / "whole"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(session, "write_pictures", lambda *_: None)
        drill.begin(folder)
    return folder


def killed(folder: Path, kind: str, at: int) -> int:
    """Run a process that kills itself; its exit code."""
    command = [sys.executable, "-m", "tests.training.drill", str(folder), kind, str(at)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=300, start_new_session=True)
    assert "Traceback" not in done.stderr
    return done.returncode


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


@pytest.mark.parametrize(("kind", "at"), [("sigkill", 2), ("sigint", 10), ("half", 2)])
def test_a_killed_run_ends_as_a_whole_one(whole: Path, tmp_path: Path, kind: str, at: int) -> None:
    """At step 2 there is no checkpoint yet: the run begins again."""
    assert killed(tmp_path / "run", kind, at) == SIGNALS.get(kind, -9)
    assert_ends_as(whole, tmp_path / "run")


@pytest.mark.parametrize("kind", ["group", "terminal"])
def test_a_signal_to_all_processes_leaves_those_that_read_images_at_work(tmp_path: Path, kind: str) -> None:
    drill.begin(tmp_path / "whole", recipe=drill.READ_BY_WORKERS)
    assert killed(tmp_path / "run", kind, 3) == 130
    newest = checkpoints.newest(tmp_path / "run", pytest.fail)
    assert newest is not None
    assert newest.step == 3
    assert_ends_as(tmp_path / "whole", tmp_path / "run")


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
@pytest.mark.parametrize(("kind", "at"), drills(int(os.environ.get("DRILLS", "20")), 1))
def test_drill(whole: Path, tmp_path: Path, kind: str, at: int) -> None:
    assert killed(tmp_path / "run", kind, at) == SIGNALS.get(kind, -9)
    assert_ends_as(whole, tmp_path / "run")


def test_stopped_twice_and_resumed_twice(whole: Path, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    assert killed(folder, "sigterm", 3) == 130
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
def test_a_damaged_checkpoint_is_named_and_the_one_before_it_taken(whole: Path, tmp_path: Path, how: str) -> None:
    folder = tmp_path / "run"
    assert killed(folder, "sigkill", 10) == -9
    newest, before = sorted((folder / "checkpoints").iterdir(), reverse=True)
    damaged(newest, how)
    told: list[str] = []
    found = checkpoints.newest(folder, told.append)
    assert found is not None
    assert found.path == before
    assert len(told) == 1
    assert newest.name in told[0]
    damaged(before, how)
    assert checkpoints.newest(folder, told.append) is None
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
    told: list[str] = []
    assert checkpoints.newest(tmp_path, told.append) is None
    assert name in told[0]
    assert not (tmp_path / "bomb-went-off").exists()


def test_other_data_are_refused(tmp_path: Path) -> None:
    from resnet_spec import runs

    folder = tmp_path / "run"
    assert killed(folder, "sigterm", 3) == 130
    with pytest.raises(SpecError, match="data-changed"):
        runs.resume(folder, data="synthetic:classes=4,size=12,train=96,validation=30,test=30", console=runs.quiet())


def test_only_as_many_checkpoints_as_wanted_are_kept(whole: Path) -> None:
    assert len(list((whole / "checkpoints").iterdir())) == 2
