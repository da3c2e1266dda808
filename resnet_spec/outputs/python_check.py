"""Checks that the source of a network is the network: the same keys, weights, outputs and gradients."""

from __future__ import annotations

import sys
import tempfile
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType
from typing import cast

import torch
from torch import Tensor, nn

from resnet_spec.compiler import Analysis
from resnet_spec.outputs.torch_module import build_module

LARGEST = 150_000_000  # parameters of a network whose numbers are compared; of larger ones, keys and shapes
SMALLEST = 32  # pixels of the images for training


class SourceDiffers(Exception):  # noqa: N818
    """The source of a network is not the same network. `place` is the first name that differs, empty if there is none."""

    def __init__(self, message: str, place: str = "") -> None:
        super().__init__(message)
        self.place = place


def verify_source(text: str, analysis: Analysis, batch: int = 2) -> None:
    """Run the source of a network, and compare it with the module of its graph; raises SourceDiffers.

    Compared are the keys and shapes of the `state_dict`, the weights of a seed, the outputs in evaluation for an image of the
    spec's size, and for `batch` smaller ones, if the network accepts these, the outputs in evaluation and in training, the
    gradients, and the statistics after that. All must be equal bit by bit. The random state of the caller is not changed.
    """
    with load_source(text) as source, torch.random.fork_rng(devices=[]):
        if analysis.total.params > LARGEST:
            _compare_shapes(source, analysis)
        else:
            _compare_numbers(source, analysis, batch)


def small_size(analysis: Analysis) -> tuple[int, ...]:
    """`(C, H, W)` of the smallest square images from 32 pixels on that the network accepts, else of the spec's own.

    What exists in training only may need larger images than the rest.
    """
    channels, height, width = analysis.input
    training_only = any(output.training_only for output in analysis.graph.outputs)
    sizes = range(SMALLEST, 0 if training_only else min(height, width))
    size = next((size for size in sizes if (size, size) in analysis.accepted), None)
    return (channels, height, width) if size is None else (channels, size, size)


@contextmanager
def load_source(text: str) -> Iterator[ModuleType]:
    """The source as a module, imported from a file of its own."""
    name = f"exported_{uuid.uuid4().hex}"
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        path = Path(folder) / f"{name}.py"
        path.write_text(text, encoding="utf-8")
        found = spec_from_file_location(name, path)
        assert found is not None
        assert found.loader is not None
        module = module_from_spec(found)
        sys.modules[name] = module
        try:
            found.loader.exec_module(module)
            yield module
        finally:
            del sys.modules[name]


def _build_both(source: ModuleType, analysis: Analysis, device: str) -> tuple[nn.Module, nn.Module]:
    """The module of the graph and that of the source with the weights of one seed, if their keys and shapes are the same."""
    with torch.device(device):
        torch.manual_seed(0)
        theirs = cast(nn.Module, source.build())
    torch.manual_seed(0)
    ours = build_module(analysis.graph, device)
    mine, other = ours.state_dict(), theirs.state_dict()
    for key in dict.fromkeys((*mine, *other)):
        if key not in other or key not in mine:
            raise SourceDiffers(f"the source {'lacks' if key in mine else 'adds'} the key {key}", key)
        if mine[key].shape != other[key].shape:
            raise SourceDiffers(f"{key} has another shape in the source", key)
    if list(mine) != list(other):
        raise SourceDiffers("the keys of the source are in another order")
    return ours, theirs


def _compare_shapes(source: ModuleType, analysis: Analysis) -> None:
    ours, theirs = _build_both(source, analysis, "meta")
    images = torch.empty(1, *analysis.input, device="meta")
    _same_outputs("in evaluation", ours.eval()(images), theirs.eval()(images))


def _compare_numbers(source: ModuleType, analysis: Analysis, batch: int) -> None:
    ours, theirs = _build_both(source, analysis, "cpu")
    _same_tensors("initial", ours.state_dict(), theirs.state_dict())
    images = torch.rand(batch, *small_size(analysis))
    with torch.no_grad():
        for inputs in (torch.rand(1, *analysis.input), images):
            _same_outputs("in evaluation", ours.eval()(inputs), theirs.eval()(inputs))
    outputs = []
    for module in (ours, theirs):
        torch.manual_seed(1)
        output = module.train()(images)
        total = torch.stack([each.sum() for each in _named(output).values()]).sum()
        if total.requires_grad:  # not if the outputs depend on no parameter
            try:
                total.backward()  # type: ignore[no-untyped-call]
            except RuntimeError as error:  # a value that is needed was overwritten
                if module is ours:
                    raise
                raise SourceDiffers(f"the source has no gradients: {str(error).partition(':')[0]}") from None
        outputs.append(output)
    _same_outputs("in training", *outputs)
    grads = [{name: p.grad for name, p in module.named_parameters() if p.grad is not None} for module in (ours, theirs)]
    _same_tensors("gradient of", *grads)
    _same_tensors("after a step forward,", ours.state_dict(), theirs.state_dict())


def _same_tensors(what: str, mine: Mapping[str, Tensor], other: Mapping[str, Tensor]) -> None:
    for key in dict.fromkeys((*mine, *other)):
        if key not in mine or key not in other or not _same(mine[key], other[key]):
            raise SourceDiffers(f"{what} {key} differs in the source", key)


def _same_outputs(when: str, mine: object, other: object) -> None:
    first, second = _named(mine), _named(other)
    if list(first) != list(second) or isinstance(mine, Tensor) != isinstance(other, Tensor):
        raise SourceDiffers(f"the source has other outputs {when}")
    for name in first:
        if first[name].shape != second[name].shape or not (first[name].is_meta or _same(first[name], second[name])):
            raise SourceDiffers(f"the output {name or 'of the network'} differs in the source {when}", name)


def _same(a: Tensor, b: Tensor) -> bool:
    if a.shape != b.shape or not torch.equal(a.isnan(), b.isnan()):
        return False
    return torch.equal(a[~a.isnan()], b[~b.isnan()])


def _named(output: object) -> dict[str, Tensor]:
    return cast(dict[str, Tensor], output) if isinstance(output, dict) else {"": cast(Tensor, output)}
