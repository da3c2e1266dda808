"""The module of a graph: how it prints, copies, compiles, exports, and that it computes nothing but what the graph says."""

from __future__ import annotations

import copy
import io
import pickle
import textwrap
import weakref
from collections.abc import Callable
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from torch import Tensor, nn

import resnet_spec
from resnet_spec._system.torchvision_import import import_torchvision
from resnet_spec.diagnostics import SpecError
from resnet_spec.outputs.torch_module import Block, Network, build_module, measure_shapes
from tests.interpreter import interpret
from tests.measure import CountOperators, measure
from tests.random_specs import Spec, random_specs

pytestmark = pytest.mark.torch

# Two blocks with every way in which values meet, on one page.
SMALL = """
spec: 1
name: small_net
input: 3x12x12
classes: 4
blocks:
  mixed:
    args: [width]
    defaults: {stride: 1}
    out_channels: width
    branch:
      conv1: {op: conv2d, out_channels: width // 2, kernel_size: 3, stride: stride, padding: 1}
      bn1: norm
      act1: act
      conv2: {op: conv2d, out_channels: width // 2, kernel_size: 3, padding: 1, from: bn1}
      both: {op: concat, from: [act1, conv2]}
      se: {op: squeeze_excite, reduction: 2}
      ln: layer_norm
      drop: {op: drop_path, p: 0.0}
    shortcut:
      down: {op: projection, if: stride != 1 or in_channels != width, width: width, stride: stride}
    join: add
    after: {act2: silu}
stem:
  conv: {op: sequential, ops: {0: {op: conv2d, out_channels: 8, kernel_size: 3, bias: false}, 1: norm, 2: relu}}
  blur: {op: blur_pool2d, stride: 1}
  pad: {op: pad, padding: [1, 0, 0, 1]}
block: mixed
stages:
  layer1: {width: 8, depth: 2}
  layer2: {width: 16, stride: 2}
head:
  pool: {op: adaptive_avg_pool2d, output_size: 1}
  flatten: flatten
  fc: {op: linear, out_features: classes}
"""


@pytest.fixture
def small() -> Network:
    torch.manual_seed(0)
    return resnet_spec.build(SMALL).eval()


@pytest.fixture
def images() -> Tensor:
    return torch.randn(2, 3, 12, 12, generator=torch.Generator().manual_seed(1))


# --- what it computes -------------------------------------------------------------------------------------------------------


def keep(found: dict[str, Tensor], name: str) -> Callable[[nn.Module, Any, Tensor], None]:
    """A hook that keeps a copy of what a layer gives, which may be written over later."""

    def hook(layer: nn.Module, args: Any, output: Tensor) -> None:
        found[name] = output.clone()

    return hook


@settings(max_examples=100)
@given(random_specs(6, 12))
def test_every_layer_gives_what_the_graph_says(spec: Spec) -> None:
    """Values, not shapes: each module's output beside that of a naive run of the graph, node by node."""
    try:
        analysis = resnet_spec.analyze(spec)
    except SpecError:
        return
    torch.manual_seed(0)
    network = resnet_spec.build(analysis).double().eval()
    x = torch.randn(2, *analysis.input, dtype=torch.float64)
    found: dict[str, Tensor] = {}
    skipped = analysis.graph.skipped_in_evaluation()
    layers = {at: node for at, node in enumerate(analysis.graph.nodes) if not node.op.own_tensor and at not in skipped}
    for node in layers.values():
        network.get_submodule(node.name).register_forward_hook(keep(found, node.name))
    with torch.no_grad():
        network(x.clone())
        expected = interpret(analysis.graph, network, x)
    assert list(found) == [node.name for node in layers.values()]
    for node, value in ((node, expected[at]) for at, node in layers.items()):
        torch.testing.assert_close(found[node.name], value, msg=f"{node.name} gives other values than {node.op} should")


