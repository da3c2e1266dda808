"""The interface between the training loop and what stores and reports a run."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from torch import nn

from resnet_spec.report.record import EpochRow, Timing
from resnet_spec.training.scoring import Scores


class Watcher(Protocol):
    """What is notified of the steps and epochs of a run, and stores its state."""

    def stepped(self, epoch: int, step: int, of: int, images: int, seconds: float, loss: Callable[[], float]) -> None:
        """A step of the optimizer is done; `loss()` waits for the device."""

    def epoch_done(self, row: EpochRow, timing: Timing, scores: Scores | None, module: nn.Module, best: bool) -> None:
        """An epoch has been trained and evaluated; `module` has the weights that were evaluated."""

    def save(self, step: int, state: dict[str, object], rows: list[EpochRow], timings: list[Timing]) -> None:
        """Store the state of the run."""
