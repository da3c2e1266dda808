"""A small run that kills itself, as a process of its own: `python -m tests.training.drill FOLDER KIND AT`.

KIND is `none`, `sigkill`, `sigterm` or `sigint` (at step AT), or one of the boundaries of a checkpoint's write, at the AT-th
durable write: `open`, `half`, `fsync`, `replace`, at which the process is killed. `group` is a SIGTERM, `terminal` a SIGINT,
to this process and those that read its images, as Slurm and a terminal send them. `hold-step` and `hold-write` pause it, at
step AT or in the middle of the AT-th checkpoint: it makes FOLDER.held, and continues once that is removed. `hold-workers` is
`hold-step` with processes that read images. `folder` is `sigkill` in a run of a folder of images, with weights of classes, a
moving average and early stopping.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

import resnet_spec
from resnet_spec.training import checkpoints, session
from resnet_spec.training.console import Console
from resnet_spec.training.scoring import Interrupted
from resnet_spec.training.stop import Stop

SPEC = """
spec: 1
name: small
input: 3x12x12
classes: 4
stem: {conv1: {op: conv2d, out_channels: 16, kernel_size: 3, padding: 1, bias: false}, bn1: norm, relu: act}
block: basic
stages: {layer1: {width: 16}, layer2: {width: 32, stride: 2}}
head:
  avgpool: {op: adaptive_avg_pool2d, output_size: 1}
  flatten: flatten
  drop: {op: dropout, p: 0.2}
  fc: {op: linear, out_features: classes}
"""
RECIPE = """
recipe: 1
name: drill
epochs: 3
batch_size: 16
accumulate: 2
optimizer: {op: SGD, lr: 0.05, momentum: 0.9, weight_decay: 1e-4}
schedule: cosine
warmup: {length: 4, unit: iterations}
precision: bf16
ema: {decay: 0.9}
clip_norm: 5.0
augment: {random_crop: {padding: 1}, random_horizontal_flip: 0.5, random_erasing: {p: 0.3}, mixup: 0.2, cutmix: 1.0}
save: {steps: 4, keep: 2}
"""
READ_BY_WORKERS = RECIPE.replace("random_crop", "random_rotation: 20, random_crop")
OF_FOLDER = """
recipe: 1
name: folder
epochs: 30
batch_size: 10
accumulate: 2
optimizer: {op: AdamW, lr: 0.002}
class_weights: balanced
label_smoothing: 0.1
resize: [12, 12]
split: {validation: 0.25, test: 0.2}
ema: {decay: 0.7, every: 2}
early_stopping: {patience: 2}
augment: {random_horizontal_flip: 0.5, random_crop: {padding: 1}, mixup: 0.2}
save: {steps: 3, keep: 2}
"""
DATA = "synthetic:classes=4,size=12,train=100,validation=30,test=30"  # 7 steps an epoch, the last of 4 images
STEPS = 21


def begin(folder: Path, on_step: Callable[[int], None] = lambda step: None, recipe: str = RECIPE, data: str = DATA) -> None:
    """Run from the start. Raises Interrupted as `train` does."""
    console = Console(lambda line: None, lambda epoch, step, *_: on_step(step), lambda row, timing, epochs: None)
    resnet_spec.train(SPEC, recipe, data, out=folder, device="cpu", console=console, stop=Stop())


def write_images(root: Path) -> str:
    """A folder of images of noise with many images of one class and few of another; the `--data` argument for it."""
    random = np.random.default_rng(7)
    for label, (name, count) in enumerate({"ant": 30, "bee": 14, "cat": 9, "dog": 4}.items()):
        (root / name).mkdir(parents=True)
        for number in range(count):
            pixels = random.integers(40 * label, 40 * label + 120, (14 + number % 3, 15, 3), np.uint8)
            Image.fromarray(pixels).save(root / name / f"{name} {number}.png")
    return f"folder:{root}"


def go_on(folder: Path) -> None:
    """Resume to the end, in this process."""
    resnet_spec.resume(folder, device="cpu", console=Console.silent())


def _hold(folder: Path) -> None:
    """Pause, until the file that says so is removed."""
    held = folder.with_name(f"{folder.name}.held")
    held.write_text(str(os.getpid()))
    until = time.monotonic() + 120
    while held.exists() and time.monotonic() < until:
        time.sleep(0.02)


def _hold_at_write(folder: Path, at: int) -> None:
    """Pause this process when its AT-th checkpoint is written, and not yet in its place."""
    count = 0
    module: Any = checkpoints
    write, sync = module.write_atomically, os.fsync

    def synced(handle: int) -> None:
        os.fsync = sync
        _hold(folder)
        sync(handle)

    def written(path: Path, data: bytes, durable: bool = False) -> None:
        nonlocal count
        count += 1
        if count == at:
            os.fsync = synced  # type: ignore[assignment]
        write(path, data, durable)

    module.write_atomically = written


def _kill_at_write(boundary: str, at: int) -> None:
    """Kill this process at a boundary of its AT-th checkpoint."""
    count = 0
    module: Any = checkpoints
    write = module.write_atomically

    def die(*_: Any) -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    def written(path: Path, data: bytes, durable: bool = False) -> None:
        nonlocal count
        count += 1
        if count == at:
            if boundary == "open":
                os.fdopen = die  # type: ignore[assignment]
            elif boundary == "half":
                (path.parent / f".{path.name}.half.tmp").write_bytes(bytes(data)[: len(data) // 2])
                die()
            elif boundary == "fsync":
                os.fsync = die  # type: ignore[assignment]
            else:
                Path.replace = die  # type: ignore[method-assign, assignment]
        write(path, data, durable)

    module.write_atomically = written


def main() -> None:
    folder, kind, at = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
    pictures: Any = session
    pictures.write_pictures = lambda *_: None
    signals = {"sigkill": signal.SIGKILL, "sigterm": signal.SIGTERM, "sigint": signal.SIGINT}

    groups = {"group": signal.SIGTERM, "terminal": signal.SIGINT}

    def on_step(step: int) -> None:
        if kind == "folder" and step == at:
            os.kill(os.getpid(), signal.SIGKILL)
        if kind in signals and step == at:
            os.kill(os.getpid(), signals[kind])
        if kind in ("hold-step", "hold-workers") and step == at:
            _hold(folder)
        if kind in groups and step == at:
            send = f"import os; os.killpg({os.getpgrp()}, {int(groups[kind])})"  # another process: a parent may end its own
            subprocess.run([sys.executable, "-S", "-c", send], check=False, stderr=subprocess.DEVNULL)
            time.sleep(0.5)  # for the others to get it

    if kind in ("open", "half", "fsync", "replace"):
        _kill_at_write(kind, at)
    if kind == "hold-write":
        _hold_at_write(folder, at)
    try:
        if kind == "folder":
            begin(folder, on_step, OF_FOLDER, f"folder:{folder.parent / 'images'}")
        else:
            begin(folder, on_step, READ_BY_WORKERS if kind in (*groups, "hold-workers") else RECIPE)
    except Interrupted:
        sys.exit(130)


if __name__ == "__main__":
    main()