def test_a_block_that_hands_its_input_on_runs_inside_a_block() -> None:
    """What it computes is not used, but it is counted, so it has to run."""
    empty = {"branch": {"nothing": {"op": "relu", "if": False}}}
    inner = {"branch": {"conv": {"op": "conv2d", "out_channels": 2, "kernel_size": 1}, "end": {"op": "empty", "from": "input"}}}
    outer = {"branch": {"a": "relu", "b": "inner", "c": "sigmoid"}, "shortcut": {"d": "inner"}, "join": "add"}
    spec = {"spec": 1, "input": "2x4x4", "blocks": {"empty": empty, "inner": inner, "outer": outer}, "stem": {"outer": "outer"}}
    analysis = resnet_spec.analyze(spec)
    found = measure(resnet_spec.build(analysis, device="meta"), (2, 4, 4))
    assert found.macs == analysis.total.macs == 2 * 2 * 2 * 16
    network = resnet_spec.build(analysis)
    x = torch.randn(1, 2, 4, 4)
    torch.testing.assert_close(network(x), x + torch.sigmoid(torch.relu(x)))


@pytest.mark.parametrize("training", [False, True])
def test_resnet18_runs_the_operators_of_torchvisions_and_no_other(training: bool) -> None:
    import_torchvision()
    from torchvision.models import resnet18

    x = torch.randn(2, 3, 64, 64)
    counts = []
    for network in (resnet_spec.build("resnet18"), resnet18()):
        network.train(training)
        with CountOperators() as mode, torch.no_grad():
            network(x)
        counts.append(mode.counts)
    assert counts[0] == counts[1]
    assert counts[0]["aten.convolution.default"] == 20


def test_one_forward_keeps_no_more_than_it_needs(images: Tensor) -> None:
    """Registers are used again: a chain of blocks holds two values, however long it is."""
    ops = {f"conv{n}": {"op": "conv2d", "out_channels": 2, "kernel_size": 1} for n in range(6)}
    block = {"branch": ops, "shortcut": {"down": "identity"}, "join": "add"}
    spec = {"spec": 1, "input": "2x4x4", "blocks": {"own": block}, "stem": {"own": "own"}}
    own = resnet_spec.build(spec, device="meta").get_submodule("own")
    assert isinstance(own, Block)
    assert own._plan.registers == 2


# --- how it looks -----------------------------------------------------------------------------------------------------------


def test_it_prints_like_a_network_written_by_hand(small: Network) -> None:
    lines = str(small).splitlines()
    assert lines[0] == "SmallNet("
    assert lines[1] == "  (conv): Sequential("
    assert lines[2] == "    (0): Conv2d(3, 8, kernel_size=(3, 3), stride=(1, 1), bias=False)"
    assert lines[4] == "    (2): ReLU(inplace=True)"
    assert lines[7] == "  (pad): Pad((1, 0, 0, 1))"
    assert lines[8:10] == ["  (layer1): Sequential(", "    (0): Mixed("]
    named = [line.strip() for line in lines if "SqueezeExcite" in line or "Projection" in line]
    assert named == ["(se): SqueezeExcite(", "(se): SqueezeExcite(", "(se): SqueezeExcite(", "(down): Projection("]
    assert lines[-2:] == ["  (fc): Linear(in_features=16, out_features=4, bias=True)", ")"]


def test_names_are_those_of_the_spec_in_its_order(small: Network) -> None:
    keys = list(small.state_dict())
    assert keys[:6] == [
        "conv.0.weight",
        *(f"conv.1.{name}" for name in ("weight", "bias", "running_mean", "running_var", "num_batches_tracked")),
    ]
    block = [key.removeprefix("layer2.0.") for key in keys if key.startswith("layer2.0.") and key.endswith("weight")]
    branch = ["conv1.weight", "bn1.weight", "conv2.weight", "se.fc1.weight", "se.fc2.weight", "ln.weight"]
    assert block == [*branch, "down.0.weight", "down.1.weight"]
    assert keys[-2:] == ["fc.weight", "fc.bias"]
    assert not [key for key in keys if "blur" in key]  # its filter is no weight


@settings(max_examples=100)
@given(random_specs())
def test_the_state_dict_holds_the_tensors_of_the_graph_in_order(spec: Spec) -> None:
    try:
        graph = resnet_spec.analyze(spec).graph
    except SpecError:
        return
    network = build_module(graph, "meta")
    expected = {
        f"{node.name}.{tensor.name}".rstrip("."): tensor.shape
        for node in graph.nodes
        for tensor in node.op.tensors()
        if tensor.persistent
    }
    assert {key: tuple(tensor.shape) for key, tensor in network.state_dict().items()} == expected
    names = [node.name for node in graph.nodes if not node.op.own_tensor]
    modules = [name for name, _ in network.named_modules() if name in set(names)]
    in_groups = "grouped" in spec["stem"]  # whose modules are next to each other, wherever they run
    assert sorted(modules) == sorted(names) if in_groups else modules == names


