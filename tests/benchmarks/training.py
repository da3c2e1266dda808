"""Training and inference: `python -m tests.benchmarks training [cifar10:DIR]`. Each figure is of a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from tests.benchmarks.measure import table

ROOT = Path(__file__).parents[2]
MALLOC = {"MALLOC_MMAP_MAX_": "0", "MALLOC_TRIM_THRESHOLD_": "2147483647", "MALLOC_TOP_PAD_": "67108864"}
STEPS, WARM = "60", "10"


def figures(arguments: list[str], extra: dict[str, str] | None = None) -> list[float]:
    """What a program of ours printed last: numbers."""
    environment = {key: value for key, value in os.environ.items() if key != "OMP_NUM_THREADS"} | (extra or {})
    command = [sys.executable, "-m", *arguments]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=True)
    return [float(word) for word in done.stdout.splitlines()[-1].split()]


def rows(title: str, commands: dict[str, tuple[list[str], dict[str, str]]], rounds: int, wanted: dict[str, float]) -> None:
    """Images a second of each command, `rounds` times in turn, and how many times faster than the first of its round."""
    found: dict[str, list[float]] = {name: [] for name in commands}
    for _ in range(rounds):
        for name, (arguments, extra) in commands.items():
            found[name].append(figures(arguments, extra)[0])
    table(title, found, wanted)


def training(data: str, rounds: int = 3) -> None:
    """CIFAR ResNet-20, batch 128, data and metrics included."""
    plain = ["tests.benchmarks.plain_script", data, STEPS, WARM]
    ours = ["tests.benchmarks.our_training", "specs/cifar_resnet20.yaml", data, STEPS, WARM]
    commands = {
        "the plain script: PIL transforms, two workers, NCHW, fp32": (plain, {}),
        "the same with channels_last and MALLOC_ settings": ([*plain, "--channels-last"], MALLOC),
        "ours, fp32": (ours, {}),
        "ours, bf16": ([*ours, "precision=bf16"], {}),
        "ours, fp32, allocator left alone": ([*ours, "allocator=off"], {}),
        "ours, fp32, a checkpoint every 10 steps": ([*ours, "save.steps=10"], {}),
    }
    rows("Training cifar_resnet20, batch 128", commands, rounds, {"ours, fp32": 1.6, "ours, bf16": 2.0})


def bare(data: str, rounds: int = 3) -> None:
    """`train` against forward, backward and step of the same module, on a batch in memory."""
    spec = "specs/cifar_resnet20.yaml"
    commands: dict[str, tuple[list[str], dict[str, str]]] = {
        "the bare forward, backward and step": (["tests.benchmarks.bare_script", spec, STEPS, WARM], {}),
        "ours, fp32": (["tests.benchmarks.our_training", spec, data, STEPS, WARM], {}),
    }
    rows("Training cifar_resnet20, batch 128, against the bare step", commands, rounds, {"ours, fp32": 0.97})


def module(rounds: int = 3) -> None:
    """The compiled resnet18 and torchvision's in the same loop, on 3x64x64."""
    rest = ["synthetic:size=64,train=1280", "12", "4", "batch_size=64", "augment="]
    commands: dict[str, tuple[list[str], dict[str, str]]] = {
        "torchvision's resnet18 in our loop": (["tests.benchmarks.our_training", "torchvision:resnet18", *rest], {}),
        "the compiled resnet18": (["tests.benchmarks.our_training", "resnet18", *rest], {}),
    }
    rows("Training resnet18 at 3x64x64, batch 64, fp32", commands, rounds, {"the compiled resnet18": 1.0})


def memory(data: str) -> None:
    """CIFAR ResNet-1202, batch 128, in bf16 with segments: the most a process holds."""
    arguments = [
        "tests.benchmarks.our_training",
        "specs/cifar_resnet1202.yaml",
        data,
        "1",
        "1",
        "precision=bf16",
        "segments=-1",
    ]
    speed, peak = figures(arguments)
    print(f"\ncifar_resnet1202, batch 128, bf16, segments: {peak / 1e9:.2f} GB (wanted 2.5), {speed:.1f} images/s", flush=True)


def inference(rounds: int = 3) -> None:
    """ResNet-50, batch 32, eager against folded."""
    commands: dict[str, tuple[list[str], dict[str, str]]] = {
        "eager, fp32": (["tests.benchmarks.inference_script", "eager"], {}),
        "folded, channels last, fp32": (["tests.benchmarks.inference_script", "fp32"], {}),
        "folded, channels last, bf16": (["tests.benchmarks.inference_script", "bf16"], {}),
    }
    wanted = {"folded, channels last, fp32": 2.5, "folded, channels last, bf16": 5.0}
    rows("Inference of resnet50, batch 32", commands, rounds, wanted)
    fp32, bf16 = figures(["tests.benchmarks.inference_script", "bound"])
    print(f"\nat the speed of a product of large matrices: {fp32:.0f} in fp32, {bf16:.0f} in bf16", flush=True)


def main(data: str) -> None:
    training(data)
    bare(data)
    module()
    inference()
    memory(data)
