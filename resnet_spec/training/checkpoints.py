"""Checkpoints: the whole state of a run in one file that is either good or known to be bad.

Goes in: a state of plain types and tensors. Comes out: `step-00001234-<SHA-256>.pt`, written to a temporary name, synced,
renamed. Its name holds the hash of its bytes, so a file that was cut, zeroed or changed by one bit is found out, and the one
before it is taken. Files are read with `weights_only`: no code in them runs.
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
    """A checkpoint that was read: where, after how many steps of the optimizer, and its state."""

    path: Path
    step: int
    state: State


def save(run: Path, step: int, state: State, keep: int) -> Path:
    """Write a checkpoint into the folder of a run, and remove all but the `keep` newest. Raises OSError."""
    folder = run / FOLDER
    folder.mkdir(parents=True, exist_ok=True)
    buffer = io.BytesIO()
    torch.save(dict(state), buffer)
    data = buffer.getbuffer()
    path = folder / f"step-{step:08d}-{hashlib.sha256(data).hexdigest()}.pt"
    write_atomically(path, data, durable=True)
    for _, old in _listed(folder)[keep:]:
        if old != path:
            old.unlink(missing_ok=True)
    return path


def newest(run: Path, tell: Callable[[str], None]) -> Found | None:
    """The newest checkpoint of a run that is whole; None where there is none. Each bad one is told by name."""
    for step, path in _listed(run / FOLDER):
        problem, state = _read(path)
        if state is not None:
            return Found(path, step, state)
        tell(f"{printable(str(path))} is damaged ({problem}); going back to the one before it")
    return None


def clear_unfinished(run: Path) -> None:
    """Remove what a write that was cut short has left."""
    for path in [*(run / FOLDER).glob(".*.tmp"), *run.glob(".*.tmp")]:
        path.unlink(missing_ok=True)


def _listed(folder: Path) -> list[tuple[int, Path]]:
    """Steps and paths of the checkpoints of a folder, the newest first."""
    found = [(int(match[1]), path) for path in folder.glob("step-*.pt") if (match := _NAME.fullmatch(path.name))]
    return sorted(found, key=lambda each: (-each[0], each[1].name))


def _read(path: Path) -> tuple[str, State | None]:
    """The state of a file, or what is wrong with it."""
    match = _NAME.fullmatch(path.name)
    assert match is not None
    try:
        data = path.read_bytes()
    except OSError as error:
        return str(error.strerror or error), None
    if hashlib.sha256(data).hexdigest() != match[2]:
        return f"its {len(data):,} bytes are not those that were written", None
    if not data.startswith(b"PK"):  # torch.save writes a ZIP file; anything else would be a bare pickle
        return "it is no checkpoint", None
    try:
        state = torch.load(io.BytesIO(data), map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, EOFError, ValueError) as error:
        return str(error).splitlines()[0], None
    return ("", state) if isinstance(state, dict) else ("it holds no state", None)
