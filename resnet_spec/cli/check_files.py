"""Checks many files in several processes, where that is faster."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator, Sequence

from resnet_spec.cli.checking import CheckedFile, CheckOptions, check_file

LEAST = 32  # files: fewer are checked sooner than processes have started
MOST_PROCESSES = 8
_FILES_AT_ONCE = 4  # that a process takes: few, since some networks take much longer than others
_options = CheckOptions()  # in a process that checks files


def check_files(names: Sequence[str], options: CheckOptions) -> Iterator[CheckedFile]:
    """Check files, and yield their results in the order of the names.

    Processes are forked, which only Linux does safely and fast, and only where no name is standard input.
    """
    processes = min(MOST_PROCESSES, _free_processors())
    if len(names) < LEAST or processes < 2 or "-" in names:
        yield from (check_file(name, options) for name in names)
        return
    from concurrent.futures import ProcessPoolExecutor
    from multiprocessing import get_context

    yield check_file(names[0], options)  # in this process, so that modules and the library are read before it is forked
    with ProcessPoolExecutor(processes, get_context("fork"), _begin, (options,)) as pool:
        try:
            yield from pool.map(_check, names[1:], chunksize=_FILES_AT_ONCE)
        except BaseException:  # an interrupt, too: what has not begun is not checked any more
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def _free_processors() -> int:
    """How many processors this process may use; 1 where processes are not forked."""
    return len(os.sched_getaffinity(0)) if sys.platform == "linux" else 1


def _begin(options: CheckOptions) -> None:
    global _options
    _options = options
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the process that started this one ends it


def _check(name: str) -> CheckedFile:
    return check_file(name, _options)
