"""One process at a time trains in the folder of a run.

The lock is one of the system's on the file `run.lock`, so that it ends with the process that has it, however that ends. POSIX
record locks are used: a process that is forked to read images does not have its parent's.
"""

from __future__ import annotations

import errno
import os
import socket
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from resnet_spec.diagnostics import ArgumentError, Diagnostic, printable
from resnet_spec.training.run_folder import LOCK_FILE, writing
from resnet_spec.training.world import World

_HELD_BY_OTHER = (errno.EACCES, errno.EAGAIN, errno.EDEADLK)
_MAX_TEXT = 200
_held: set[tuple[int, int]] = set()  # device and number of the folders of this process: record locks do not exclude it


@contextmanager
def lock_run(run: Path, world: World, say: Callable[[str], None]) -> Iterator[None]:
    """Keep the folder of a run to these processes, of which the one that writes takes the lock.

    Where the disk has no locks, that is reported by `say`. Raises ArgumentError, in every process, where another one trains in
    the folder, or where the lock cannot be written.
    """
    refusal: Diagnostic | None = None
    release: Callable[[], None] | None = None
    if world.writes:
        try:
            release = _acquire(run, say)
        except ArgumentError as error:
            (refusal,) = error.diagnostics
    found = world.gathered(refusal)[0]
    if isinstance(found, Diagnostic):
        raise ArgumentError([found])
    try:
        yield
    finally:
        if release is not None:
            release()


def _acquire(run: Path, say: Callable[[str], None]) -> Callable[[], None]:
    """Take the lock; returns what releases it. Raises ArgumentError."""
    with writing(run):
        folder = _identity(os.stat(run))
    if folder in _held:  # before the file is opened: closing it again would give up the lock
        raise _refuse(run, f"process {os.getpid()}, which is this one")
    path = run / LOCK_FILE
    while True:
        with writing(run):
            handle = os.open(path, os.O_RDWR | os.O_CREAT | getattr(os, "O_CLOEXEC", 0), 0o666)
        try:
            _lock(handle)
        except OSError as error:
            if error.errno in _HELD_BY_OTHER:
                holder = _read_holder(handle)
                os.close(handle)
                raise _refuse(run, holder) from None
            say(f"note      the disk of {printable(str(run))} has no locks; make sure that no other process trains in it")
        if _is_still(handle, path):
            break
        os.close(handle)  # whoever had the lock removed the file meanwhile
    with writing(run):
        os.ftruncate(handle, 0)
        os.write(handle, f"process {os.getpid()} on {socket.gethostname()}\n".encode("utf-8", "replace"))
    _held.add(folder)

    def release() -> None:
        _held.discard(folder)
        if sys.platform == "win32":  # an open file cannot be removed there
            os.close(handle)
        if _is_there(path):
            path.unlink(missing_ok=True)
        if sys.platform != "win32":
            os.close(handle)

    def _is_there(path: Path) -> bool:
        return sys.platform == "win32" or _is_still(handle, path)

    return release


if sys.platform == "win32":
    import msvcrt

    def _lock(handle: int) -> None:
        """Lock a byte behind the text, which others are to read. Raises OSError."""
        os.lseek(handle, 1 << 20, os.SEEK_SET)
        try:
            msvcrt.locking(handle, msvcrt.LK_NBLCK, 1)
        finally:
            os.lseek(handle, 0, os.SEEK_SET)

else:
    import fcntl

    def _lock(handle: int) -> None:
        """Lock the file. Raises OSError."""
        fcntl.lockf(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)


def _identity(found: os.stat_result) -> tuple[int, int]:
    return found.st_dev, found.st_ino


def _is_still(handle: int, path: Path) -> bool:
    """Whether an open file is still the one of its path."""
    try:
        return _identity(os.fstat(handle)) == _identity(os.stat(path))
    except OSError:
        return False


def _read_holder(handle: int) -> str:
    """What the process that has the lock wrote about itself."""
    try:
        text = os.read(handle, _MAX_TEXT).decode("utf-8", "replace").strip()
    except OSError:
        text = ""
    return printable(text) or "another process"


def _refuse(run: Path, holder: str) -> ArgumentError:
    message = f"{printable(str(run))} is in use by {holder}"
    help = "wait until that run has ended, or stop it: SIGTERM and Ctrl-C save first"
    return ArgumentError([Diagnostic("run-in-use", message, None, help=help)])
