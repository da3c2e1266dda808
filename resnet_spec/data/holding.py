"""Holds a split in memory: all images decoded once, prepared to one size, in one array of bytes."""

from __future__ import annotations

import math
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from resnet_spec.data.dataset import BadImage, Pixels, Split

_AT_ONCE = 16  # images in a task: few enough to keep all threads busy, enough to outweigh the overhead of a task


def fits_in(count: int, shape: tuple[int, int, int], budget_bytes: int) -> bool:
    """Whether `count` images of `shape` (H, W, C) fit into `budget_bytes`."""
    return count * math.prod(shape) <= budget_bytes


def hold(
    split: Split, prepare: Callable[[Pixels], Pixels], shape: tuple[int, int, int], workers: int, skip_bad: bool
) -> tuple[Split, list[BadImage]]:
    """Read all images of a split into memory, each as `prepare` returns it: `(H, W, C)` equal to `shape`.

    Images are read by `workers` threads; the result does not depend on how many. With `skip_bad`, images that cannot be read
    are left out and returned.

    Raises BadImage for the first image in order that cannot be read; with `skip_bad` only if no image can.
    """
    import torch

    count = len(split)
    pixels = np.empty((count, *shape), np.uint8)

    def read(start: int) -> list[tuple[int, BadImage]]:
        bad = []
        for i in range(start, min(start + _AT_ONCE, count)):
            try:
                image = prepare(split.read(i))
            except BadImage as error:
                bad.append((i, error))
                if not skip_bad:
                    break
                continue
            if image.shape != shape:
                raise ValueError(f"{split.name(i)} was prepared to {image.shape}, and should be {shape}")
            pixels[i] = image
        return bad

    bad: list[tuple[int, BadImage]] = []
    threads = torch.get_num_threads()
    # Each thread works on its own image. If torch used threads as well, they would spin while waiting for each other.
    with ThreadPoolExecutor(max(1, workers), initializer=torch.set_num_threads, initargs=(1,)) as pool:
        try:
            for found in pool.map(read, range(0, count, _AT_ONCE)):
                bad += found
                if bad and not skip_bad:
                    raise bad[0][1]
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
        finally:
            torch.set_num_threads(threads)
    if not bad:
        return Split(split.labels, pixels.__getitem__, split.name, pixels), []
    if len(bad) == count:
        raise bad[0][1]
    unreadable = {i for i, _ in bad}
    kept = [i for i in range(count) if i not in unreadable]
    for to, origin in enumerate(kept):  # in place, since there may be no memory for a second array
        if to != origin:
            pixels[to] = pixels[origin]
    pixels = pixels[: len(kept)]
    return Split(split.labels[kept], pixels.__getitem__, lambda i: split.name(kept[i]), pixels), [error for _, error in bad]
