"""Opening a folder of many images: `python -m tests.benchmarks listing [COUNT]`, 300,000 by default.

The files are empty: nothing is decoded. torchvision's ImageFolder and ours, in turn, each in a process of its own so that its
memory can be measured: the peak of what Python allocated. Ours also divides the images into splits; up to 200,000 images, it
also looks for duplicates, which takes longer than the listing.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

CLASSES = 20
ROUNDS = 5
MOST_BYTES = 500  # a file

OURS = """
from resnet_spec.data import open_data
run = lambda: open_data("folder:" + root, input=(3, 32, 32), split=(0.2, 0.2))
count = lambda data: len(data.train) + len(data.validation) + len(data.test)
"""
THEIRS = """
from resnet_spec._system.torchvision_import import import_torchvision
import_torchvision()
from torchvision.datasets import ImageFolder
run = lambda: ImageFolder(root)
count = len
"""
MEASURE = """
import sys, time, tracemalloc
root, wanted, traced = sys.argv[1], int(sys.argv[2]), sys.argv[3] == "memory"
{setup}
if traced:
    tracemalloc.start()
times = []
for _ in range(1 if traced else 3):
    began = time.perf_counter()
    data = run()
    times.append(time.perf_counter() - began)
    assert count(data) == wanted
print(tracemalloc.get_traced_memory()[1] if traced else min(times))
"""


def make(root: Path, count: int) -> None:
    """Empty files with the names that cameras give, in folders of classes."""
    for label in range(CLASSES):
        folder = root / f"class_{label:02}"
        folder.mkdir()
        for number in range(label, count, CLASSES):
            (folder / f"IMG_{number:08}.jpg").touch()


def measured(setup: str, root: Path, count: int, what: str) -> float:
    """Seconds, or the bytes of memory at the peak."""
    command = [sys.executable, "-c", MEASURE.format(setup=setup), str(root), str(count), what]
    return float(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def main(count: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        make(root, count)
        measured(THEIRS, root, count, "seconds")  # brings the folders into memory
        pairs = [tuple(measured(setup, root, count, "seconds") for setup in (OURS, THEIRS)) for _ in range(ROUNDS)]
        ratios = sorted(theirs / ours for ours, theirs in pairs)
        ours, theirs = (statistics.median(pair[side] for pair in pairs) for side in (0, 1))
        memory = [measured(setup, root, count, "memory") / count for setup in (OURS, THEIRS)]
    print(f"\n{count:,} empty files in {CLASSES} folders\n\n| what | seconds | bytes a file at the peak |\n| --- | --- | --- |")
    print(f"| ImageFolder of torchvision | {theirs:.2f} | {memory[1]:.0f} |")
    speed = f"{statistics.median(ratios):.2f} times as fast [{ratios[0]:.2f} to {ratios[-1]:.2f}] (wanted 1)"
    print(f"| ours | {ours:.2f}, {speed} | {memory[0]:.0f} (wanted at most {MOST_BYTES}) |")
