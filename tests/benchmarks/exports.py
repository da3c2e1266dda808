"""Exported networks and the module: `python -m tests.benchmarks exports [SPEC [ROUNDS]]`. Each figure is of its own process."""

from __future__ import annotations

import tempfile
from pathlib import Path

import resnet_spec
from tests.benchmarks.training import rows

TORCHVISION_TOO = ("resnet18", "resnet34", "resnet50", "resnet101", "resnet152")
STEPS = {1: "41", 32: "7"}  # how many batches of each size; the median is taken


def main(spec: str = "resnet50", rounds: int = 3) -> None:
    with tempfile.TemporaryDirectory() as folder:
        files = [Path(folder) / f"net.{suffix}" for suffix in ("onnx", "pt2", "py")]
        for file in files:
            resnet_spec.export(spec, file)
        script = "tests.benchmarks.export_script"
        size = "x".join(map(str, resnet_spec.analyze(spec).input))
        for batch, steps in STEPS.items():
            commands: dict[str, tuple[list[str], dict[str, str]]] = {
                "the module, eager": ([script, spec, str(batch), steps, size], {}),
                "the .onnx in onnxruntime": ([script, str(files[0]), str(batch), steps, size], {}),
                "the .pt2 in torch": ([script, str(files[1]), str(batch), steps, size], {}),
                "the .py in torch": ([script, str(files[2]), str(batch), steps, size], {}),
            }
            if spec in TORCHVISION_TOO:
                commands["torchvision's module"] = ([script, f"torchvision:{spec}", str(batch), steps, size], {})
            rows(f"Exported {spec}, fp32, batch {batch}", commands, rounds, {"the .pt2 in torch": 1.0, "the .py in torch": 1.0})