# --- what torch does with modules -------------------------------------------------------------------------------------------


def test_a_deep_copy_is_equal_and_apart(small: Network, images: Tensor) -> None:
    twin = copy.deepcopy(small)
    expected = small(images)
    assert torch.equal(twin(images), expected)
    with torch.no_grad():
        for parameter in twin.parameters():
            parameter.zero_()
    assert torch.equal(small(images), expected)
    assert str(twin) == str(small)


def test_a_pickled_module_is_the_same_module(small: Network, images: Tensor) -> None:
    twin = pickle.loads(pickle.dumps(small))
    assert str(twin) == str(small)
    assert torch.equal(twin(images), small(images))
    file = io.BytesIO()
    torch.save(small, file)
    file.seek(0)
    assert torch.equal(torch.load(file, weights_only=False)(images), small(images))


@pytest.mark.parametrize("backend", ["eager", "aot_eager"])
def test_it_compiles_into_one_graph(backend: str, images: Tensor) -> None:
    torch.manual_seed(0)
    network = resnet_spec.build(SMALL)
    twin = copy.deepcopy(network)
    torch.compiler.reset()
    results = []
    for module, run in ((network, torch.compile(network, backend=backend, fullgraph=True)), (twin, twin)):
        output = run(images)
        output.square().sum().backward()
        results.append([output, *[parameter.grad for parameter in module.parameters()], *module.buffers()])
    torch.testing.assert_close(*results)


def test_it_is_traced_symbolically(small: Network, images: Tensor) -> None:
    traced = torch.fx.symbolic_trace(small)
    assert torch.equal(traced(images), small(images))


def test_it_is_exported(small: Network, images: Tensor) -> None:
    exported = torch.export.export(small, (images,))
    torch.testing.assert_close(exported.module()(images), small(images))


def test_it_is_exported_for_any_batch(small: Network, images: Tensor) -> None:
    exported = torch.export.export(small, (images,), dynamic_shapes=({0: torch.export.Dim("batch")},)).module()
    more = torch.randn(5, 3, 12, 12)
    torch.testing.assert_close(exported(more), small(more))


def test_torchvision_extracts_its_features() -> None:
    import_torchvision()
    from torchvision.models import resnet18
    from torchvision.models.feature_extraction import create_feature_extractor

    ours, theirs = resnet_spec.build("resnet18").eval(), resnet18().eval()
    theirs.load_state_dict(ours.state_dict())
    x = torch.randn(1, 3, 64, 64)
    nodes = {"layer2": "middle", "layer4.0.bn1": "norm", "avgpool": "pooled"}
    features = [create_feature_extractor(network, return_nodes=nodes)(x) for network in (ours, theirs)]
    assert features[0]["middle"].shape == (1, 128, 8, 8)
    for name in nodes.values():
        assert torch.equal(features[0][name], features[1][name])


@pytest.mark.parametrize("spec", ["resnet18", "cifar_resnet20", SMALL])
def test_channels_last_is_kept_and_changes_nothing(spec: str) -> None:
    torch.manual_seed(0)
    analysis = resnet_spec.analyze(spec, set=["head="])  # an image leaves
    network = resnet_spec.build(analysis).eval()
    x = torch.randn(2, 3, 64, 64)
    with torch.no_grad():
        expected = network(x)
        output = network.to(memory_format=torch.channels_last)(x.to(memory_format=torch.channels_last))  # type: ignore[call-overload]
    assert output.is_contiguous(memory_format=torch.channels_last)
    assert not output.is_contiguous()
    torch.testing.assert_close(output, expected, atol=1e-4, rtol=1e-4)


def test_a_part_is_replaced_as_in_any_module(small: Network, images: Tensor) -> None:
    small.fc = nn.Linear(16, 7)
    assert small(images).shape == (2, 7)
    small.set_submodule("layer1.0.act2", nn.Identity())
    small.set_submodule("layer2.0.join", Halves())
    assert small(images).shape == (2, 7)
    del small.layer2
    small.fc = nn.Identity()
    assert small(images).shape == (2, 8)


class Halves(nn.Module):
    def forward(self, first: Tensor, second: Tensor) -> Tensor:
        return (first + second) / 2


