"""Files of specs and recipes: reading them, their names in messages, and the folder that `extends` may not leave."""

from __future__ import annotations

import os
import select
import stat
import time
from pathlib import Path

from resnet_spec.diagnostics import ArgumentError, Diagnostic, DocumentKind, Origin, Source, Span, document_error
from resnet_spec.language.library import shipped_root
from resnet_spec.language.reader import MAX_BYTES

PATIENCE = 5.0  # seconds to wait for another process to open the other end of a named pipe
_PAUSE = 0.05
PROJECT_MARKERS = (".git", "pyproject.toml")
SUFFIXES = (".yaml", ".yml")  # of the files that `extends` reads


def read_file(path: Path, name: str | None = None, kind: DocumentKind = "spec", origin: Origin = "spec") -> Source:
    """Read a file as a source; a file that is too large is read only far enough to detect that.

    A device or a pipe is read up to the same limit. A pipe that another process has open is read for as long as that takes;
    for a named pipe that no process writes to, it waits `PATIENCE` seconds.

    Raises:
        ArgumentError: the file cannot be read, or no process writes to the pipe.
        SpecError, RecipeError: it is not UTF-8.
    """
    shown = name if name is not None else display_name(path)
    try:
        if path.is_dir():
            raise ArgumentError([Diagnostic("unreadable-file", f"{shown} is a folder, not a {kind}", None)])
        data = _read(path)
    except TimeoutError:
        message, help = f"{shown} is a pipe that no process writes to", "start the command that writes to it first"
        raise ArgumentError([Diagnostic("unreadable-file", message, None, help=help)]) from None
    except OSError as error:
        message = f"cannot read {shown}: {error.strerror or error}"
        raise ArgumentError([Diagnostic("unreadable-file", message, None)]) from None
    return decode(data, shown, kind, origin)


def _read(path: Path) -> bytes:
    """Read a file up to one byte beyond the limit. Raises OSError, and TimeoutError for a pipe without a writer."""
    if not hasattr(os, "O_NONBLOCK") or not stat.S_ISFIFO(path.stat().st_mode):
        with path.open("rb") as file:
            return file.read(MAX_BYTES + 1)
    # Opening a named pipe would otherwise wait for a writer, forever if there is none.
    pipe = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    try:
        return _read_pipe(pipe)
    finally:
        os.close(pipe)


def _read_pipe(pipe: int) -> bytes:
    pieces: list[bytes] = []
    left = MAX_BYTES + 1
    has_writer = False
    until = time.monotonic() + PATIENCE
    while left:
        try:
            piece = os.read(pipe, left)
        except BlockingIOError:  # a process has opened the pipe, and has not written yet
            has_writer = True
            select.select([pipe], [], [])
            continue
        if not piece and (has_writer or pieces):
            break
        if not piece and time.monotonic() > until:
            raise TimeoutError
        if not piece:
            time.sleep(_PAUSE)
        pieces += [piece] if piece else []
        left -= len(piece)
    return b"".join(pieces)


def decode(data: bytes, name: str, kind: DocumentKind = "spec", origin: Origin = "spec") -> Source:
    """Decode bytes as a source.

    Raises:
        SpecError, RecipeError: they are not UTF-8.
    """
    try:
        if b"\0" in data and _is_utf_16(data):
            raise UnicodeDecodeError("utf-8", data, data.index(b"\0"), data.index(b"\0") + 1, "UTF-16")
        return Source(name, data.decode("utf-8-sig"), origin)
    except UnicodeDecodeError as error:
        # Only files with this mistake need these.
        from resnet_spec.language.encodings import describe_encoding, recognize_binary

        if (binary := recognize_binary(data)) is not None:
            what, is_weights = binary
            help = f"name the spec, and the weights by `--weights {name}`" if is_weights else f"name a {kind}"
            raise document_error(kind)([Diagnostic("not-utf-8", f"{name} is {what}, and no {kind}", None, help=help)]) from None
        if len(data) > MAX_BYTES:
            return Source(name, data.decode("latin-1"))  # `parse` then rejects it as too large
        before = data[: error.start].decode("utf-8", "replace")
        source = Source(name, data.decode("utf-8", "replace"))
        line, column = before.count("\n") + 1, len(before) - before.rfind("\n")
        guess, help = describe_encoding(data, name)
        message = f"{name} is not UTF-8{guess}: byte {error.start} is 0x{data[error.start]:02x}"
        span = Span(source, line, column, line, column + 1)
        raise document_error(kind)([Diagnostic("not-utf-8", message, span, help=help)]) from None


def _is_utf_16(data: bytes) -> bool:
    """Whether bytes are most likely ASCII text in UTF-16, which without a byte order mark is valid UTF-8, too."""
    from resnet_spec.language.encodings import guess_encoding  # only files with this mistake need it

    return guess_encoding(data).startswith("UTF-16")


def display_name(path: Path) -> str:
    """A path as the user would type it: relative to the working directory if it is inside."""
    try:
        return path.relative_to(Path.cwd()).as_posix() if path.is_absolute() else path.as_posix()
    except ValueError:
        return path.as_posix()


def spec_root(path: Path) -> Path:
    """The folder that `extends` may not leave, for the spec or recipe at `path`.

    It does not depend on the working directory for a file in a project: it is the nearest folder above the file that holds
    `.git` or `pyproject.toml`. Outside of a project it is the working directory if the file is inside it, else the folder of
    the file. The home folder, those above it and `/` count as neither.
    """
    real, folder, here = path.resolve(), path.parent.resolve(), Path.cwd().resolve()
    for shipped in (shipped_root().resolve(), shipped_root("recipe").resolve()):
        if real.is_relative_to(shipped):
            return shipped
    for candidate in (folder, *folder.parents):
        if _is_too_wide(candidate):
            break
        if any(os.path.lexists(candidate / marker) for marker in PROJECT_MARKERS):
            return candidate
    return here if folder.is_relative_to(here) and not _is_too_wide(here) else folder


def _is_too_wide(folder: Path) -> bool:
    """Whether a folder is the home folder or above it, or the root of a file system.

    It holds more than one project, and a `.git` in it is about something else.
    """
    try:
        home = Path.home().resolve()
    except (OSError, RuntimeError):  # it is not known
        return folder == folder.parent
    return folder == folder.parent or home.is_relative_to(folder)
