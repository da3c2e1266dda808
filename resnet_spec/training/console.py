"""Where a run reports: a line at a time, steps, and epochs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from resnet_spec.report.record import EpochRow, Timing, epoch_line


@dataclass(frozen=True, slots=True)
class Console:
    """The functions that a run calls.

    `say(line)`; `on_step(epoch, step, of, images, seconds, loss)`, where `loss()` waits for the device; and
    `on_epoch(row, timing, epochs)`.
    """

    say: Callable[[str], None]
    on_step: Callable[[int, int, int, int, float, Callable[[], float]], None]
    on_epoch: Callable[[EpochRow, Timing, int], None]

    @staticmethod
    def silent() -> Console:
        """A console that reports nothing."""
        return Console(lambda line: None, lambda *step: None, lambda row, timing, epochs: None)

    @staticmethod
    def plain(say: Callable[[str], None] = print) -> Console:
        """A console that reports each epoch in a line."""
        return Console(say, lambda *step: None, lambda row, timing, epochs: say(epoch_line(row, timing, epochs)))
