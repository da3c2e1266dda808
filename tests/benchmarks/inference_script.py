"""ResNet-50 on 32 images: `python -m tests.benchmarks.inference_script eager|fp32|bf16` prints images a second.

`bound` prints those that its multiplications alone would allow, in fp32 and bf16: at the speed of a large matrix product.
"""

from __future__ import annotations

import sys

import torch
from torch import nn

import resnet_spec
from resnet_spec._system import allocator
from resnet_spec.inference.folding import prepare_for_inference
from tests.benchmarks.measure import seconds

BATCH = 32
SIDE = 3000  # of the matrices


def bound(dtype: torch.dtype) -> float:
    """Images a second."""
    x, y = torch.randn(2, SIDE, SIDE).to(dtype)
    x @ y
    taken = sorted(seconds(lambda: x @ y) for _ in range(9))[4]
    return SIDE**3 / taken / resnet_spec.analyze("resnet50").total.macs


def main() -> None:
    if sys.argv[1] == "bound":
        print(bound(torch.float32), bound(torch.bfloat16))
        return
    module: nn.Module = resnet_spec.build("resnet50").eval()
    if sys.argv[1] != "eager":
        allocator.keep_memory()
        module = prepare_for_inference(module, "bf16" if sys.argv[1] == "bf16" else "fp32")
    x = torch.randn(BATCH, 3, 224, 224)
    times = []
    with torch.inference_mode():
        for _ in range(9):
            times.append(seconds(lambda: module(x)))
    print(BATCH / sorted(times[2:])[3])


if __name__ == "__main__":
    main()
