"""The benchmark tables in Markdown: `python -m tests.benchmarks`, with `training [DATA]`, `exports [SPEC [ROUNDS]]`,
`reading [DIR]` or `listing [N]`.
"""

from __future__ import annotations

import sys
import tempfile
from functools import partial
from pathlib import Path

import torch

import resnet_spec
from resnet_spec import api
from resnet_spec._system.torchvision_import import import_torchvision
from resnet_spec.language.library import shipped_path
from tests.benchmarks import diagrams, exports, listing, reading, training
from tests.benchmarks.measure import compare, process

TORCHINFO = """
from resnet_spec._system.torchvision_import import import_torchvision
import_torchvision()
import torch
from torchvision.models import resnet50
from torchinfo import summary
with torch.device({device!r}):
    print(summary(resnet50(), (1, 3, 224, 224), device={device!r}))
"""


def whole_process() -> None:
    ours = process("-m", "resnet_spec", "summary", "resnet50")
    for device in ("cpu", "meta"):
        theirs = process("-c", TORCHINFO.format(device=device))
        compare(f"whole process, summary of resnet50; torchvision + torchinfo on {device}", ours, theirs, 7, 20)


def analysis_in_process() -> None:
    from torchinfo import summary

    for name, target in (("resnet50", 13.0), ("resnet152", 28.75), ("cifar_resnet1202", 24.95)):
        path = shipped_path(name)
        assert path is not None
        with torch.device("meta"):
            model = resnet_spec.build(name, device="meta", initialize=False)
        size = resnet_spec.analyze(name).input
        title = f"in process, spec to analysis of {name}; torchinfo on the meta device, module at hand"
        info = partial(summary, model, (1, *size), device="meta", verbose=0)
        compare(title, partial(resnet_spec.analyze, path), info, 9, target)


def construction() -> None:
    from torchvision.models import resnet50

    compare("build resnet50, weights drawn; torchvision's constructor", lambda: resnet_spec.build("resnet50"), resnet50, 9, 1.4)


def variant() -> None:
    """A network that has no name: more blocks in a stage, and other classes."""
    from torchinfo import summary
    from torchvision.models.resnet import Bottleneck, ResNet

    sets = ["stages.layer3.depth=23", "classes=10"]
    depths = [3, 4, 23, 3]

    def theirs() -> object:
        with torch.device("meta"):
            model = ResNet(Bottleneck, depths, num_classes=10)
        return summary(model, (1, 3, 224, 224), device="meta", verbose=0)

    title = "in process, a variant of resnet50 by set=, analyzed; torchvision's class and torchinfo on the meta device"
    compare(title, partial(resnet_spec.analyze, "resnet50", set=sets), theirs, 9)
    build = partial(resnet_spec.build, "resnet50", set=sets)
    compare("the same variant built, weights drawn; torchvision's class", build, partial(ResNet, Bottleneck, depths, 10), 9)


def checkpoint() -> None:
    from torchvision.models import resnet50

    with tempfile.TemporaryDirectory() as folder:
        ours, theirs = Path(folder) / "ours.safetensors", Path(folder) / "theirs.pt"
        api.write_initial_weights(resnet_spec.analyze("resnet50"), ours)
        torch.save(resnet_spec.build("resnet50", weights=ours).state_dict(), theirs)

        def load_theirs() -> float:
            model = resnet50()
            model.load_state_dict(torch.load(theirs, weights_only=True))
            return touch(model)

        def load_ours() -> float:
            return touch(resnet_spec.build("resnet50", weights=ours))

        compare("checkpoint to a ready resnet50, every byte read; torchvision and torch.load", load_ours, load_theirs, 9, 5)


def touch(model: torch.nn.Module) -> float:
    """Read every tensor."""
    return float(sum(tensor.double().sum() if tensor.ndim == 0 else tensor.sum() for tensor in model.state_dict().values()))


def main() -> None:
    if sys.argv[1:2] == ["training"]:
        training.main(sys.argv[2] if len(sys.argv) > 2 else "synthetic:train=12800")
        return
    if sys.argv[1:2] == ["exports"]:
        exports.main(sys.argv[2] if len(sys.argv) > 2 else "resnet50", int(sys.argv[3]) if len(sys.argv) > 3 else 3)
        return
    if sys.argv[1:2] == ["reading"]:
        reading.main(sys.argv[2] if len(sys.argv) > 2 else None)
        return
    if sys.argv[1:2] == ["listing"]:
        listing.main(int(sys.argv[2]) if len(sys.argv) > 2 else 300_000)
        return
    import_torchvision()
    print(f"torch {torch.__version__}, {torch.get_num_threads()} threads\n")
    print("| what; the peer | ours | the peer | ours is faster by |\n| --- | --- | --- | --- |")
    whole_process()
    analysis_in_process()
    construction()
    variant()
    checkpoint()
    diagrams.main()


if __name__ == "__main__":
    main()
