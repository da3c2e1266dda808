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
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import torch

from resnet_spec._system.files import write_atomically
from resnet_spec.diagnostics import printable

FOLDER = "checkpoints"
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


def newest(run: Path, say: Callable[[str], None]) -> Found | None:
    """The newest intact checkpoint of a run; None where there is none. Each damaged one is reported by `say`."""
    for step, path in _listed(run / FOLDER):
        problem, state = _read(path)
        if state is not None:
            return Found(path, step, state)
        say(f"{printable(str(path))} is damaged ({problem}); using the one before it")
    return None


def clear_unfinished(run: Path) -> None:
    """Remove the temporary files of writes that were interrupted."""
    for path in [*(run / FOLDER).glob(".*.tmp"), *run.glob(".*.tmp")]:
        path.unlink(missing_ok=True)


def _listed(folder: Path) -> list[tuple[int, Path]]:
    """Steps and paths of the checkpoints in a folder, the newest first."""
    found = [(int(match[1]), path) for path in folder.glob("step-*.pt") if (match := _NAME.fullmatch(path.name))]
    return sorted(found, key=lambda each: (-each[0], each[1].name))


def _read(path: Path) -> tuple[str, State | None]:
    """What is wrong with a file, and its state; one of them is empty."""
    match = _NAME.fullmatch(path.name)
    assert match is not None
    try:
        data = path.read_bytes()
    except OSError as error:
        return str(error.strerror or error), None
    if hashlib.sha256(data).hexdigest() != match[2]:
        return f"its {len(data):,} bytes are not those that were written", None
    if not data.startswith(b"PK"):  # torch.save writes a ZIP file; anything else would be a bare pickle
        return "it is not a checkpoint", None
    try:
        state = torch.load(io.BytesIO(data), map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, EOFError, ValueError) as error:
        return str(error).splitlines()[0], None
    return ("", state) if isinstance(state, dict) else ("it has no state", None)
