"""The folder of a run, in which each file is whole or absent.

run.json                  what it was started with; `--resume` needs nothing else
held_out.json             which images were held out, if the data do not have these splits
spec.yaml  recipe.yaml    each as one document, with everything it extends and every patch
metrics.jsonl  .csv       a row for each epoch; a repeated run writes the same bytes
timing.csv                how long it took
best.safetensors          the weights of the best epoch by the validation split, if there is one
last.safetensors          the weights of the last epoch
checkpoints/              the state of the run
run.lock                  while it trains: the process that does
curves.svg .png  confusion.svg .png .csv  per_class.csv  diagram.svg  report.html
"""

from __future__ import annotations

import errno
import json
import shlex
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from torch import nn

from resnet_spec._system.files import require_regular, write_atomically
from resnet_spec.diagnostics import ArgumentError, Diagnostic, printable
from resnet_spec.report.record import EpochRow, Timing, metrics_csv, metrics_jsonl, timing_csv
from resnet_spec.training import checkpoints
from resnet_spec.training.held_out import HELD_OUT_FILE
from resnet_spec.training.run_record import RUN_FILE
from resnet_spec.training.scoring import Scores
from resnet_spec.weights import reading
from resnet_spec.weights.file import write_weights
from resnet_spec.weights.metadata import WeightsFacts

BEST, LAST = reading.BEST, reading.LAST
LOCK_FILE = "run.lock"


@dataclass(frozen=True, slots=True)
class RunFolder:
    """Writes the files of one run, as its loop's watcher."""

    path: Path
    facts: WeightsFacts
    keep: int
    writes: bool  # of several processes, one does
    on_step: Callable[[int, int, int, int, float, Callable[[], float]], None]
    on_epoch: Callable[[EpochRow, Timing], None]
    identity: tuple[int, int] | None = None  # device and number of the folder, where it was there at the start

    def check_place(self) -> None:
        """Raise ArgumentError where the folder is not the one that the run began in: nothing is written to another."""
        if self.identity is None or (identify_folder(self.path) == self.identity and (self.path / RUN_FILE).exists()):
            return
        message = f"{printable(str(self.path))} was removed or replaced while the run trained in it"
        help = "where it was moved, continue it there with `train --resume`; where it was removed, start a new run"
        raise ArgumentError([Diagnostic("run-removed", message, None, help=help)])

    def stepped(self, epoch: int, step: int, of: int, images: int, seconds: float, loss: Callable[[], float]) -> None:
        self.on_step(epoch, step, of, images, seconds, loss)

    def epoch_done(self, row: EpochRow, timing: Timing, scores: Scores | None, module: nn.Module, best: bool) -> None:
        if self.writes:
            self.check_place()
            facts = replace(self.facts, epoch=row.epoch, step=row.step)
            with writing(self.path):
                write_weights(self.path / LAST, module, facts)
                if best:
                    write_weights(self.path / BEST, module, facts)
        self.on_epoch(row, timing)

    def save(self, step: int, state: dict[str, object], rows: list[EpochRow], timings: list[Timing]) -> None:
        self.check_place()
        with writing(self.path):
            checkpoints.save(self.path, step, state, self.keep)
            self.write_metrics(rows, timings)

    def write_metrics(self, rows: list[EpochRow], timings: list[Timing]) -> None:
        self.text("metrics.jsonl", metrics_jsonl(rows))
        self.text("metrics.csv", metrics_csv(rows))
        self.text("timing.csv", timing_csv(timings))

    def discard(self) -> None:
        """Remove the files of a run that took no step: there is nothing to continue. The lock removes its own file."""
        texts = ("environment.json", "spec.yaml", "recipe.yaml", "metrics.jsonl", "metrics.csv", "timing.csv")
        for name in (RUN_FILE, HELD_OUT_FILE, *texts):
            (self.path / name).unlink(missing_ok=True)
        checkpoints.remove_all(self.path)

    def text(self, name: str, text: str) -> None:
        write_atomically(self.path / name, text.encode("utf-8", "backslashreplace"))


def identify_folder(path: Path) -> tuple[int, int] | None:
    """The device and the number of a folder, which another folder in its place does not have; None where there is none."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino


def resume_command(run: Path) -> str:
    """The command that continues a run."""
    return f"resnet-spec train --resume {shlex.quote(printable(str(run)))}"


@contextmanager
def writing(run: Path) -> Iterator[None]:
    """Turn an OSError into an ArgumentError: which file of the run cannot be written, why, and how to continue."""
    try:
        yield
    except OSError as error:
        message = f"cannot write {printable(str(error.filename or run))}: {error.strerror or error}"
        help = "check that the folder of the run can be written to"
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            help = "make room on the disk"
        if (run / RUN_FILE).exists():
            help += f", then continue from the last checkpoint: `{resume_command(run)}`"
        raise ArgumentError([Diagnostic("cannot-write", message, None, help=help)]) from None


def refuse_special(run: Path) -> None:
    """Raise ArgumentError where something in the folder of a run is no file and no folder: writing to a pipe may never end."""
    with writing(run):
        for path in sorted(run.iterdir()):
            if path.exists() and not path.is_file() and not path.is_dir():
                raise OSError(errno.EINVAL, "not a regular file", str(path))


def refuse_existing(path: Path) -> None:
    """Raise ArgumentError where there is something already that a run would write over."""
    with writing(path):
        if not path.exists() or (path.is_dir() and all(each.name == LOCK_FILE for each in path.iterdir())):
            return
    message = f"{printable(str(path))} exists already, and a run is never overwritten"
    help = "name another folder with `--out`"
    if (path / RUN_FILE).exists():
        help += f", or continue it: `{resume_command(path)}`"
    raise ArgumentError([Diagnostic("run-exists", message, None, help=help)])


def create(path: Path) -> None:
    """Make the folder of a new run. Raises ArgumentError where there is something already, or it cannot be made."""
    refuse_existing(path)
    with writing(path):
        path.mkdir(parents=True, exist_ok=True)


def name_folder(parent: Path, name: str) -> Path:
    """`parent/NAME-1`, or the next number that is free; characters that a file name had better not have become dashes."""
    stem = "".join(c if c.isalnum() or c in "-_." else "-" for c in name) or "network"
    number = 1
    while (parent / f"{stem}-{number}").exists():
        number += 1
    return parent / f"{stem}-{number}"


def read_environment(path: Path) -> dict[str, str] | None:
    """The environment that a run was started in, from `environment.json`; None where that cannot be read."""
    try:
        found = json.loads(require_regular(path / "environment.json").read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return None
    return {str(key): str(value) for key, value in found.items()} if isinstance(found, dict) else None