def test_only_the_rest_is_trained_when_parts_are_frozen(images: Tensor) -> None:
    network = resnet_spec.build(SMALL)
    network.requires_grad_(False)
    network.fc.requires_grad_(True)
    network(images).sum().backward()
    assert [name for name, parameter in network.named_parameters() if parameter.grad is not None] == ["fc.weight", "fc.bias"]


def test_a_step_of_training_makes_the_loss_smaller(images: Tensor) -> None:
    torch.manual_seed(0)
    network = resnet_spec.build(SMALL)
    optimizer = torch.optim.SGD(network.parameters(), lr=0.01)
    losses = []
    for _ in range(6):
        loss = nn.functional.cross_entropy(network(images), torch.tensor([0, 3]))
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < losses[0]


def test_half_precision_runs_through(small: Network, images: Tensor) -> None:
    expected = small(images)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        output = small(images)
    assert output.dtype == torch.bfloat16
    torch.testing.assert_close(output.float(), expected, atol=0.1, rtol=0.1)
    assert small.to(torch.bfloat16)(images.to(torch.bfloat16)).dtype == torch.bfloat16


# --- the meta device, and running for shapes --------------------------------------------------------------------------------


def test_on_the_meta_device_nothing_is_allocated() -> None:
    network = resnet_spec.build("resnet152", device="meta")
    assert {tensor.device.type for tensor in (*network.parameters(), *network.buffers())} == {"meta"}
    assert network(torch.empty(2, 3, 224, 224, device="meta")).shape == (2, 1000)


def test_a_network_from_the_meta_device_is_filled_by_a_checkpoint(small: Network, images: Tensor) -> None:
    twin = resnet_spec.build(SMALL, device="meta").eval()
    twin.load_state_dict(small.state_dict(), assign=True)
    twin.blur = small.blur  # its filter is no weight, so no checkpoint holds it
    assert torch.equal(twin(images), small(images))


def test_measured_shapes_report_why_torch_stopped() -> None:
    network = resnet_spec.build("variants/resnet34_avgpool7", device="meta").eval()
    shapes, failure = measure_shapes(network, (1, 3, 224, 224))
    assert failure is None
    assert shapes["layer4"] == (1, 512, 7, 7)
    shapes, failure = measure_shapes(network, (1, 3, 64, 64))
    assert shapes["layer4"] == (1, 512, 2, 2)
    assert "avgpool" not in shapes
    assert failure is not None
    assert "Output size is too small" in failure


def test_measured_shapes_report_so_too_where_torch_raises_a_value_error() -> None:
    spec: dict[str, Any] = {"spec": 1, "input": "2x4x4", "stem": {"bn": {"op": "batch_norm", "track_running_stats": False}}}
    network = resnet_spec.build(spec, device="meta").eval()
    assert measure_shapes(network, (1, 2, 4, 4)) == ({"bn": (1, 2, 4, 4), "": (1, 2, 4, 4)}, None)
    shapes, failure = measure_shapes(network, (1, 2, 1, 1))
    assert shapes == {}
    assert failure is not None
    assert "more than 1 value per channel" in failure


def test_a_branched_network_frees_values_that_nothing_needs_any_more() -> None:
    """The last layer runs when the two values before the sum are gone; `c` is the memory of the sum itself."""
    spec = """
    spec: 1
    input: 2x4x4
    stem:
      a: {op: conv2d, out_channels: 2, kernel_size: 1}
      b: {op: conv2d, from: a, out_channels: 2, kernel_size: 1}
      c: {op: conv2d, from: a, out_channels: 2, kernel_size: 1}
      sum: {op: add, from: [b, c]}
      unread: {op: conv2d, out_channels: 2, kernel_size: 1}
      last: {op: conv2d, from: sum, out_channels: 2, kernel_size: 1}
    outputs: {last: last, aux: {from: unread, training_only: true}}
    """
    network = resnet_spec.build(textwrap.dedent(spec)).eval()
    alive: list[weakref.ref[Tensor]] = []
    for name in "ab":
        network.get_submodule(name).register_forward_hook(lambda module, args, output: alive.append(weakref.ref(output)))
    seen: list[int] = []
    network.get_submodule("last").register_forward_pre_hook(
        lambda module, args: seen.append(sum(each() is not None for each in alive))
    )
    with torch.no_grad():
        network(torch.zeros(1, 2, 4, 4))
    assert seen == [0]
