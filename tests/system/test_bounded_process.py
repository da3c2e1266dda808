"""Programs that take too long, fail, or are cancelled; and what becomes of them when this process ends."""

from __future__ import annotations

import sys
import time

import pytest

from resnet_spec._system.bounded_process import OutOfTimeError, ProgramFailedError, run_bounded

pytestmark = pytest.mark.subprocess


def python(program: str) -> list[str]:
    return [sys.executable, "-S", "-E", "-c", program]


def test_what_a_program_writes_is_returned_whatever_its_size() -> None:
    """More than a pipe holds, read slowly: sending takes longer than the time between two looks at the clock."""
    data = bytes(range(256)) * 4000
    slow = (
        "import sys, time; time.sleep(0.3); data = sys.stdin.buffer.read(); time.sleep(0.3); sys.stdout.buffer.write(data * 2)"
    )
    assert run_bounded(python(slow), data, 60) == data * 2


def test_a_program_that_reads_nothing_is_no_error() -> None:
    assert run_bounded(python("print('done')"), bytes(10**6), 60).strip() == b"done"


def test_a_program_that_takes_too_long_is_killed() -> None:
    start = time.monotonic()
    with pytest.raises(OutOfTimeError):
        run_bounded(python("while True: pass"), b"", 0.3)
    assert time.monotonic() - start < 20


def test_a_program_is_cancelled() -> None:
    calls: list[float] = []

    def is_cancelled() -> bool:
        calls.append(time.monotonic())
        return len(calls) == 3

    with pytest.raises(OutOfTimeError):
        run_bounded(python("while True: pass"), b"", 60, is_cancelled)
    assert len(calls) == 3


def test_the_last_line_of_a_program_that_fails_is_the_error() -> None:
    with pytest.raises(ProgramFailedError, match=r"^ValueError: no$"):
        run_bounded(python("raise ValueError('no')"), b"", 60)
    with pytest.raises(ProgramFailedError, match=r"^exit code 7$"):
        run_bounded(python("raise SystemExit(7)"), b"", 60)
    with pytest.raises(OSError, match="No such file"):
        run_bounded(["/nowhere/program"], b"", 60)
