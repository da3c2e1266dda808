"""ResNet-50 on 32 images: `python -m tests.benchmarks.inference_script eager|fp32|bf16` prints images a second."""

from __future__ import annotations

import sys
import time

import torch
from torch import nn

import resnet_spec
from resnet_spec.training import allocator
from resnet_spec.training.inference import for_inference

BATCH = 32


def main() -> None:
    module: nn.Module = resnet_spec.build("resnet50").eval()
    if sys.argv[1] != "eager":
        allocator.keep_memory()
        module = for_inference(module, "bf16" if sys.argv[1] == "bf16" else "fp32")
    x = torch.randn(BATCH, 3, 224, 224)
    times = []
    with torch.inference_mode():
        for _ in range(9):
            start = time.perf_counter()
            module(x)
            times.append(time.perf_counter() - start)
    print(BATCH / sorted(times[2:])[3])


if __name__ == "__main__":
    main()
