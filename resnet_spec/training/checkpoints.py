"""Checkpoints: the whole state of a run in one file, which is either intact or known to be damaged.

A checkpoint is `step-00001234-<SHA-256>.pt`: it is written under a temporary name, synced, and renamed. The hash in its name is
that of its bytes, so that a file that was truncated, zeroed or changed by one bit is detected, and the one before it is used.
Files are read with `weights_only`: no code in them runs.
"""

from __future__ import annotations

import hashlib
import io
import pickle
import re
import struct
import zipfile
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import torch

from resnet_spec._system.files import write_atomically
from resnet_spec.diagnostics import ArgumentError, Diagnostic, printable
from resnet_spec.training.checkpoint_form import Form, FormError

FOLDER = "checkpoints"
# What torch and zipfile raise for a file that is none of theirs.
_LOADING = (
    *(pickle.UnpicklingError, ArithmeticError, AttributeError, EOFError, ImportError, LookupError, struct.error),
    *(AssertionError, RuntimeError, TypeError, ValueError),
)
_NAME = re.compile(r"step-([0-9]{8,})-([0-9a-f]{64})\.pt")
State = Mapping[str, object]


@dataclass(frozen=True, slots=True)
class Found:
    """A checkpoint that was read: its path, the steps of the optimizer before it, and its state."""

    path: Path
    step: int
    state: State


def save(run: Path, step: int, state: State, keep: int) -> Path:
    """Write a checkpoint into the folder of a run, and remove all but the `keep` newest. Raises OSError."""
    folder = run / FOLDER
    folder.mkdir(exist_ok=True)  # without its parents: a run whose folder is gone is not made again
    buffer = io.BytesIO()
    torch.save(dict(state), buffer)
    data = buffer.getbuffer()
    path = folder / f"step-{step:08d}-{hashlib.sha256(data).hexdigest()}.pt"
    write_atomically(path, data, durable=True)
    for _, old in _listed(folder)[keep:]:
        if old != path:
            old.unlink(missing_ok=True)
    return path


def newest(run: Path, say: Callable[[str], None], form: Form | None = None) -> Found | None:
    """The newest intact checkpoint of a run; None where there is none. Each damaged one is reported by `say`.

    With a `form`, one that is intact and not of that form counts as damaged. Raises ArgumentError where there are such, and
    none that fits: the run would begin again, and it is more likely that its spec or recipe was changed.
    """
    unfit: tuple[Path, FormError] | None = None
    for step, path in _listed(run / FOLDER):
        problem, state = _read(path, None if form is None else form.most_bytes)
        if state is not None and form is not None:
            try:
                form.check(state, step)
            except FormError as error:
                unfit, problem, state = unfit or (path, error), str(error), None
        if state is not None:
            return Found(path, step, state)
        say(f"{printable(str(path))} is damaged ({printable(problem)}); using the one before it")
    if unfit is not None:
        message = f"{printable(str(unfit[0]))} does not fit the spec and the recipe in its folder"
        help = f"check whether they were changed since ({printable(str(unfit[1]))})"
        raise ArgumentError([Diagnostic("not-a-run", message, None, help=help)])
    return None


def clear_unfinished(run: Path) -> None:
    """Remove the temporary files of writes that were interrupted."""
    for path in [*(run / FOLDER).glob(".*.tmp"), *run.glob(".*.tmp")]:
        path.unlink(missing_ok=True)


def remove_all(run: Path) -> None:
    """Remove the checkpoints of a run, and their folder where nothing else is in it."""
    clear_unfinished(run)
    for _, path in _listed(run / FOLDER):
        path.unlink(missing_ok=True)
    with suppress(OSError):
        (run / FOLDER).rmdir()


def _listed(folder: Path) -> list[tuple[int, Path]]:
    """Steps and paths of the checkpoints in a folder, the newest first."""
    found = [(int(match[1]), path) for path in folder.glob("step-*.pt") if (match := _NAME.fullmatch(path.name))]
    return sorted(found, key=lambda each: (-each[0], each[1].name))


def _read(path: Path, most_bytes: int | None = None) -> tuple[str, State | None]:
    """What is wrong with a file, and its state; one of them is empty. Files of more than `most_bytes` are not read."""
    match = _NAME.fullmatch(path.name)
    assert match is not None
    try:
        if not path.is_file():
            return "it is not a file", None
        if most_bytes is not None and (size := path.stat().st_size) > most_bytes:
            return f"its {size:,} bytes are more than the run has", None
        data = path.read_bytes()
    except OSError as error:
        return str(error.strerror or error), None
    if hashlib.sha256(data).hexdigest() != match[2]:
        return f"its {len(data):,} bytes are not those that were written", None
    if not data.startswith(b"PK"):  # torch.save writes a ZIP file; anything else would be a bare pickle
        return "it is not a checkpoint", None
    if problem := _inflates(data):
        return problem, None
    try:
        state = torch.load(io.BytesIO(data), map_location="cpu", weights_only=True)
    except (*_LOADING, MemoryError) as error:
        return (str(error).splitlines() or ["it is not a checkpoint"])[0], None
    return ("", state) if isinstance(state, dict) else ("it has no state", None)


def _inflates(data: bytes) -> str:
    """What is wrong with the directory of a ZIP file: torch stores, and does not compress. Empty where nothing is."""
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            entries = archive.infolist()
    except (zipfile.BadZipFile, *_LOADING) as error:
        return (str(error).splitlines() or ["it is not a checkpoint"])[0]
    if any(entry.compress_type != zipfile.ZIP_STORED for entry in entries):
        return "it is compressed, which checkpoints are not"
    if sum(entry.file_size for entry in entries) > len(data):
        return "its parts are larger than it is"
    return ""
