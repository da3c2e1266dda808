"""Writes files so that no reader ever sees a partial one, and reads only regular files."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

MAX_NAME_BYTES = 255  # the longest file name, on common file systems


def require_regular(path: Path) -> Path:
    """Return `path` if it is a regular file or a folder; else raise OSError, since reading a pipe or a device may never end."""
    if not path.is_file():
        path.stat()  # raises FileNotFoundError or PermissionError
        if not path.is_dir():
            raise OSError(errno.EINVAL, "not a regular file", str(path))
    return path


def make_folder_of(path: Path) -> None:
    """Make the folder of a file, and the folders above it, where they are missing. Raises OSError."""
    folder = path.parent
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except FileExistsError:  # it is a file
        raise OSError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), str(folder)) from None


@contextmanager
def open_atomically(path: Path) -> Iterator[BinaryIO]:
    """Open a file for writing piece by piece; it appears as `path` when the context ends without an error, else not at all.

    Raises OSError with the name of `path`. An existing file is unchanged until then.
    """
    if path.exists() and not path.is_file() and not path.is_dir():  # a pipe or a device
        with path.open("wb") as file:
            yield file
        return
    try:
        handle, temporary = _create_beside(path)
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(path)) from None
    try:
        with os.fdopen(handle, "wb") as file:
            yield file
        temporary.replace(path)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise OSError(error.errno, error.strerror, error.filename or str(path)) from None
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def write_atomically(path: Path, data: bytes | memoryview, durable: bool = False, keep_mode: bool = False) -> None:
    """Write `data` to a temporary file next to `path`, then rename it to `path`. Anything but a regular file, such as a pipe or
    `/dev/null`, is written to directly.

    The file gets the permissions of a new file (by the umask), also if it replaces another one.

    Args:
        durable: flush the data to disk before the rename, and the rename before returning: after a power failure there is
            either the old or the new file.
        keep_mode: give the file the permissions of the one that it replaces.

    Raises:
        OSError: with the name of `path`. An existing file is unchanged.
    """
    if path.exists() and not path.is_file() and not path.is_dir():
        path.write_bytes(data)
        return
    try:
        handle, temporary = _create_beside(path)
    except OSError as error:  # reported with the name that the caller gave, not the temporary one
        raise OSError(error.errno, error.strerror, str(path)) from None
    try:
        with os.fdopen(handle, "wb") as file:
            if keep_mode and hasattr(os, "fchmod"):
                os.fchmod(handle, stat.S_IMODE(path.stat().st_mode))
            file.write(data)
            if durable:
                file.flush()
                os.fsync(file.fileno())
        temporary.replace(path)
        if durable:
            _sync_folder(path.parent)
    except OSError as error:  # a full disk does not report which file it was
        temporary.unlink(missing_ok=True)
        raise OSError(error.errno, error.strerror, str(path)) from None
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def _create_beside(path: Path) -> tuple[int, Path]:
    """Create an empty file `.NAME.RANDOM.tmp` in the folder of `path`: its descriptor, open for writing, and its path.

    The system applies the umask and the folder's default permissions while it creates the file. A process cannot read its own
    umask without changing it for all of its threads.
    """
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0)
    while True:
        ending = f".{os.urandom(6).hex()}.tmp".encode("ascii")
        begin = os.fsencode(f".{path.name}")[: MAX_NAME_BYTES - len(ending)].decode("utf-8", "ignore")
        temporary = path.with_name(begin + ending.decode("ascii"))
        try:
            return os.open(temporary, flags, 0o666), temporary
        except FileExistsError:  # by chance, once in 2^48
            continue


def _sync_folder(folder: Path) -> None:
    """Flush a folder to disk, so that new names in it are durable, where the system supports it."""
    if os.name == "nt":  # a folder cannot be opened there
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
