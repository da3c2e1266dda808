"""A folder of JPEGs into memory at 224x224: `python -m tests.benchmarks reading [DIR]`.

Pillow alone, our reader over Pillow, our reader over simplejpeg; each on as many threads as there are cores, in turn. Without a
folder, 400 pictures of 500x375 are made.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from PIL import Image

from resnet_spec.data import Split, decode
from resnet_spec.data.holding import hold
from resnet_spec.data.resize import resize
from tests.benchmarks.measure import seconds, table

SIZE = (224, 224)
ROUNDS = 5
WANTED = {"ours over Pillow": 1.3, "ours over simplejpeg": 1.7}


def make(folder: Path, count: int = 400) -> None:
    """Pictures with detail at every scale, about as many bytes a pixel as photographs have."""
    lot = np.random.default_rng(0)
    for number in range(count):
        picture = np.zeros((375, 500, 3))
        for side in (4, 16, 64, 256):
            small = Image.fromarray(lot.integers(0, 256, (side, side, 3), dtype=np.uint8))
            picture += np.asarray(small.resize((500, 375), Image.Resampling.BICUBIC), np.float64) / 4
        Image.fromarray(picture.astype(np.uint8)).save(folder / f"{number}.jpg", quality=85)


def by_pillow(paths: list[Path], threads: int) -> None:
    """Each image decoded, made red, green and blue, and resized by Pillow."""

    def read(path: Path) -> object:
        with Image.open(path) as image:
            return np.asarray(image.convert("RGB").resize(SIZE[::-1], Image.Resampling.BILINEAR))

    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(read, paths))


def by_ours(paths: list[Path], threads: int, *, quick: bool) -> None:
    """The reader of `train`, with simplejpeg or without it."""
    decode._SIMPLEJPEG = decode._simplejpeg() if quick else None
    split = Split(np.zeros(len(paths), np.int64), lambda i: decode.read_image(paths[i]), lambda i: paths[i].name)
    hold(split, lambda image: resize(image, SIZE), (*SIZE, 3), threads, False)


def main(folder: str | None) -> None:
    threads = os.cpu_count() or 1
    with tempfile.TemporaryDirectory() as made:
        if folder is None:
            make(Path(made))
        paths = sorted(Path(folder or made).rglob("*.jpg"))
        actions: dict[str, Callable[[], object]] = {
            "Pillow": lambda: by_pillow(paths, threads),
            "ours over Pillow": lambda: by_ours(paths, threads, quick=False),
            "ours over simplejpeg": lambda: by_ours(paths, threads, quick=True),
        }
        found: dict[str, list[float]] = {name: [] for name in actions}
        for number in range(ROUNDS + 1):
            for name, action in actions.items():
                taken = seconds(action)
                if number:  # the first round brings the files into memory
                    found[name].append(len(paths) / taken)
    table(f"{len(paths)} JPEGs to {SIZE[0]}x{SIZE[1]}, {threads} threads", found, WANTED)
