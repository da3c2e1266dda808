"""Drops lines that native code, such as a C library, writes to the standard error of this process."""

from __future__ import annotations

import os
import tempfile
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from typing import IO

_STDERR = 2  # the file descriptor
_lock = threading.Lock()  # the descriptor belongs to the whole process


@contextmanager
def drop_stderr_lines(beginning: bytes) -> Iterator[None]:
    """Drop the lines with this beginning that are written to the standard error meanwhile.

    Everything else is passed on when the context ends. The other threads of the process write to the same descriptor, so it
    should end soon. Where there is no standard error or no place for a temporary file, nothing is dropped.
    """
    with _lock, ExitStack() as stack:
        with suppress(OSError):
            # Not a pipe: it could fill up, and native code would wait for a reader.
            kept = stack.enter_context(tempfile.TemporaryFile())
            stack.callback(_pass_on, kept, beginning)
            stack.enter_context(_stderr_to(kept))
        yield


@contextmanager
def _stderr_to(file: IO[bytes]) -> Iterator[None]:
    """Write the standard error to a file. Raises OSError if there is none."""
    original = os.dup(_STDERR)
    try:
        os.dup2(file.fileno(), _STDERR)
        yield
    finally:
        os.dup2(original, _STDERR)
        os.close(original)


def _pass_on(kept: IO[bytes], beginning: bytes) -> None:
    """Write the lines of a file to the standard error, except those with a beginning."""
    kept.seek(0)
    rest = b"".join(line for line in kept if not line.startswith(beginning))
    with suppress(OSError):  # a reader may have exited
        while rest:
            rest = rest[os.write(_STDERR, rest) :]
