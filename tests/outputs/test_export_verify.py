"""Files that do not compute what the module computes, and layers that an exporter cannot express: which layer is named."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from torch.onnx.errors import OnnxExporterError

import resnet_spec
from resnet_spec.diagnostics import SpecError
from resnet_spec.outputs.exporting import onnx_file, torch_program
from resnet_spec.outputs.exporting.model import Exportable, Runner, Written
from resnet_spec.outputs.exporting.verify import compare, first_line, measure

pytestmark = pytest.mark.torch

Write = Callable[[Exportable, Path], Written]
WRITERS = [
    ("net.pt2", torch_program.write),
    pytest.param("net.onnx", onnx_file.write, marks=pytest.mark.slow),
]


ANALYSIS = resnet_spec.analyze({"spec": 1, "input": "3x6x6", "stem": {"relu": "relu"}})


class DiffersWhenExported(nn.Module):
    """Doubles its input, but only in the module: a compiler that is wrong."""

    def forward(self, x: Tensor) -> Tensor:
        return x if torch.compiler.is_exporting() else x * 2


class DependsOnData(nn.Module):
    """What runs depends on the values of the input, which a graph cannot express."""

    def forward(self, x: Tensor) -> Tensor:
        return x if x.sum() > 0 else -x


def exportable(middle: nn.Module) -> Exportable:
    """A network of three layers, of which the second one is `middle`."""
    torch.manual_seed(0)
    module = nn.Sequential()
    module.add_module("conv", nn.Conv2d(3, 4, 3))
    module.add_module("layer\n1", middle)
    module.add_module("relu", nn.ReLU())
    layers = (("conv", "conv2d"), ("layer\n1", "special"), ("relu", "relu"))
    size = (6, 6)
    return Exportable(
        "n", module.eval(), 3, size, None, (), layers, None, None, 1e-4, {"resnet_spec.name": "n"}, ANALYSIS, False
    )


@pytest.mark.parametrize(("name", "write"), WRITERS)
def test_the_first_layer_that_differs_is_named(name: str, write: Write, tmp_path: Path) -> None:
    with pytest.raises(SpecError) as raised:
        write(exportable(DiffersWhenExported()), tmp_path / name)
    (found,) = raised.value.diagnostics
    assert found.code == "export-differs"
    assert found.message.startswith(f"{name}, run on a batch of 1 at 6x6 pixels, does not return what the module returns")
    assert found.notes == ("the first layer that differs is layer\\n1 (special)",)


def test_the_layer_that_cannot_be_exported_is_named(tmp_path: Path) -> None:
    with pytest.raises(SpecError) as raised:
        torch_program.write(exportable(DependsOnData()), tmp_path / "net.pt2")
    (found,) = raised.value.diagnostics
    assert found.code == "export-refused"
    assert found.message.startswith("net.pt2: the layer layer\\n1 (special) cannot be exported: ")
    assert "\n" not in found.message
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_fails_where_the_module_does_not_is_refused() -> None:
    def run(x: Tensor) -> dict[str, Tensor]:
        if x.shape[0] == 5:
            raise RuntimeError("\n  no batch\x1b of 5\nmore")
        return given.name_outputs(given.module(x))

    def convert(each: Exportable) -> Runner:
        raise NotImplementedError

    given = exportable(nn.Identity())
    with pytest.raises(SpecError) as raised:
        compare(given, run, "net.x", convert)
    (found,) = raised.value.diagnostics
    assert found.code == "export-differs"
    assert found.message == ("net.x, run on a batch of 5 at 6x6 pixels, fails where the module does not: no batch\\x1b of 5")


def test_an_error_of_the_onnx_exporter_is_that_of_its_cause() -> None:
    with pytest.raises(OnnxExporterError) as raised:
        raise OnnxExporterError("step 1 of 3 failed") from ValueError("\n  could not guard on x\nmore")
    assert first_line(raised.value) == "could not guard on x"
    assert first_line(RuntimeError("a" * 999)) == "a" * 200
    assert first_line(KeyError()) == "KeyError"


def test_the_difference_is_relative_to_the_largest_value_of_each_output() -> None:
    wanted = {"a": torch.tensor([100.0, 1.0]), "b": torch.tensor([0.01])}
    assert measure(wanted, {"a": torch.tensor([100.0, 2.0]), "b": torch.tensor([0.01])}) == pytest.approx(0.01)
    assert measure(wanted, {"a": torch.tensor([100.0, 1.0]), "b": torch.tensor([0.02])}) == pytest.approx(1.0)
    for other in (torch.tensor([[0.01]]), torch.tensor([float("nan")]), torch.tensor([float("inf")])):
        assert measure(wanted, {"a": wanted["a"], "b": other}) == float("inf")
    assert measure(wanted, {"a": wanted["a"]}) == float("inf")
    assert measure({"a": torch.zeros(2)}, {"a": torch.zeros(2)}) == 0
    assert measure({"a": torch.zeros(2)}, {"a": torch.full((2,), 1e-30)}) == float("inf")
