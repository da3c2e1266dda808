"""Every shipped network as source: a process without resnet_spec computes the same bits from it."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch

import resnet_spec
from resnet_spec.compiler import Analysis
from resnet_spec.outputs.python_source import python_source
from tests.outputs import module_figures

pytestmark = [pytest.mark.torch, pytest.mark.slow, pytest.mark.subprocess]
SPECS = Path(__file__).parents[2] / "specs"
NETWORKS = sorted(
    str(path.relative_to(SPECS).with_suffix("")) for path in SPECS.rglob("*.yaml") if path.parent.name != "mixins"
)
FEW = (
    *("resnet18", "pokemon_resnet18", "cifar_resnet20", "cifar/preact_resnet110", "torchvision/densenet121"),
    *("torchvision/googlenet", "torchvision/mobilenet_v3_small", "examples/unet", "timm/convnext_atto"),
)
LARGEST = 150_000_000  # parameters; of larger networks, the keys and shapes
SMALLEST = 32  # pixels

Stranger = Callable[[Path, tuple[int, ...], bool], dict[str, str]]


@pytest.fixture(scope="module")
def stranger() -> Iterator[Stranger]:
    """A process that measures a file, and cannot import resnet_spec."""
    command = [sys.executable, "-I", module_figures.__file__]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        into, out = process.stdin, process.stdout
        assert out.readline() == "ready\n"

        def measure(path: Path, images: tuple[int, ...], meta: bool) -> dict[str, str]:
            into.write(json.dumps({"path": str(path), "images": images, "meta": meta}) + "\n")
            into.flush()
            line = out.readline()
            assert line, "the process ended"
            found: dict[str, str] = json.loads(line)
            return found

        yield measure
        into.close()


def small_images(analysis: Analysis) -> tuple[int, ...]:
    """Two images of the smallest size from 32 pixels on that the network accepts."""
    channels, height, width = analysis.input
    size = next((size for size in range(SMALLEST, height) if (size, size) in analysis.accepted), None)
    return (2, channels, height, width) if size is None else (2, channels, size, size)


def compare(spec: str, stranger: Stranger, folder: Path) -> None:
    analysis = resnet_spec.analyze(SPECS / f"{spec}.yaml")
    path = folder / "net.py"
    path.write_text(python_source(analysis), encoding="utf-8")
    images, meta = small_images(analysis), analysis.total.params > LARGEST
    theirs = stranger(path, images, meta)
    with torch.random.fork_rng(devices=[]):
        mine = module_figures.measure(lambda: resnet_spec.build(analysis), images, meta)
    assert list(theirs) == list(mine)
    assert [key for key, figure in mine.items() if theirs[key] != figure] == []


@pytest.mark.parametrize("spec", FEW)
def test_the_source_computes_the_same_bits(spec: str, stranger: Stranger, tmp_path: Path) -> None:
    compare(spec, stranger, tmp_path)


@pytest.mark.zoo
@pytest.mark.parametrize("spec", [name for name in NETWORKS if name not in FEW])
def test_the_source_of_every_network_computes_the_same_bits(spec: str, stranger: Stranger, tmp_path: Path) -> None:
    compare(spec, stranger, tmp_path)
