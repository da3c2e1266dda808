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
from resnet_spec.outputs.python_check import small_size
from resnet_spec.outputs.python_source import python_source
from tests.outputs import module_figures

pytestmark = [pytest.mark.torch, pytest.mark.slow, pytest.mark.subprocess]
SPECS = Path(__file__).parents[2] / "specs"
NETWORKS = sorted(str(path.relative_to(SPECS).with_suffix("")) for path in SPECS.rglob("*.yaml"))
FEW = (
    *("resnet18", "pokemon_resnet18", "cifar_resnet20", "torchvision/densenet121", "torchvision/googlenet"),
    *("torchvision/mobilenet_v3_small", "torchvision/squeezenet1_1", "timm/convnext_atto"),
)
LARGEST = 150_000_000  # parameters; of larger networks, the keys and shapes

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


def analyze(spec: str) -> Analysis:
    """A shipped network, or a ResNet-50 with a shipped mixin."""
    if spec.startswith("mixins/"):
        return resnet_spec.analyze({"spec": 1, "extends": ["resnet50", spec]})
    return resnet_spec.analyze(SPECS / f"{spec}.yaml")


def compare(spec: str, stranger: Stranger, folder: Path) -> None:
    analysis = analyze(spec)
    path = folder / "net.py"
    path.write_text(python_source(analysis), encoding="utf-8")
    images, meta = (2, *small_size(analysis)), analysis.total.params > LARGEST
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


@pytest.mark.zoo
def test_the_source_of_every_network_is_formatted_and_typed(tmp_path: Path) -> None:
    for spec in NETWORKS:
        (tmp_path / f"{spec.replace('/', '__')}.py").write_text(python_source(analyze(spec)), encoding="utf-8")
    for arguments in (
        ("ruff", "check", "--isolated", "--no-cache"),
        ("ruff", "format", "--isolated", "--no-cache", "--check"),
        ("mypy", "--strict", "--config-file=", f"--cache-dir={tmp_path / 'cache'}"),
    ):
        done = subprocess.run([sys.executable, "-m", *arguments, str(tmp_path)], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
    print(f"{len(NETWORKS)} networks")
