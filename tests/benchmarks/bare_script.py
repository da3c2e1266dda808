"""The bare step of the same module: `python -m tests.benchmarks.bare_script SPEC STEPS WARM` prints images a second.

Forward, loss, backward and SGD on one batch of 128 that is in memory, in channels_last and with an allocator that keeps memory,
as the trainer does it; without data, augmentation and metrics.
"""

from __future__ import annotations

import sys
import time

import torch
from torch.nn.functional import cross_entropy

import resnet_spec
from resnet_spec._system import allocator

BATCH = 128


def main() -> None:
    spec, steps, warm = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    allocator.keep_memory()
    analysis = resnet_spec.analyze(spec)
    module = resnet_spec.build(analysis).train().to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    images = torch.randn(BATCH, *analysis.input).contiguous(memory_format=torch.channels_last)
    labels = torch.arange(BATCH) % analysis.output[0]
    optimizer = torch.optim.SGD(module.parameters(), lr=1e-3, momentum=0.9, weight_decay=1e-4)
    began = 0.0
    for number in range(warm + steps):
        if number == warm:
            began = time.perf_counter()
        optimizer.zero_grad()
        cross_entropy(module(images), labels).backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    print(BATCH * steps / (time.perf_counter() - began))


if __name__ == "__main__":
    main()
