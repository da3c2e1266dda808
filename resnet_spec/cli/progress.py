"""Progress: of a training run, a bar on a terminal, else a line every few seconds, and a line for each epoch; of counting."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from resnet_spec.report.record import EpochRow, Timing
    from resnet_spec.training.console import Console

WIDTH = 24
AFTER_STEPS = 5  # after which the remaining time is estimated, or
AFTER_SECONDS = 2.0  # where steps are slow
PATIENCE = 4.0  # seconds without a line, after which one says what takes so long
EVERY = 0.25  # seconds between updates on a terminal
EVERY_PLAIN = 30.0  # seconds between lines elsewhere
FIRST_PLAIN = 2.5  # seconds from the start to the first of them


class Bar:
    """A progress bar that is redrawn in one line of a terminal."""

    def __init__(self, shows: bool = True) -> None:
        self.shows = shows  # only one of several processes does
        self.terminal = sys.stdout.isatty()
        self.shown = 0
        self.drawn_at: float | None = None
        self.started = self.began = self.said_at = time.monotonic()
        self.first_step: int | None = None

    def console(self) -> Console:
        """The console of a run."""
        from resnet_spec.training.console import Console

        return Console(self.say, self._stepped, self._epoch)

    def clear(self) -> None:
        """Remove the bar from the terminal."""
        if self.shown:
            click.echo("\r" + " " * self.shown + "\r", nl=False)
            self.shown = 0

    def say(self, line: str) -> None:
        """Print a line in the place of the bar."""
        self.clear()
        self.said_at = time.monotonic()
        if self.shows:
            click.echo(line)

    @contextmanager
    def waiting(self, what: str) -> Iterator[None]:
        """Say `what` takes long, once, where nothing else is shown for some seconds."""
        began = self.started = time.monotonic()

        def speak() -> None:
            if self.drawn_at is None and self.said_at <= began:
                self.say(what)

        timer = threading.Timer(PATIENCE, speak)
        timer.daemon = True
        timer.start()
        try:
            yield
        finally:
            timer.cancel()

    def _epoch(self, row: EpochRow, timing: Timing, epochs: int) -> None:
        from resnet_spec.report.record import epoch_line

        self.say(epoch_line(row, timing, epochs))

    def _stepped(self, epoch: int, step: int, of: int, images: int, seconds: float, loss: Callable[[], float]) -> None:
        if not self.shows:
            return
        now = time.monotonic()
        if self.first_step is None:
            self.first_step, self.began = step, now
        steps = step - self.first_step
        if not steps or (steps < AFTER_STEPS and now - self.began < AFTER_SECONDS):
            return
        if self.terminal:
            is_due = self.drawn_at is None or now - self.drawn_at >= EVERY
        elif self.drawn_at is None:
            is_due = now - self.started >= min(FIRST_PLAIN, EVERY_PLAIN)
        else:
            is_due = now - self.drawn_at >= EVERY_PLAIN
        if not is_due:
            return
        from resnet_spec.report.record import clock_text

        self.drawn_at = now
        left = (now - self.began) / (step - self.first_step) * (of - step)
        speed = images / max(seconds, 1e-9)
        facts = f"epoch {epoch}  step {step:,}/{of:,}  loss {loss():.4f}  {speed:,.0f} images/s  {clock_text(left)} left"
        if not self.terminal:
            click.echo(facts)
            return
        full = round(WIDTH * step / of)
        line = f"[{'#' * full}{'.' * (WIDTH - full)}] {facts}"
        click.echo("\r" + line.ljust(self.shown), nl=False)
        self.shown = max(self.shown, len(line))


class CountLine:
    """What is counted, in one line of standard error that is drawn again and again; nothing if that is not a terminal."""

    def __init__(self) -> None:
        self.terminal = sys.stderr.isatty()
        self.shown = 0
        self.drawn_at = time.monotonic()

    def show(self, doing: str, done: int, of: int | None) -> None:
        """Draw the line, if that is due: how many images of how many."""
        now = time.monotonic()
        if not self.terminal or now - self.drawn_at < EVERY:
            return
        self.drawn_at = now
        line = f"{doing}: {done:,} images"
        if of:
            full = WIDTH * done // of
            line = f"[{'#' * full}{'.' * (WIDTH - full)}] {doing}: {done:,} of {of:,} images"
        click.echo("\r" + line.ljust(self.shown), nl=False, err=True)
        self.shown = max(self.shown, len(line))

    def clear(self) -> None:
        """Remove the line."""
        if self.shown:
            click.echo("\r" + " " * self.shown + "\r", nl=False, err=True)
            self.shown = 0
