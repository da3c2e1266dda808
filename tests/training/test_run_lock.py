"""Two processes on one run: the second is refused, and the first is not disturbed."""

from __future__ import annotations

import errno
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from click.testing import CliRunner

import resnet_spec
from resnet_spec.cli import group
from resnet_spec.training import checkpoints, final_scores, run_lock, scoring, session
from resnet_spec.training.console import Console
from resnet_spec.training.run_folder import LOCK_FILE
from resnet_spec.training.run_lock import lock_run
from resnet_spec.training.world import World
from tests.training import drill
from tests.training.test_resumption import FILES, undisturbed
from tests.training.tiny import refused, train

pytestmark = [pytest.mark.torch, pytest.mark.training]
ROOT = Path(__file__).parents[2]
Second = Callable[..., tuple[int, str]]


@pytest.fixture(autouse=True)
def _no_pictures(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(session, "write_pictures", lambda *_: None)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that was not disturbed."""
    return undisturbed(tmp_path_factory, drill.RECIPE)


@contextmanager
def live(folder: Path, kind: str, at: int) -> Iterator[subprocess.Popen[bytes]]:
    """A process that trains in a folder, and pauses there for as long as the context lasts."""
    held = folder.with_name(f"{folder.name}.held")
    process = subprocess.Popen([sys.executable, "-m", "tests.training.drill", str(folder), kind, str(at)], cwd=ROOT)
    try:
        until = time.monotonic() + 120
        while not held.exists():
            assert process.poll() is None
            assert time.monotonic() < until
            time.sleep(0.05)
        yield process
        held.unlink()
        assert process.wait(120) in (0, -9)
    finally:
        process.kill()
        process.wait()


def here(folder: Path, *more: str) -> tuple[int, str]:
    """The exit code and the errors of continuing the run in this process, which is another than the live one."""
    ran = CliRunner().invoke(group, ["train", "--resume", str(folder), "--device", "cpu", *more])
    return ran.exit_code, ran.stderr


def elsewhere(folder: Path, *more: str) -> tuple[int, str]:
    """The same of a process that does nothing else."""
    command = [sys.executable, "-m", "resnet_spec", "train", "--resume", str(folder), "--device", "cpu", *more]
    ran = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=300)
    return ran.returncode, ran.stderr


def assert_refused_and_undisturbed(whole: Path, folder: Path, kind: str, at: int, second: Second) -> None:
    with live(folder, kind, at) as first:
        before = sorted(path.name for path in folder.rglob("*"))
        code, errors = second(folder)
        assert code == 2, errors
        assert f"is in use by process {first.pid} on {socket.gethostname()}" in errors
        assert "run-in-use" in errors
        assert sorted(path.name for path in folder.rglob("*")) == before
    for name in FILES:
        assert (folder / name).read_bytes() == (whole / name).read_bytes(), name
    assert not (folder / LOCK_FILE).exists()
    assert not list(folder.rglob("*.tmp"))


@pytest.mark.drill
@pytest.mark.subprocess
def test_a_second_process_is_refused_in_the_middle_of_a_write(whole: Path, tmp_path: Path) -> None:
    assert_refused_and_undisturbed(whole, tmp_path / "run", "hold-write", 2, here)


def moments(count: int) -> list[tuple[str, int]]:
    """Random steps, and the middle of random writes."""
    chance = random.Random(4)
    return [
        ("hold-step", chance.randint(1, drill.STEPS)) if number % 2 else ("hold-write", chance.randint(1, 6))
        for number in range(count)
    ]


@pytest.mark.drill
@pytest.mark.subprocess
@pytest.mark.parametrize(("kind", "at"), moments(int(os.environ.get("DRILLS", "20"))))
def test_drill_of_a_second_process(whole: Path, tmp_path: Path, kind: str, at: int) -> None:
    assert_refused_and_undisturbed(whole, tmp_path / "run", kind, at, elsewhere)


@pytest.mark.drill
@pytest.mark.subprocess
def test_a_dry_run_beside_a_live_run_leaves_its_files_alone(tmp_path: Path) -> None:
    with live(tmp_path / "run", "hold-write", 2):
        before = sorted(path.name for path in (tmp_path / "run").rglob("*"))
        assert any(name.endswith(".tmp") for name in before)
        assert here(tmp_path / "run", "--dry-run")[0] == 0
        assert sorted(path.name for path in (tmp_path / "run").rglob("*")) == before


@pytest.mark.subprocess
@pytest.mark.skipif(sys.platform == "win32", reason="there is no SIGKILL")
def test_workers_of_a_killed_run_do_not_keep_its_lock(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    with live(folder, "hold-workers", 3) as first:
        children = subprocess.run(["ps", "-o", "pid=", "--ppid", str(first.pid)], capture_output=True, text=True, check=False)
        workers = [int(text) for text in children.stdout.split()]
        assert workers
        for worker in workers:  # they live on, as where they are in the middle of a slow read
            os.kill(worker, signal.SIGSTOP)
        os.kill(first.pid, signal.SIGKILL)
        first.wait()
        try:
            with lock_run(folder, World(), pytest.fail):
                assert (folder / LOCK_FILE).read_text() == f"process {os.getpid()} on {socket.gethostname()}\n"
        finally:
            for worker in workers:
                os.kill(worker, signal.SIGKILL)


def test_a_run_in_this_process_excludes_another(tmp_path: Path) -> None:
    def again(step: int) -> None:
        if step == 2:
            found = refused(lambda: resnet_spec.resume(tmp_path / "run", device="cpu", console=Console.silent()))
            assert found.code == "run-in-use"
            assert str(os.getpid()) in found.message

    train(tmp_path / "run", epochs=1, on_step=again)
    assert not (tmp_path / "run" / LOCK_FILE).exists()


def test_a_lock_that_was_left_by_a_killed_process_is_taken(tmp_path: Path) -> None:
    (tmp_path / LOCK_FILE).write_text("process 1 on elsewhere\n")
    with lock_run(tmp_path, World(), pytest.fail):
        assert "elsewhere" not in (tmp_path / LOCK_FILE).read_text()
    assert not list(tmp_path.iterdir())


def test_a_new_run_begins_where_only_a_lock_was_left(tmp_path: Path) -> None:
    (tmp_path / LOCK_FILE).write_text("")
    train(tmp_path, epochs=1)
    assert (tmp_path / "results.json").exists()


@pytest.mark.parametrize("number", [errno.ENOLCK, errno.EOPNOTSUPP, errno.EINVAL])
def test_a_disk_without_locks_is_noted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    def no_locks(handle: int) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(run_lock, "_lock", no_locks)
    notes: list[str] = []
    with lock_run(tmp_path, World(), notes.append):
        pass
    assert len(notes) == 1
    assert "has no locks" in notes[0]


@pytest.mark.parametrize("how", ["removed", "moved", "replaced", "emptied"])
@pytest.mark.parametrize("at", [3, 10])
def test_a_folder_that_is_gone_is_not_made_again(tmp_path: Path, how: str, at: int) -> None:
    """At step 3 of 10 there is an epoch to come; at step 10 only the end."""
    folder, other = tmp_path / "run", tmp_path / "other"

    def spoil(step: int) -> None:
        if step != at:
            return
        if how in ("removed", "replaced"):
            shutil.rmtree(folder)
        if how == "moved":
            folder.rename(other)
        if how == "replaced":
            folder.mkdir()
        if how == "emptied":
            for path in folder.iterdir():
                shutil.rmtree(path) if path.is_dir() else path.unlink()

    found = refused(lambda: train(folder, on_step=spoil))
    assert found.code == "run-removed"
    assert not folder.exists() or not list(folder.iterdir())
    if how == "moved":
        resnet_spec.resume(other, device="cpu", console=Console.silent())
        assert (other / "results.json").exists()


@pytest.mark.parametrize("epochs", [1, 2])
def test_a_folder_that_is_gone_while_the_test_images_are_scored(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, epochs: int
) -> None:
    score = scoring.score

    def spoil(*arguments: object) -> object:
        shutil.rmtree(tmp_path / "run")
        return score(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(final_scores, "score", spoil)
    assert refused(lambda: train(tmp_path / "run", epochs=epochs)).code == "run-removed"
    assert not (tmp_path / "run").exists()


def test_a_folder_without_a_run_gets_no_lock(tmp_path: Path) -> None:
    assert refused(lambda: resnet_spec.resume(tmp_path, device="cpu", console=Console.silent())).code == "not-a-run"
    assert not list(tmp_path.iterdir())


def test_what_a_checkpoint_is_written_into_is_not_made(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        checkpoints.save(tmp_path / "gone", 1, {}, 2)
