"""The folder of a run: everything worth keeping, each file whole or absent.

run.json                  what it was started with, in full; `--resume` needs nothing else
spec.yaml  recipe.yaml    as resolved, each one document
metrics.jsonl  .csv       a row for each epoch; a repeated run writes the same bytes
timing.csv                how long it took
best.safetensors          chosen by the validation split, if there is one; last.safetensors
checkpoints/              the state of the run
curves.svg .png  confusion.svg .png .csv  per_class.csv  diagram.svg  report.html
"""

from __future__ import annotations

import errno
import json
import shlex
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from torch import nn

from resnet_spec._system.files import write_atomically
from resnet_spec.diagnostics import Diagnostic, SpecError, printable
from resnet_spec.report.record import EpochRow, Timing, metrics_csv, metrics_jsonl, timing_csv
from resnet_spec.training import checkpoints
from resnet_spec.training.scoring import Scores
from resnet_spec.weights.file import write_weights
from resnet_spec.weights.metadata import WeightsFacts

BEST, LAST = "best.safetensors", "last.safetensors"


@dataclass(frozen=True, slots=True)
class RunFolder:
    """Writes the files of one run, as its loop's watcher."""

    path: Path
    facts: WeightsFacts
    keep: int
    writes: bool  # of several processes one does
    on_step: Callable[[int, int, int, int, float, Callable[[], float]], None]
    on_epoch: Callable[[EpochRow, Timing], None]

    def stepped(self, epoch: int, step: int, of: int, images: int, seconds: float, loss: Callable[[], float]) -> None:
        self.on_step(epoch, step, of, images, seconds, loss)

    def epoch_done(self, row: EpochRow, timing: Timing, scores: Scores | None, module: nn.Module, best: bool) -> None:
        if self.writes:
            facts = replace(self.facts, epoch=row.epoch, step=row.step)
            with writing(self.path):
                write_weights(self.path / LAST, module, facts)
                if best:
                    write_weights(self.path / BEST, module, facts)
        self.on_epoch(row, timing)

    def save(self, step: int, state: dict[str, object], rows: list[EpochRow], timings: list[Timing]) -> None:
        with writing(self.path):
            checkpoints.save(self.path, step, state, self.keep)
            self.write_metrics(rows, timings)

    def write_metrics(self, rows: list[EpochRow], timings: list[Timing]) -> None:
        self.text("metrics.jsonl", metrics_jsonl(rows))
        self.text("metrics.csv", metrics_csv(rows))
        self.text("timing.csv", timing_csv(timings))

    def text(self, name: str, text: str) -> None:
        write_atomically(self.path / name, text.encode("utf-8", "backslashreplace"))


@contextmanager
def writing(run: Path) -> Iterator[None]:
    """Raise SpecError where a file of the run cannot be written: which, why, and how to go on."""
    try:
        yield
    except OSError as error:
        message = f"cannot write {printable(str(error.filename or run))}: {error.strerror or error}"
        mend = "see that the folder of the run can be written to"
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            mend = "make room on the disk"
        if (run / "run.json").exists():
            mend += f", then go on from the last checkpoint: `resnet-spec train --resume {shlex.quote(printable(str(run)))}`"
        raise SpecError([Diagnostic("cannot-write", message, None, help=mend)]) from None


def refuse_existing(path: Path) -> None:
    """Raise SpecError where something stands already that a run would write over."""
    with writing(path):
        if not path.exists() or (path.is_dir() and not any(path.iterdir())):
            return
    message = f"{printable(str(path))} exists already, and a run is never written over"
    mend = "name another folder with `--out`"
    if (path / "run.json").exists():
        mend += f", or go on with it: `resnet-spec train --resume {shlex.quote(printable(str(path)))}`"
    raise SpecError([Diagnostic("run-exists", message, None, help=mend)])


def create(path: Path) -> None:
    """Make the folder of a new run; raises SpecError where something stands there already."""
    refuse_existing(path)
    with writing(path):
        path.mkdir(parents=True, exist_ok=True)


def free_name(parent: Path, stem: str) -> Path:
    """`parent/stem-1`, or the next number that is free."""
    number = 1
    while (parent / f"{stem}-{number}").exists():
        number += 1
    return parent / f"{stem}-{number}"


def write_json(path: Path, data: Mapping[str, object]) -> None:
    """A JSON file, whole or not at all."""
    write_atomically(path, (json.dumps(data, indent=2, ensure_ascii=False) + "\n").encode("utf-8", "backslashreplace"))


def read_environment(path: Path) -> dict[str, str] | None:
    """What `environment.json` says of the start of a run; None where nobody can read it."""
    try:
        found = json.loads((path / "environment.json").read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return None
    return {str(key): str(value) for key, value in found.items()} if isinstance(found, dict) else None


def read_run(path: Path) -> dict[str, object]:
    """What `run.json` says; raises SpecError where the folder is none of a run."""
    try:
        found = json.loads((path / "run.json").read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        why = "it holds no run.json" if isinstance(error, FileNotFoundError) else str(error)
        message = f"{printable(str(path))} is not the folder of a run: {printable(why)}"
        raise SpecError([Diagnostic("not-a-run", message, None, help="name the folder that `train --out` made")]) from None
    if not isinstance(found, dict):
        raise SpecError([Diagnostic("not-a-run", f"{printable(str(path))}/run.json holds no run", None)])
    return found
