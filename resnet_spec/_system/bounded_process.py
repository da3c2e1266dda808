"""Running a program that may take too long: it has a time limit, and signals are handled while it runs."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from typing import IO

# How a program ends that has set itself a limit.
_OUT_OF_TIME = [-getattr(signal, name) for name in ("SIGXCPU", "SIGALRM") if hasattr(signal, name)]
_POLL_SECONDS = 0.1  # between two looks at `is_cancelled`; signals are handled at any time


class OutOfTimeError(Exception):
    """A program did not end within its time limit, or what it worked for was cancelled. It has been stopped."""


class ProgramFailedError(Exception):
    """A program ended with an error. The text is the last line that it printed, or its exit code."""


def run_bounded(command: Sequence[str], data: bytes, seconds: float, is_cancelled: Callable[[], bool] = lambda: False) -> bytes:
    """Run a program with `data` as its standard input, and return what it writes to its standard output.

    However this function ends, the program has ended before, unless this process is killed. Python programs find the modules
    that this process finds.

    Raises:
        OutOfTimeError: it takes more than `seconds` or than a limit of its own, or `is_cancelled` returns True.
        ProgramFailedError: it ends with an error.
        OSError: it cannot be started.
    """
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    pipe = subprocess.PIPE
    end = time.monotonic() + seconds
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe, env=environment) as process:
        try:
            # `communicate` does not send the rest of its input after a timeout.
            entrance, process.stdin = process.stdin, None
            threading.Thread(target=_send, args=(entrance, data), daemon=True).start()
            output, errors = _receive(process, end, is_cancelled)
        finally:
            process.kill()  # does nothing where it has ended
    if process.returncode in _OUT_OF_TIME:
        raise OutOfTimeError
    if process.returncode:
        lines = errors.decode("utf-8", "replace").strip().splitlines()
        raise ProgramFailedError(lines[-1] if lines else f"exit code {process.returncode}")
    return output


def _send(entrance: IO[bytes], data: bytes) -> None:
    with contextlib.suppress(OSError), entrance:  # the program may have ended
        entrance.write(data)


def _receive(process: subprocess.Popen[bytes], end: float, is_cancelled: Callable[[], bool]) -> tuple[bytes, bytes]:
    """What a program writes to its standard output and error until it ends. Raises OutOfTimeError."""
    while True:
        try:
            return process.communicate(timeout=_POLL_SECONDS)
        except subprocess.TimeoutExpired:
            if time.monotonic() > end or is_cancelled():
                raise OutOfTimeError from None
