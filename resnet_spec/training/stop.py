"""Stopping on request: after the first SIGINT or SIGTERM the loop saves and stops, a second ends the process at once.

A SIGTERM soon after the first signal does not count as a second one: supervisors send it to all processes of a group, and
torchrun forwards it.

Terminals, Slurm, systemd and torchrun send signals to all processes of a program, including those that read images. These
continue, since otherwise the step could not be finished.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

ECHO_SECONDS = 5.0
_CAN_TELL_SENDERS = hasattr(signal, "sigtimedwait")  # on Linux


class Stop:
    """Whether, and by which signal, the run was asked to stop."""

    def __init__(self) -> None:
        self.signal: int | None = None
        self._at = 0.0

    @property
    def requested(self) -> bool:
        return self.signal is not None

    @property
    def exit_code(self) -> int:
        """128 plus the number of the signal, as shells have it."""
        return 128 + (self.signal or signal.SIGTERM)  # another process may have been asked

    def _handle(self, number: int, frame: FrameType | None) -> None:
        if self.signal is None:
            self.signal, self._at = number, time.monotonic()
        elif number == signal.SIGINT or time.monotonic() - self._at > ECHO_SECONDS:
            os._exit(128 + number)

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Signals set the flag instead of ending the program; only in the main thread, where Python allows it."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        before = {number: signal.signal(number, self._handle) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)


def leave_signals_to_parent() -> None:
    """In a process that reads images: ignore SIGINT, and SIGTERM unless the parent sends it; end with the parent.

    torch's own way to end with the parent can wait forever for a queue that is no longer read.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if _CAN_TELL_SENDERS:
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None
    while parent.is_alive():
        if not _CAN_TELL_SENDERS:
            parent.join()
        elif (received := signal.sigtimedwait({signal.SIGTERM}, 1)) is not None and received.si_pid == parent.pid:
            break
    os._exit(0)
