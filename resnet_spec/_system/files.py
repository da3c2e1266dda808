"""Writing a file so that nobody ever sees half of it."""

from __future__ import annotations

import os
from pathlib import Path


def write_atomically(path: Path, data: bytes | memoryview, durable: bool = False) -> None:
    """Write `data` to a temporary name beside `path`, then put it in place of `path`. Raises OSError, leaving `path` alone.

    With `durable` the bytes are on the disk before the name is, and the name before this returns: a power cut leaves the old
    file or the new one.
    """
    import tempfile  # only who writes needs it

    try:
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".tmp")
    except OSError as error:  # told with the name the caller gave, not the temporary one
        raise type(error)(error.errno, error.strerror, str(path)) from None
    temporary = Path(name)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            if durable:
                file.flush()
                os.fsync(file.fileno())
        mask = os.umask(0)
        os.umask(mask)
        temporary.chmod(0o666 & ~mask)
        temporary.replace(path)
        if durable:
            _sync_folder(path.parent)
    except OSError as error:  # a full disk does not say which file it was
        temporary.unlink(missing_ok=True)
        raise OSError(error.errno, error.strerror, str(path)) from None
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def _sync_folder(folder: Path) -> None:
    """Put the names in a folder on the disk, where the system can."""
    if os.name == "nt":  # a folder cannot be opened there
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
