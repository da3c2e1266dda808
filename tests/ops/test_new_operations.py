"""Operations that the package does not have, defined here: everything derived from a definition is right without further code.

One enlarges, one mixes channels, one has two inputs. Shapes, accepted sizes, receptive fields, memory, the schema, diagrams and
the module follow from what they declare, and are compared with torch.
"""

from __future__ import annotations

import pickle
from dataclasses import dataclass
from fractions import Fraction
from math import floor
from typing import ClassVar

import jsonschema
import pytest
import torch
from torch import Tensor, nn

import resnet_spec
from resnet_spec.analysis.memory import measure as memory
from resnet_spec.language import schemas, validation
from resnet_spec.language.library import library_block_names
from resnet_spec.language.schemas import schema_document
from resnet_spec.ops import OPERATIONS, Problem, Reads, Saved, Shape
from resnet_spec.ops.definition import AxisMap, Combination, Dependence, Family, Operation, needs_image, spec_field
from resnet_spec.ops.schema import complete
from tests.analysis.test_memory import peak_of_storages, saved_by_autograd
from tests.analysis.test_receptive_field import compare_with_gradients, open_everything
from tests.measure import REFUSALS, measure

pytestmark = pytest.mark.torch


@dataclass(frozen=True, kw_only=True, slots=True)
class Enlarge(Operation):
    """nearest neighbors, `numerator / denominator` times as many pixels (torch.nn.Upsample)"""

    name: ClassVar[str] = "enlarge"
    family: ClassVar[Family] = "reshaping"
    depends: ClassVar[Dependence] = "window"

    numerator: int = spec_field("int", "pixels that leave", 2, least=1, examples=(3,))
    denominator: int = spec_field("int", "for how many that enter", 1, least=1, examples=(2,))

    def shape(self, *inputs: Shape) -> Shape | Problem:
        (x,) = inputs
        return needs_image(self.name, x) or (x[0], *(n * self.numerator // self.denominator for n in x[1:]))

    def along(self, axis: int) -> AxisMap:
        return AxisMap(lambda n: n * self.numerator // self.denominator, self.denominator, self.numerator)

    def reads(self, axis: int) -> Reads:
        return Reads(1, Fraction(self.denominator, self.numerator), 0)

    def saved(self, x: Shape, output: Shape) -> Saved:
        return Saved()

    def layer(self, inplace: bool = False) -> nn.Module:
        return nn.Upsample(scale_factor=self.numerator / self.denominator)


@dataclass(frozen=True, kw_only=True, slots=True)
class ChannelSoftmax(Operation):
    """softmax over the channels of each pixel (torch.nn.Softmax2d)"""

    name: ClassVar[str] = "channel_softmax"
    family: ClassVar[Family] = "activation"
    depends: ClassVar[Dependence] = "channels"
    torch: ClassVar[str] = "Softmax2d"
    keeps_output: ClassVar[bool] = True

    def saved(self, x: Shape, output: Shape) -> Saved:
        return Saved(output=True)


class Average(Operation):
    """mean of two values of equal shape"""

    __slots__ = ()
    name: ClassVar[str] = "average"
    family: ClassVar[Family] = "join"
    depends: ClassVar[Dependence] = "pointwise"
    joins: ClassVar[Combination | None] = "sum"
    symbol: ClassVar[str] = "avg"

    def shape(self, *inputs: Shape) -> Shape | Problem:
        return inputs[0] if inputs[0] == inputs[1] else Problem("shape-mismatch", "average needs equal shapes")

    def saved(self, x: Shape, output: Shape) -> Saved:
        return Saved()

    def layer(self, inplace: bool = False) -> nn.Module:
        return AverageLayer()


class AverageLayer(nn.Module):
    def forward(self, first: Tensor, second: Tensor) -> Tensor:
        if first.shape != second.shape:  # torch would broadcast one pixel
            raise RuntimeError("values of different shapes")
        return torch.lerp(first, second, 0.5)  # one operator, one value


@pytest.fixture(autouse=True)
def _defined_for_this_test(monkeypatch: pytest.MonkeyPatch) -> None:
    """As after adding them to `ops` and `make schema`."""
    for operation in (Enlarge, ChannelSoftmax, Average):
        monkeypatch.setitem(OPERATIONS, operation.name, operation)
    schema = complete(schema_document(), library_block_names())
    for module, remembered in ((schemas, "operation_names"), (validation, "_validator")):
        monkeypatch.setattr(module, "schema_document", lambda kind="spec": schema)
        monkeypatch.setattr(module, remembered, getattr(module, remembered).__wrapped__)


HOURGLASS = """
spec: 1
name: hourglass
input: 3x24x20
blocks:
  hourglass:
    args: [width]
    branch:
      down: {op: conv2d, out_channels: width, kernel_size: 3, stride: 2, padding: 1}
      relu: act
      up:   enlarge
      mix:  {op: conv2d, out_channels: in_channels, kernel_size: 3, padding: 1}
    shortcut:
      gate: channel_softmax
    join: average
stages:
  a:    {block: hourglass, width: 4}
  pool: {op: max_pool2d, kernel_size: 2}
  b:    {block: hourglass, width: 5}
"""
RATIONAL = """
spec: 1
input: 2x9x12
stages:
  up:   {op: enlarge, numerator: 3, denominator: 2}
  conv: {op: conv2d, out_channels: 2, kernel_size: 3, stride: 2, padding: 1}
  more: {op: enlarge, numerator: 5, denominator: 3}
  pool: {op: avg_pool2d, kernel_size: 2, stride: 1}
"""
CLASSIFIER = """
spec: 1
input: 3x12x12
classes: 4
stages:
  down: {op: conv2d, out_channels: 3, kernel_size: 3, stride: 4, padding: 1}
  up:   enlarge
head:
  flat: flatten
  fc:   {op: linear, out_features: classes}
"""
SPECS = {"hourglass": HOURGLASS, "rational": RATIONAL, "classifier": CLASSIFIER}


@pytest.mark.parametrize("name", SPECS)
def test_shapes_and_costs_are_those_of_the_module(name: str) -> None:
    analysis = resnet_spec.analyze(SPECS[name])
    with torch.device("meta"):
        measured = measure(resnet_spec.build(analysis, device="meta").eval(), analysis.input, 2)
    assert {node.name: shape for node, shape in zip(analysis.graph.nodes, analysis.shapes, strict=True)} == {
        name: shape for name, shape in measured.layers.items() if name in {node.name for node in analysis.graph.nodes}
    }
    assert (analysis.total.params, analysis.total.macs) == (measured.params, measured.macs)


@pytest.mark.parametrize("name", SPECS)
def test_accepted_sizes_are_those_on_which_the_module_runs(name: str) -> None:
    analysis = resnet_spec.analyze(SPECS[name])
    assert not analysis.accepted.unsolved
    module = resnet_spec.build(analysis, device="meta").eval()
    for height in range(1, 26):
        for width in (*range(1, 6), 12, 16, 23, 24):
            assert ((height, width) in analysis.accepted) == runs(module, analysis.input[0], height, width), (height, width)


def runs(module: nn.Module, channels: int, height: int, width: int) -> bool:
    try:
        with torch.no_grad():
            module(torch.empty(1, channels, height, width, device="meta"))
    except REFUSALS:
        return False
    return True


@pytest.mark.parametrize("name", ["hourglass", "rational"])
def test_receptive_fields_are_the_support_of_gradients(name: str) -> None:
    analysis = resnet_spec.analyze(SPECS[name])
    model = open_everything(resnet_spec.build(analysis))
    torch.manual_seed(0)
    for parameter in model.parameters():  # small and all different: a softmax of equal or of large values has no gradient
        nn.init.uniform_(parameter, 0.5, 1.5).data.div_(parameter[0].numel())
    assert compare_with_gradients(analysis, model, everywhere=True) > 90


def test_memory_is_what_torch_holds() -> None:
    analysis = resnet_spec.analyze(HOURGLASS)
    module = resnet_spec.build(analysis)
    found = memory(analysis.graph, analysis.input, analysis.shapes, analysis.total, batch=2)
    assert found.saved == saved_by_autograd(module.train(), torch.randn(2, *analysis.input))
    alone = memory(analysis.graph, analysis.input, analysis.shapes, analysis.total)
    assert alone.peak == peak_of_storages(module.eval(), torch.randn(1, *analysis.input))


def test_the_module_computes_what_the_layers_do() -> None:
    module = resnet_spec.build(HOURGLASS).eval()
    again = pickle.loads(pickle.dumps(module))
    x = torch.randn(2, 3, 24, 20)
    expected = x
    for name in ("a", "b"):
        block = module.get_submodule(f"{name}.0")
        down, mix = block.get_submodule("down"), block.get_submodule("mix")
        branch = mix(nn.functional.interpolate(down(expected).relu(), scale_factor=2))
        expected = (branch + expected.softmax(1)) / 2
        expected = nn.functional.max_pool2d(expected, 2) if name == "a" else expected
    torch.testing.assert_close(module(x), expected)
    assert torch.equal(again(x), module(x))


def test_diagrams_show_them_as_their_family() -> None:
    from resnet_spec.compiler import find, sketch
    from resnet_spec.outputs.diagram import Style

    text = resnet_spec.api.draw_picture(sketch(find(HOURGLASS)), Style("op")).dot
    with_pad = HOURGLASS.replace("up:   enlarge", "up: {op: pad, padding: [1, 1, 1, 1]}").replace("stride: 2, ", "")
    known = resnet_spec.api.draw_picture(sketch(find(with_pad.replace("pool: {", "pool: {stride: 2, "))), Style("op")).dot
    assert fill_of(text, "up: enlarge") == fill_of(known, "up: pad")
    assert fill_of(text, "gate: channel_softmax") == fill_of(text, "relu")
    assert fill_of(text, "avg")


def fill_of(dot: str, label: str) -> str:
    """The fill color of the box whose label begins so."""
    (line, *_) = [line for line in dot.splitlines() if f'label="{label}' in line or f"label={label} " in line]
    return line.partition("fillcolor=")[2].split()[0]


def test_the_schema_has_their_fields_and_accepts_a_spec_that_uses_them() -> None:
    schema = complete(schema_document(), library_block_names())
    branch = next(
        each["then"]
        for each in schema["definitions"]["operation"]["allOf"]
        if each["if"]["properties"]["op"]["const"] == "enlarge"
    )
    assert branch["properties"]["numerator"]["default"] == 2
    spec = {"spec": 1, "input": "2x9x12", "stages": {"up": {"op": "enlarge", "numerator": 3, "denominator": 2}}}
    jsonschema.validate(spec, schema)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({**spec, "stages": {"up": {"op": "enlarge", "numeratr": 3}}}, schema)
    with pytest.raises(resnet_spec.SpecError, match="did you mean `numerator`"):
        resnet_spec.analyze({**spec, "stages": {"up": {"op": "enlarge", "numeratr": 3}}})


def test_a_joint_that_does_not_fit_is_reported_as_any_other() -> None:
    with pytest.raises(resnet_spec.SpecError, match="shape-mismatch"):
        resnet_spec.analyze(HOURGLASS.replace("3x24x20", "3x25x20"))


def test_axis_maps_that_break_their_promise_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """A wrong rate would give wrong sizes without a word, so it is an exception where it is composed."""
    monkeypatch.setattr(Enlarge, "along", lambda self, axis: AxisMap(lambda n: n * 2, 1, 1))
    with pytest.raises(ValueError, match="axis map"):
        _ = resnet_spec.analyze(HOURGLASS).accepted


def test_nearest_neighbors_are_read_as_torch_does() -> None:
    for numerator, denominator in ((2, 1), (3, 2), (5, 3), (1, 1)):
        x = torch.arange(30.0)[None, None, None]
        scaled = nn.functional.interpolate(x, scale_factor=(1.0, numerator / denominator))[0, 0, 0]
        by = Enlarge(numerator=numerator, denominator=denominator).reads(1)
        assert [int(value) for value in scaled] == [floor(i * by.step) for i in range(len(scaled))]
