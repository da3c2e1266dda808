"""Specs that are no plain files, file names that are no text, closed streams, and Ctrl-C at the beginning."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from resnet_spec.diagnostics.rendering import MESSAGE_FORMATS
from resnet_spec.language import files
from tests.cli.conftest import Shell

GOOD = "spec: 1\ninput: 3x8x8\nstem: {r: relu}\n"
REPOSITORY = Path(__file__).parent.parent.parent
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(REPOSITORY)}

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="pipes with names, and signals, are those of POSIX")


@pytest.fixture
def pipe(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A named pipe."""
    monkeypatch.setattr(files, "PATIENCE", 0.3)
    path = shell.folder / "pipe"
    os.mkfifo(path)
    return path


def write_later(pipe: Path, *pieces: bytes, wait: float = 0.1) -> threading.Thread:
    """Another thread that opens the pipe, and writes pieces with pauses before them, until the reader is gone."""

    def write() -> None:
        try:
            with pipe.open("wb", buffering=0) as file:
                for piece in pieces:
                    time.sleep(wait)
                    file.write(piece)
        except BrokenPipeError:
            pass

    thread = threading.Thread(target=write, daemon=True)
    thread.start()
    return thread


def test_a_pipe_is_read_to_its_end(shell: Shell, pipe: Path) -> None:
    """However slowly it is written: the second pause is longer than a pipe without a writer is waited for."""
    writer = write_later(pipe, GOOD[:9].encode(), GOOD[9:].encode(), wait=0.5)
    done = shell.here("check", "pipe")
    writer.join()
    assert (done.returncode, done.stdout[:9]) == (0, b"pipe: ok,")


def test_a_pipe_without_an_end_is_read_up_to_the_limit(shell: Shell, pipe: Path) -> None:
    writer = write_later(pipe, b"y\n" * 2_000_000)
    done = shell.here("check", "pipe")
    writer.join()
    assert done.returncode == 1
    assert b"error[too-large]: pipe is larger than 1,048,576 bytes" in done.stdout


def test_a_pipe_that_no_process_writes_to_is_reported(shell: Shell, pipe: Path) -> None:
    done = shell.here("check", "pipe")
    assert done.returncode == 2
    assert b"error[unreadable-file]: pipe is a pipe that no process writes to" in done.stdout


@pytest.mark.skipif(not Path("/dev/zero").exists(), reason="there is no such device")
def test_a_device_is_read_up_to_the_limit(shell: Shell) -> None:
    done = shell.here("check", "/dev/zero")
    assert done.returncode == 1
    assert b"error[too-large]: /dev/zero is larger than 1,048,576 bytes" in done.stdout


@pytest.mark.skipif(not Path("/dev/fd").exists(), reason="descriptors have no paths here")
def test_what_a_command_prints_is_a_spec(shell: Shell) -> None:
    """`check <(command)`: a shell passes the path of a descriptor. What is extended is looked up from the working directory,
    if a root is named."""
    shell.write("base.yaml", GOOD)
    reader, writer = os.pipe()
    os.write(writer, b"spec: 1\nextends: base.yaml\n")
    os.close(writer)
    try:
        done = shell.here("check", f"/dev/fd/{reader}", "--spec-root", ".")
    finally:
        os.close(reader)
    assert (done.returncode, done.stderr) == (0, b"")


@pytest.mark.parametrize("form", MESSAGE_FORMATS)
@pytest.mark.parametrize("text", [GOOD, GOOD + "xx: 1\n"])
@pytest.mark.skipif(sys.platform == "darwin", reason="its file system takes names of UTF-8 only")
def test_a_file_name_that_is_not_utf_8(shell: Shell, form: str, text: str) -> None:
    name = os.fsdecode(b"\xff a.yaml")
    (shell.folder / name).write_text(text, encoding="utf-8")
    done = shell.here("check", name, "--message-format", form)
    assert (done.returncode, done.stderr) == (int("xx" in text), b"")
    if form == "sarif":
        results = json.loads(done.stdout)["runs"][0]["results"]
        found = [result["locations"][0]["physicalLocation"]["artifactLocation"]["uri"] for result in results]
        assert found == ["%FF%20a.yaml"] * ("xx" in text)
    elif form != "json" and done.stdout:
        assert b"\\udcff a.yaml" in done.stdout


@pytest.mark.subprocess
@pytest.mark.parametrize(
    ("redirection", "arguments", "code"),
    [
        (">&-", ["check", "resnet18"], 0),
        (">&- 2>&-", ["check", "no-such-spec"], 2),
        (">&-", ["check", "no-such-spec"], 2),
        ("2>&-", ["build", "no-such-spec"], 2),
        ("<&-", ["check", "-"], 1),
    ],
)
def test_a_closed_stream_is_like_the_null_device(shell: Shell, redirection: str, arguments: list[str], code: int) -> None:
    command = ["sh", "-c", f'exec "$@" {redirection}', "sh", sys.executable, "-m", "resnet_spec", *arguments]
    done = subprocess.run(command, cwd=shell.folder, env=ENVIRONMENT, capture_output=True, check=False)
    assert done.returncode == code
    assert b"bug" not in done.stderr


@pytest.mark.subprocess
@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no such device")
def test_a_full_disk_behind_standard_output_is_reported(shell: Shell) -> None:
    command = ["sh", "-c", 'exec "$@" > /dev/full', "sh", sys.executable, "-m", "resnet_spec", "list"]
    done = subprocess.run(command, cwd=shell.folder, env=ENVIRONMENT, capture_output=True, check=False)
    assert done.returncode == 2
    assert b"No space left on device" in done.stderr


AT_THE_IMPORT = """
import os, signal, sys
class Interrupted:  # Ctrl-C while a module is imported
    def find_spec(self, name, path=None, target=None):
        if name == {module!r}:
            os.kill(os.getpid(), signal.SIGINT)
sys.meta_path.insert(0, Interrupted())
sys.argv = ["resnet-spec", "check", "resnet18"]
from resnet_spec.cli import main
main()
"""


@pytest.mark.subprocess
@pytest.mark.parametrize("module", ["click", "resnet_spec.diagnostics", "resnet_spec.cli.check_command", "yaml"])
def test_ctrl_c_during_the_imports(shell: Shell, module: str) -> None:
    program = [sys.executable, "-c", AT_THE_IMPORT.format(module=module)]
    done = subprocess.run(program, cwd=shell.folder, env=ENVIRONMENT, capture_output=True, check=False)
    assert (done.returncode, done.stdout, done.stderr.strip()) == (130, b"", b"")


@pytest.mark.subprocess
def test_ctrl_c_while_waiting_for_a_pipe(shell: Shell) -> None:
    os.mkfifo(shell.folder / "pipe")
    waiting = subprocess.Popen(
        [sys.executable, "-m", "resnet_spec", "check", "pipe"],
        cwd=shell.folder,
        env=ENVIRONMENT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    writer = os.open(shell.folder / "pipe", os.O_WRONLY)  # returns when the pipe is read
    waiting.send_signal(signal.SIGINT)
    stdout, stderr = waiting.communicate(timeout=60)
    os.close(writer)
    assert (waiting.returncode, stdout, stderr.strip()) == (130, b"", b"")
