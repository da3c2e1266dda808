"""The list of the images that a run held out, in its folder: `held_out.json`.

A rule divides the data in the same way again (see `data.dividing`), but only as long as no image is added or removed. The list
says what was held out whatever becomes of the data, and their names and sizes show whether other data are those of the run.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path

from resnet_spec._system.files import require_regular, write_atomically
from resnet_spec.data import Data
from resnet_spec.diagnostics import ArgumentError, Diagnostic, printable

HELD_OUT_FILE = "held_out.json"
HeldOut = Mapping[str, Mapping[str, int | None]]  # of each split: the size in bytes of each image's file, by name


def list_held_out(data: Data) -> HeldOut:
    """The images of the splits that a rule held out; sizes are None where images are not files. Empty if there are none."""
    found: dict[str, dict[str, int | None]] = {}
    for what, split in (("validation", data.validation), ("test", data.test)):
        if what in data.divided and split is not None:
            names = [split.name(i) for i in range(len(split))]
            found[what] = {name: _size(data.home, name) for name in names}
    return found


def write_held_out(run: Path, held_out: HeldOut) -> None:
    """Write the list into the folder of a run, if it is not empty. Raises OSError."""
    if held_out:
        write_atomically(run / HELD_OUT_FILE, (json.dumps(held_out, indent=0) + "\n").encode("ascii"))


def read_held_out(run: Path) -> HeldOut | None:
    """Read the list; None for a run that has none. Raises ArgumentError where it is not as it was written."""
    path = run / HELD_OUT_FILE
    try:
        found = json.loads(require_regular(path).read_text(encoding="ascii"))
    except FileNotFoundError:
        return None
    except (OSError, ValueError, RecursionError) as error:
        raise _refuse(path, printable(str(error))) from None
    if not isinstance(found, dict) or not all(_is_split(what, names) for what, names in found.items()):
        raise _refuse(path, "it is not a list of images by split")
    return found


def _is_split(what: object, names: object) -> bool:
    if what not in ("validation", "test") or not isinstance(names, dict):
        return False
    return all(size is None or (isinstance(size, int) and not isinstance(size, bool)) for size in names.values())


def _size(home: Path | None, name: str) -> int | None:
    if home is None:
        return None
    try:
        return os.stat(home / name).st_size
    except OSError:  # it is reported where it is read
        return None


def _refuse(path: Path, why: str) -> ArgumentError:
    return ArgumentError([Diagnostic("not-a-run", f"{printable(str(path))} is not as it was written: {why}", None)])
