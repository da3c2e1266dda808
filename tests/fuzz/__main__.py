"""`python -m tests.fuzz`: each target in a worker process of its own, one after the other, until the time is over."""

from __future__ import annotations

import argparse
import json
import os
import select
import subprocess
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

from tests.fuzz import TARGETS, make_target
from tests.fuzz.worker import work

PATIENCE = 60.0  # seconds without a word from a worker, after which it is ended: its own limit did not reach it


@dataclass
class Tally:
    """What came of the cases of one target."""

    counts: Counter[str] = field(default_factory=Counter)
    failures: list[str] = field(default_factory=list)


def main() -> int:
    """Fuzz as the command line says; returns the exit code, 1 where a case failed."""
    options = _options()
    names: list[str] = options.only or list(TARGETS)
    if options.case is not None:
        with tempfile.TemporaryDirectory() as folder:
            target = make_target(names[0], Path(folder))
            case = target.draw(chance_of(options.seed, names[0], options.case))
            target.write(case, options.out / f"{names[0].replace(':', '.')}-{options.seed}-{options.case}")
            print(target.check(case))
        return 0
    if options.worker:
        return work(names[0], options.seed, options.first, options.seconds, options.out)
    print(f"seed {options.seed}")
    failed = 0
    for name in names:
        tally = _fuzz(name, options.seed, options.seconds / len(names), options.out)
        counts = ", ".join(f"{tally.counts[kind]:,} {kind}" for kind in ("cases", "accepted", "refused", "compared"))
        print(f"{name}: {counts}, {len(tally.failures)} failed", flush=True)
        for failure in tally.failures:
            print(f"  {failure}", flush=True)
        failed += len(tally.failures)
    return 1 if failed else 0


def chance_of(seed: int, name: str, number: int) -> Random:
    """The random generator of one case."""
    return Random(f"{seed}/{name}/{number}")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description="Fuzz inputs that are almost right.")
    parser.add_argument("--seconds", type=float, default=60.0, help="for all targets together")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", action="append", type=_named, help=f"a target; may be repeated: {', '.join(TARGETS)}")
    parser.add_argument("--case", type=int, help="run this one case of the first target again, without limits")
    parser.add_argument("--out", type=Path, default=Path("fuzz-failures"), help="the folder for failures")
    parser.add_argument("--worker", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--first", type=int, default=0, help=argparse.SUPPRESS)
    return parser.parse_args()


def _named(text: str) -> str:
    if text not in TARGETS and ":" not in text:
        raise argparse.ArgumentTypeError(f"`{text}` is none of {', '.join(TARGETS)}")
    return text


def _fuzz(name: str, seed: int, seconds: float, out: Path) -> Tally:
    """Run workers of one target until its time is over; after one that died, the next begins behind the case that ended it."""
    tally = Tally()
    until = time.monotonic() + seconds
    number = 0
    while (left := until - time.monotonic()) > 0:
        arguments = ["--worker", "--only", name, "--seed", str(seed), "--first", str(number), "--out", str(out)]
        command = [sys.executable, "-m", "tests.fuzz", *arguments, "--seconds", str(left)]
        worker = subprocess.Popen(command, stdout=subprocess.PIPE, stdin=subprocess.DEVNULL)
        started, ended = _follow(worker, tally)
        if ended:
            break
        code = worker.wait()
        reproduce = f"python -m tests.fuzz --seed {seed} --only {name} --case {started}"
        if started is None:
            tally.failures.append(f"the worker ended with exit code {code} before its first case")
            break
        tally.counts["cases"] += 1
        tally.failures.append(f"the process ended with exit code {code}: {reproduce}")
        number = started + 1
    return tally


def _follow(worker: subprocess.Popen[bytes], tally: Tally) -> tuple[int | None, bool]:
    """Count what a worker reports: the number of the last case that it started, and whether it came to its own end."""
    assert worker.stdout is not None
    started: int | None = None
    pending = b""
    while True:
        ready, _, _ = select.select([worker.stdout], [], [], PATIENCE)
        if not ready:
            worker.kill()
            return started, False
        piece = os.read(worker.stdout.fileno(), 65536)
        if not piece:
            return started, False
        *lines, pending = (pending + piece).split(b"\n")
        for line in lines:
            report = json.loads(line)
            match report["what"]:
                case "start":
                    started = report["number"]
                case "done":
                    tally.counts.update(["cases", "accepted" if report["accepted"] else "refused"])
                    tally.counts["compared"] += report["compared"]
                case "failed":
                    tally.counts["cases"] += 1
                    tally.failures.append(report["message"])
                case "end":
                    worker.wait()
                    return started, True


if __name__ == "__main__":
    sys.exit(main())
