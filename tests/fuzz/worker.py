"""A worker process: draws and checks the cases of one target, and reports each as a line of JSON."""

from __future__ import annotations

import gc
import json
import os
import resource
import signal
import sys
import tempfile
import time
import traceback
import warnings
from pathlib import Path
from random import Random
from types import FrameType

from tests.fuzz import Limits, Outcome, Target, Wrong, make_target

SCALE = 1 if sys.platform == "darwin" else 1024  # of ru_maxrss


class _TooSlow(BaseException):
    """Raised inside a case at its limit of processor time; no `except Exception` of the code under test may catch it."""


def work(name: str, seed: int, first: int, seconds: float, out: Path) -> int:
    """Run the cases of one target from number `first` on, for some seconds. What a case prints is thrown away."""
    reports = os.fdopen(os.dup(1), "w")
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    warnings.simplefilter("ignore")  # torch warns of much that a case does

    def report(what: str, **fields: object) -> None:
        print(json.dumps({"what": what, **fields}), file=reports, flush=True)

    signal.signal(signal.SIGPROF, _stop)
    number = first
    with tempfile.TemporaryDirectory() as folder:
        target = make_target(name, Path(folder))
        until = time.monotonic() + seconds  # from here on: a slow start takes no cases away
        while time.monotonic() < until:
            report("start", number=number)
            case = target.draw(Random(f"{seed}/{name}/{number}"))
            found = _run(target, case)
            if isinstance(found, Outcome):
                report("done", accepted=found.accepted, compared=found.compared)
            else:
                path = out / f"{name.replace(':', '.')}-{seed}-{number}"
                _write(target, case, path, found)
                report("failed", message=f"{found.splitlines()[-1]}: {path}")
            number += 1
    report("end")
    return 0


def _run(target: Target, case: object) -> Outcome | str:
    """What became of a case; text says what went wrong, in its last line in short."""
    limits = target.limits
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * SCALE
    signal.setitimer(signal.ITIMER_PROF, limits.seconds)
    try:
        outcome = target.check(case)
        signal.setitimer(signal.ITIMER_PROF, 0)
    except _TooSlow:
        return f"{traceback.format_exc()}\nmore than {limits.seconds} s of processor time"
    except Wrong as wrong:
        return str(wrong)
    except BaseException:  # noqa: BLE001 - whatever it is, it is the failure that is looked for
        return traceback.format_exc()
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
    return _grown(before, limits) or outcome


def _grown(before: int, limits: Limits) -> str:
    """Whether the process grew by more than a case may take: the peak of its memory, which never falls."""
    growth = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * SCALE - before
    gc.collect(0)
    return f"the process grew by {growth / 1e6:,.0f} MB" if growth > limits.memory else ""


def _stop(number: int, frame: FrameType | None) -> None:
    raise _TooSlow


def _write(target: Target, case: object, path: Path, what: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    target.write(case, path)
    path.with_name(f"{path.name}.error.txt").write_text(what, encoding="utf-8", errors="backslashreplace")
