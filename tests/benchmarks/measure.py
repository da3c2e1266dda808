"""Timing that survives a noisy machine: both sides in turn, medians, and the spread."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable


def seconds(action: Callable[[], object]) -> float:
    """The wall time of one call."""
    start = time.perf_counter()
    action()
    return time.perf_counter() - start


def process(*arguments: str) -> Callable[[], object]:
    """A whole Python process as an action, with compiled modules kept from run to run as on a user's machine."""
    command = [sys.executable, *arguments]
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONDONTWRITEBYTECODE"}

    def run() -> None:
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=environment)

    return run


def compare(
    title: str, ours: Callable[[], object], theirs: Callable[[], object], rounds: int, target: float | None = None
) -> None:
    """Print both medians with their spread, and the ratio pair by pair: how many times faster ours is."""
    ours()
    theirs()
    pairs = [(seconds(ours), seconds(theirs)) for _ in range(rounds)]
    ratios = sorted(them / us for us, them in pairs)
    columns = [_spread([pair[side] for pair in pairs]) for side in (0, 1)]
    wanted = "" if target is None else f" (wanted {target:g})"
    shown = f"{statistics.median(ratios):.1f} times [{ratios[0]:.1f} to {ratios[-1]:.1f}]{wanted}"
    print(f"| {title} | {columns[0]} | {columns[1]} | {shown} |", flush=True)


def table(title: str, found: dict[str, list[float]], wanted: dict[str, float]) -> None:
    """Print images a second of each row, and how many times faster than the first row of its round."""
    first = next(iter(found.values()))
    print(f"\n{title}\n\n| what | images/s | times the first |\n| --- | --- | --- |")
    for name, speeds in found.items():
        ratios = sorted(speed / base for speed, base in zip(speeds, first, strict=True))
        target = f" (wanted {wanted[name]:g})" if name in wanted else ""
        shown = f"{statistics.median(ratios):.2f} [{ratios[0]:.2f} to {ratios[-1]:.2f}]{target}"
        print(f"| {name} | {statistics.median(speeds):,.0f} [{min(speeds):,.0f} to {max(speeds):,.0f}] | {shown} |", flush=True)


def _spread(times: list[float]) -> str:
    unit, scale = ("ms", 1e3) if statistics.median(times) < 1 else ("s", 1.0)
    return f"{statistics.median(times) * scale:.3g} {unit} [{min(times) * scale:.3g} to {max(times) * scale:.3g}]"
