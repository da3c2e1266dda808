"""The same steps by the trainer: `python -m tests.benchmarks.our_training SPEC DATA STEPS WARM [RECIPE_PATCH...]`.

SPEC may be `torchvision:resnet18`, which is trained on 3x64x64 as it is. Prints images a second over STEPS steps after WARM,
and the most memory the process held (ru_maxrss, bytes), as the command line runs it: with an allocator that keeps memory,
unless a patch is the word `allocator=off`.
"""

from __future__ import annotations

import contextlib
import importlib
import resource
import sys
import tempfile
import time
from pathlib import Path

from torch import nn

import resnet_spec
from resnet_spec._system import allocator
from resnet_spec._system.torchvision_import import import_torchvision
from resnet_spec.training.console import Console
from resnet_spec.training.scoring import Interrupted
from resnet_spec.training.stop import Stop


def main() -> None:
    spec, data, steps, warm, *patches = sys.argv[1:]
    if "allocator=off" in patches:
        patches.remove("allocator=off")
    else:
        allocator.keep_memory()
    stop = Stop()
    times: dict[int, float] = {}

    def on_step(epoch: int, step: int, *_: object) -> None:
        times[step] = time.perf_counter()
        if step == int(warm) + int(steps):
            stop.signal = 2

    console = Console(lambda line: None, on_step, lambda row, timing, epochs: None)
    batch = next((int(patch.partition("=")[2]) for patch in patches if patch.startswith("batch_size=")), 128)
    with tempfile.TemporaryDirectory() as folder:
        run = Path(folder) / "run"
        network: str | nn.Module = spec
        sets: list[str] = []
        size = None
        if spec.startswith("torchvision:"):
            import_torchvision()
            models = importlib.import_module("torchvision.models")
            network, size = getattr(models, spec.partition(":")[2])(num_classes=10), (3, 64, 64)
        elif not spec.endswith(".yaml"):
            sets = ["input=3x64x64", "classes=10"]
        with contextlib.suppress(Interrupted):
            resnet_spec.train(
                network,
                "he2015-cifar",
                data,
                out=run,
                set=sets,
                input=size,
                set_recipe=patches,
                console=console,
                stop=stop,
                force=True,
            )
    first, last = times[int(warm)], times[int(warm) + int(steps)]
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    print(batch * int(steps) / (last - first), peak)


if __name__ == "__main__":
    main()
