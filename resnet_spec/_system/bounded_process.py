"""Runs a program that may take too long: with a time limit, and handling signals meanwhile."""

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

# The exit codes of a program that exceeded a limit which it set itself.
_OUT_OF_TIME = [-getattr(signal, name) for name in ("SIGXCPU", "SIGALRM") if hasattr(signal, name)]
_POLL_SECONDS = 0.1  # between two calls of `is_cancelled`; signals are handled at any time


class OutOfTimeError(Exception):
    """A program exceeded its time limit, or was cancelled. It has been killed."""


class ProgramFailedError(Exception):
    """A program failed. The text is the last line of its standard error, or its exit code."""


def run_bounded(command: Sequence[str], data: bytes, seconds: float, is_cancelled: Callable[[], bool] = lambda: False) -> bytes:
    """Run a program with `data` as its standard input, and return its standard output.

    The program has always exited when this function returns or raises. A Python program finds the modules that this process
    finds.

    Raises:
        OutOfTimeError: it takes more than `seconds`, exceeds a limit that it set itself, or `is_cancelled` returns True.
        ProgramFailedError: it fails.
        OSError: it cannot be started.
    """
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    pipe = subprocess.PIPE
    end = time.monotonic() + seconds
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe, env=environment) as process:
        try:
            # A thread sends the input, since `communicate` does not send the rest of it after a timeout.
            entrance, process.stdin = process.stdin, None
            threading.Thread(target=_send, args=(entrance, data), daemon=True).start()
            output, errors = _receive(process, end, is_cancelled)
        finally:
            process.kill()  # does nothing if it has exited
    if process.returncode in _OUT_OF_TIME:
        raise OutOfTimeError
    if process.returncode:
        lines = errors.decode("utf-8", "replace").strip().splitlines()
        raise ProgramFailedError(lines[-1] if lines else f"exit code {process.returncode}")
    return output


def _send(entrance: IO[bytes], data: bytes) -> None:
    with contextlib.suppress(OSError), entrance:  # the program may have exited
        entrance.write(data)


def _receive(process: subprocess.Popen[bytes], end: float, is_cancelled: Callable[[], bool]) -> tuple[bytes, bytes]:
    """Wait for a program, and return its standard output and standard error. Raises OutOfTimeError."""
    while True:
        try:
            return process.communicate(timeout=_POLL_SECONDS)
        except subprocess.TimeoutExpired:
            if time.monotonic() > end or is_cancelled():
                raise OutOfTimeError from None
