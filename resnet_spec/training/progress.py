"""What a run has reached, and the sums of its unfinished epoch; both are part of a checkpoint."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import torch
from torch import Tensor

from resnet_spec.report.record import EpochRow, Timing
from resnet_spec.training.scoring import Scores
from resnet_spec.training.world import World


@dataclass(slots=True)
class Progress:
    """What a run has reached. `warm_end` is the step at which the training error ended the warm-up."""

    step: int = 0
    rows: list[EpochRow] = field(default_factory=list)
    timings: list[Timing] = field(default_factory=list)
    best_epoch: int = 0
    best: float = -1.0
    seconds: float = 0.0  # of all processes before this one
    epoch_seconds: float = 0.0  # of the unfinished epoch
    warm_end: int | None = None
    stopped_early: bool = False

    def state(self, seconds: float) -> dict[str, object]:
        """Plain values, for a checkpoint. `seconds` is the time that this process has taken."""
        return {
            "rows": [asdict(row) for row in self.rows],
            "timings": [asdict(timing) for timing in self.timings],
            "best_epoch": self.best_epoch,
            "best": self.best,
            "seconds": self.seconds + seconds,
            "epoch_seconds": self.epoch_seconds,
            "warm_end": self.warm_end,
            "stopped_early": self.stopped_early,
        }

    @staticmethod
    def of_state(state: dict[str, Any]) -> Progress:
        """The progress in a checkpoint. Raises KeyError or TypeError where it holds none."""
        return Progress(
            step=state["step"],
            rows=[EpochRow(**row) for row in state["rows"]],
            timings=[Timing(**timing) for timing in state["timings"]],
            best_epoch=state["best_epoch"],
            best=state["best"],
            seconds=state["seconds"],
            epoch_seconds=state["epoch_seconds"],
            warm_end=state["warm_end"],
            stopped_early=state["stopped_early"],
        )


def make_row(
    epoch: int, step: int, lr: float, loss: float, accuracy: float, validation: Scores | None, test: Scores | None
) -> EpochRow:
    """The row of figures of an epoch; `loss` and `accuracy` are those of training."""
    return EpochRow(
        epoch=epoch,
        step=step,
        lr=lr,
        train_loss=loss,
        train_accuracy=accuracy,
        validation_loss=validation.loss if validation else None,
        validation_accuracy=validation.accuracy if validation else None,
        validation_top5=validation.top5 if validation else None,
        test_loss=test.loss if test else None,
        test_accuracy=test.accuracy if test else None,
        test_top5=test.top5 if test else None,
    )


def epochs_without_growth(rows: Sequence[EpochRow], least: float) -> int:
    """How many epochs ago the validation accuracy last grew by more than `least`; 0 where there is none."""
    reference, since = -math.inf, 0
    for row in rows:
        if row.validation_accuracy is None:
            continue
        since += 1
        if row.validation_accuracy > reference + least:
            reference, since = row.validation_accuracy, 0
    return since


class EpochSums:
    """Sums over the images that this process has seen in the unfinished epoch, on its device.

    `window` counts correct and all images since the training error was last compared with the end of a warm-up.
    """

    def __init__(self, device: torch.device) -> None:
        self.loss = torch.zeros((), dtype=torch.float32 if device.type == "mps" else torch.float64, device=device)
        self.counts = torch.zeros(2, dtype=torch.int64, device=device)  # correct images, images
        self.window = torch.zeros(2, dtype=torch.int64, device=device)

    def add(self, loss: Tensor, correct: Tensor, images: int, *, windowed: bool) -> None:
        """Add a part of a batch with its mean loss."""
        self.loss += loss.to(self.loss.dtype) * images
        for counts in (self.counts, self.window) if windowed else (self.counts,):
            counts[0] += correct
            counts[1] += images

    def error_of_window(self, world: World) -> float:
        """The training error over the images since the last call, over all processes."""
        correct, seen = world.total(self.window.clone()).tolist()
        self.window.zero_()
        return float(1 - correct / max(1, seen))

    def totals(self, world: World) -> tuple[float, int, int]:
        """The summed loss, correct images and images of all processes."""
        loss = float(world.total(self.loss.clone()))
        correct, seen = world.total(self.counts.clone()).tolist()
        return loss, correct, seen

    def reset(self) -> None:
        """Begin another epoch; the window runs on."""
        self.loss.zero_()
        self.counts.zero_()

    def state(self, world: World) -> list[object]:
        """The sums of each process, by rank, as plain values."""
        return world.gathered((float(self.loss), self.counts.tolist(), self.window.tolist()))

    def restore(self, sums: Sequence[Any], world: World) -> None:
        """Continue with the sums in a checkpoint; where it was of another number of processes, the first takes them all."""
        mine: Iterable[Any] = sums if world.rank == 0 else ()
        if len(sums) == world.size:
            mine = (sums[world.rank],)
        found = list(mine)
        self.loss.fill_(sum(loss for loss, _, _ in found))
        for tensor, position in ((self.counts, 1), (self.window, 2)):
            for place in range(2):
                tensor[place] = sum(each[position][place] for each in found)
