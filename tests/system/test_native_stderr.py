"""Lines that native code writes to the standard error: one kind is dropped, everything else is kept."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest

from resnet_spec._system.native_stderr import drop_stderr_lines

WARNING = b"Fontconfig warning: "


def test_lines_with_the_beginning_are_dropped_and_all_others_kept_in_order(capfd: pytest.CaptureFixture[str]) -> None:
    os.write(2, b"before\n")
    with drop_stderr_lines(WARNING):
        os.write(2, b"one\nFontconfig warning: line 6\ntwo Fontconfig warning: \n")
        os.write(2, b"Fontconfig warning: line 7\nFontconfig error: three\nfour")
    os.write(2, b" after\n")
    assert capfd.readouterr().err == "before\none\ntwo Fontconfig warning: \nFontconfig error: three\nfour after\n"


def test_more_than_a_pipe_holds_is_passed_on(capfd: pytest.CaptureFixture[str]) -> None:
    with drop_stderr_lines(WARNING):
        for _ in range(200):
            os.write(2, WARNING + b"x" * 4000 + b"\n" + b"y" * 4000 + b"\n")
    assert capfd.readouterr().err == ("y" * 4000 + "\n") * 200


def test_an_exception_leaves_the_standard_error_as_it_was(capfd: pytest.CaptureFixture[str]) -> None:
    before = len(os.listdir("/dev/fd"))

    def fail() -> None:
        with drop_stderr_lines(WARNING):
            os.write(2, b"Fontconfig warning: no\nwhy\n")
            raise KeyError

    with pytest.raises(KeyError):
        fail()
    os.write(2, b"Fontconfig warning: yes\n")
    assert capfd.readouterr().err == "why\nFontconfig warning: yes\n"
    assert len(os.listdir("/dev/fd")) == before


@pytest.mark.subprocess
def test_a_process_without_a_standard_error_goes_on(tmp_path: Path) -> None:
    code = """
import os, sys
from resnet_spec._system.native_stderr import drop_stderr_lines
os.close(2)
with drop_stderr_lines(b"x"):
    print("done")
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "done\n"


def test_without_a_place_for_a_temporary_file_nothing_is_dropped(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse() -> None:
        raise OSError(errno.ENOSPC, "no space")

    monkeypatch.setattr("tempfile.TemporaryFile", refuse)
    with drop_stderr_lines(WARNING):
        os.write(2, b"Fontconfig warning: line 6\n")
    assert capfd.readouterr().err == "Fontconfig warning: line 6\n"
