"""Writes the files of an export whole or not at all: in a temporary folder next to their places, from which they are moved."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from resnet_spec._system.files import make_folder_of
from resnet_spec.diagnostics import ArgumentError, Diagnostic, printable
from resnet_spec.diagnostics.text import join_words
from resnet_spec.outputs.exporting.model import Written


@contextmanager
def _folder_beside(path: Path) -> Iterator[Path]:
    """A temporary folder in the folder of a file, which is removed. Raises ArgumentError if it cannot be made."""
    try:
        make_folder_of(path)
        if path.exists() and not path.is_file():
            raise OSError(None, "it is no regular file", str(path))
        folder = Path(tempfile.mkdtemp(prefix=f".{path.name[:80]}.", suffix=".tmp", dir=path.parent))
    except OSError as error:
        raise _cannot_write(path, error) from None
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def write_whole(path: Path, write: Callable[[Path], Written], sides: Mapping[str, str]) -> tuple[Written, tuple[Path, ...]]:
    """Write a file and the texts next to it in a temporary folder, where `write` verifies it, then move all to their places.

    Raises ArgumentError if they cannot be written; nothing new is left then.
    """
    with _folder_beside(path) as folder:
        moved: list[Path] = []
        try:
            written = write(folder / path.name)
            for name, text in sides.items():
                (folder / name).write_text(text, encoding="utf-8")
            files = [path.parent / file.name for file in written.files] + [path.parent / name for name in sides]
            is_source = path.suffix == ".py"  # which may have been edited
            replaced = tuple(file for file in files[not is_source :] if file.exists())
            for file in reversed(files):  # the file itself is last: where it is, everything is
                new = not file.exists()
                (folder / file.name).replace(file)
                moved += [file] * new
        except OSError as error:
            for file in moved:
                file.unlink(missing_ok=True)
            raise _cannot_write(path, error) from None
    if replaced:
        note = f"{join_words([printable(file.name) for file in replaced], 'and')} replaced what was there"
        written = replace(written, notes=(*written.notes, note))
    return written, tuple(files)


def _cannot_write(path: Path, error: OSError) -> ArgumentError:
    message = f"cannot write {printable(str(path))}: {printable(error.strerror or str(error))}"
    help = "nothing was written; name a file in a folder of yours, on a disk with space"
    return ArgumentError([Diagnostic("cannot-write", message, None, help=help)])
