"""`check --watch`: a process that checks again after each change."""

from __future__ import annotations

import os
import queue
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner

from resnet_spec.cli import group
from resnet_spec.cli.watching import find_folders, take_snapshot

pytestmark = [
    pytest.mark.subprocess,
    pytest.mark.skipif(sys.platform == "win32", reason="a process is interrupted by a signal"),
]

SPEC = "spec: 1\ninput: 3x8x8\nstem: {c: {op: conv2d, out_channels: 2, kernel_size: 3, bias: false}}\n"
WAIT = 60.0  # seconds until a line that does not come fails the test


class Watcher:
    """`resnet-spec check --watch` in a folder; its output is read line by line."""

    def __init__(self, folder: Path, *arguments: str) -> None:
        repository = str(Path(__file__).parents[2])
        self.process = subprocess.Popen(
            [sys.executable, "-m", "resnet_spec", "check", "--watch", *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            cwd=folder,
            env={**os.environ, "PYTHONPATH": repository, "PYTHONUNBUFFERED": "1"},
        )
        self.lines: queue.Queue[str] = queue.Queue()
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.lines.put(line)

    def round(self) -> str:
        """The output of one round."""
        found = []
        while not (line := self.lines.get(timeout=WAIT)).startswith("watching "):
            found.append(line)
        assert self.lines.get(timeout=WAIT) == "\n"
        return "".join(found)

    def interrupt(self) -> int:
        self.process.send_signal(signal.SIGINT)
        return self.process.wait(timeout=WAIT)


@pytest.fixture
def watchers() -> Iterator[list[Watcher]]:
    started: list[Watcher] = []
    yield started
    for watcher in started:
        watcher.process.kill()
        watcher.process.wait()


def replace(path: Path, text: str) -> None:
    """Write as editors do: a new file in the place of the old one."""
    (path.parent / ".new").write_text(text)
    os.replace(path.parent / ".new", path)


def test_a_change_is_checked(tmp_path: Path, watchers: list[Watcher]) -> None:
    (tmp_path / "x.yaml").write_text(SPEC)
    watcher = Watcher(tmp_path, "x.yaml")
    watchers.append(watcher)
    assert "x.yaml: ok" in watcher.round()
    replace(tmp_path / "x.yaml", SPEC.replace("kernel_size: 3", "kernel_size: 99"))
    assert "error[kernel-too-large]" in watcher.round()
    (tmp_path / "x.yaml").write_text(SPEC)
    assert "x.yaml: ok" in watcher.round()
    (tmp_path / "x.yaml").unlink()
    assert "error[missing-file]" in watcher.round()
    assert watcher.interrupt() == 130


def test_what_is_extended_is_watched_also_before_it_exists(tmp_path: Path, watchers: list[Watcher]) -> None:
    (tmp_path / "specs").mkdir()
    (tmp_path / "parts").mkdir()
    (tmp_path / ".git").mkdir()
    (tmp_path / "specs" / "x.yaml").write_text("spec: 1\nextends: ../parts/base.yaml\n")
    watcher = Watcher(tmp_path, "specs/x.yaml")
    watchers.append(watcher)
    assert "error[missing-file]" in watcher.round()
    (tmp_path / "parts" / "base.yaml").write_text(SPEC)
    assert "54 parameters" in watcher.round()
    replace(tmp_path / "parts" / "base.yaml", SPEC.replace("bias: false", "bias: true"))
    assert "56 parameters" in watcher.round()


def test_new_files_and_folders_in_a_folder_are_found(tmp_path: Path, watchers: list[Watcher]) -> None:
    (tmp_path / "a.yaml").write_text(SPEC)
    watcher = Watcher(tmp_path, ".")
    watchers.append(watcher)
    assert "a.yaml: ok" in watcher.round()
    (tmp_path / "notes.txt").write_text("not a spec")
    (tmp_path / "staged").mkdir()
    (tmp_path / "staged" / "b.yaml").write_text(SPEC)
    output = watcher.round()
    while "b.yaml: ok" not in output:  # the folder may be noticed before its file is there
        output = watcher.round()
    assert "2 specs checked" in output


# --- in this process -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (("-",), "standard input"),
        (("x.yaml", "--update-expect"), "--update-expect"),
        (("resnet18",), "shipped specs do not change"),
    ],
)
def test_what_cannot_be_watched_is_refused(
    arguments: tuple[str, ...], why: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    done = CliRunner().invoke(group, ["check", "--watch", *arguments])
    assert (done.exit_code, why in done.output) == (2, True)


def test_the_folders_of_all_that_is_read_are_watched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name, extends in {"a/x": "../b/y.yaml", "b/y": "../c/z.yaml", "c/z": "../d/none.yaml", "e/r": "../b/y.yaml"}.items():
        path = tmp_path / f"{name}.yaml"
        path.parent.mkdir(exist_ok=True)
        kind = "recipe" if name == "e/r" else "spec"
        path.write_text(f"{kind}: 1\nextends: {extends}\n")
    (tmp_path / "d").mkdir()
    real = tmp_path.resolve()
    assert find_folders(["a/x.yaml", "resnet18", "none/q.yaml"], [], None) == {str(real / name) for name in "abcd"}
    assert find_folders(["e/r.yaml"], ["c"], None) == {str(real / name) for name in "ebc"}


def test_a_snapshot_tells_states_apart(tmp_path: Path) -> None:
    folder = str(tmp_path)
    states = [take_snapshot(folder)]
    (tmp_path / "x.yaml").write_text("1")
    states.append(take_snapshot(folder))
    replace(tmp_path / "x.yaml", "2")
    states.append(take_snapshot(folder))
    (tmp_path / "sub").mkdir()
    states.append(take_snapshot(folder))
    (tmp_path / "dangling.yaml").symlink_to("nowhere")
    states.append(take_snapshot(folder))
    states.append(take_snapshot(folder + "/none"))
    assert all(first != second for number, first in enumerate(states[:-1]) for second in states[number + 1 : -1])
    (tmp_path / "notes.txt").write_text("x")
    assert take_snapshot(folder) == states[4]
