"""An exported network on images: `python -m tests.benchmarks.export_script FILE BATCH STEPS CxHxW` prints images a second.

FILE is what `resnet-spec export` wrote, `.onnx`, `.pt2` or `.py`, or the name of a shipped spec, whose module runs eagerly, or
`torchvision:NAME`, a model of torchvision. Each uses the threads that they take by default.
"""

from __future__ import annotations

import runpy
import sys
from collections.abc import Callable
from pathlib import Path

import torch

import resnet_spec
from resnet_spec._system.torchvision_import import import_torchvision
from tests.benchmarks.measure import seconds

TORCHVISION = "torchvision:"


def action(name: str, images: torch.Tensor) -> Callable[[], object]:
    """What is timed: a batch through the network."""
    module: torch.nn.Module
    match Path(name).suffix:
        case ".onnx":
            import onnxruntime

            session = onnxruntime.InferenceSession(name, providers=["CPUExecutionProvider"])
            given = {session.get_inputs()[0].name: images.numpy()}
            return lambda: session.run(None, given)
        case ".pt2":
            module = torch.export.load(name).module()
        case ".py":
            module = runpy.run_path(name)["build"]().eval()
        case _ if name.startswith(TORCHVISION):
            import_torchvision()
            from torchvision.models import get_model

            module = get_model(name.removeprefix(TORCHVISION)).eval()
        case _:
            module = resnet_spec.build(name).eval()
    return lambda: module(images)


def main() -> None:
    name, batch, steps = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    run = action(name, torch.randn(batch, *map(int, sys.argv[4].split("x"))))
    with torch.inference_mode():
        run()
        run()
        times = sorted(seconds(run) for _ in range(steps))
    print(batch / times[steps // 2])


if __name__ == "__main__":
    main()
