"""Random numbers without a state: each is a function of its purpose.

The order of samples depends on (seed, epoch), augmentation on (seed, epoch, index of the sample), the mixing of a batch on
(seed, epoch, number of the batch), dropout on (seed, step, part). None depends on the process, the worker, or what ran before:
a run that is resumed, or split over more processes, uses the same numbers.
"""

from __future__ import annotations

import hashlib
from enum import IntEnum

import numpy as np
from numpy.typing import NDArray


class Purpose(IntEnum):
    """What random numbers are for; each purpose has a stream of its own."""

    WEIGHTS = 0
    ORDER = 1
    SAMPLES = 2
    EACH = 3
    MIXING = 4
    FORWARD = 5
    HOLD_OUT = 6


def _generator(purpose: Purpose, *key: int) -> np.random.Generator:
    """One stream for each key of parts below 2^32; numpy would read a larger one as two parts."""
    return np.random.Generator(np.random.Philox(np.random.SeedSequence([purpose, *key])))


def order(seed: int, epoch: int, count: int) -> NDArray[np.int64]:
    """The samples of an epoch in the order in which they are seen: a permutation of `range(count)`."""
    return _generator(Purpose.ORDER, seed, epoch).permutation(count)


def draws(seed: int, epoch: int, count: int, columns: int) -> NDArray[np.float64]:
    """Numbers in [0, 1) for each sample of an epoch, `(count, columns)`; row i is for sample i, wherever it is in the order."""
    return _generator(Purpose.SAMPLES, seed, epoch).random((count, columns))


def mixing(seed: int, epoch: int, batch: int) -> np.random.Generator:
    """The generator for what is done to one batch as a whole."""
    return _generator(Purpose.MIXING, seed, epoch, batch)


def held_out(seed: int, count: int, part: float) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Indices that are kept for training and indices that are held out, each in rising order."""
    shuffled = _generator(Purpose.HOLD_OUT, seed).permutation(count)
    cut = round(part * count)
    return np.sort(shuffled[cut:]), np.sort(shuffled[:cut])


def seed_of(purpose: Purpose, *key: int) -> int:
    """A seed for torch's generators, of 63 bits."""
    text = ",".join(str(part) for part in (int(purpose), *key))
    return int.from_bytes(hashlib.blake2b(text.encode("ascii"), digest_size=8).digest(), "big") >> 1
