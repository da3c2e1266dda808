"""Where the data of a run are: as they were named, absolute, and relative to the run, which may be moved with them."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from resnet_spec.data.kinds import KINDS
from resnet_spec.diagnostics import ArgumentError, Diagnostic, printable


@dataclass(frozen=True, slots=True)
class DataPlace:
    """The folder of a data set. `relative` is its path from the folder of the run; None where there is none (another drive)."""

    absolute: str
    relative: str | None


def place_data(text: str, run: Path) -> DataPlace | None:
    """The place of the data of a `--data` argument, for a run in the folder `run`; None where they are in no folder."""
    folder = _folder(text)
    if folder is None:
        return None
    absolute = os.path.abspath(folder)
    try:
        return DataPlace(absolute, os.path.relpath(absolute, os.path.abspath(run)))
    except ValueError:
        return DataPlace(absolute, None)


def find_data(text: str, place: DataPlace | None, run: Path) -> str:
    """The `--data` argument under which the data of a run are found now, from any working directory.

    That is `text`, the argument that the run was started with, where it still leads to them. Raises ArgumentError, which says
    how to name their place, where they are at none of the places that the run knows.
    """
    folder = _folder(text)
    if folder is None:
        return text
    if place is None:  # a run of version 0.1.0
        places = [folder]
    else:
        places = [Path(place.absolute), *([] if place.relative is None else [run / place.relative]), folder]
    for each in places:
        if os.path.isdir(each):
            same = os.path.isdir(folder) and os.path.samefile(each, folder)
            return text if same else f"{text.partition(':')[0]}:{os.path.normpath(os.path.abspath(each))}"
    message = f"the data of the run, {printable(text)}, are not at {printable(str(places[0]))}"
    if len(places) > 2:
        message += f", nor, relative to the run, at {printable(os.path.normpath(places[1]))}"
    help = f"say where they are now: `--data {text.partition(':')[0]}:DIR`"
    raise ArgumentError([Diagnostic("missing-data", message, None, help=help)])


def _folder(text: str) -> Path | None:
    """The folder of a `--data` argument; None where it names none."""
    name, _, rest = text.partition(":")
    kind = KINDS.get(name)
    return Path(rest).expanduser() if kind is not None and kind.has_folder and rest else None
