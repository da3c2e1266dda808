"""Some networks of other people at several sizes: the same bits in evaluation, in training and in gradients, and their figures.

The references are torchvision's and timm's own modules, and modules that are written by hand here. `test_table.py` has all.
"""

from __future__ import annotations

from collections.abc import Mapping

import pytest
import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

import resnet_spec
from resnet_spec.outputs.torch_module import measure_shapes
from tests.measure import owned
from tests.networks.references import draw_state, named_outputs, references, run, shapes_of_state

pytestmark = [pytest.mark.torch, pytest.mark.slow]

# The sizes of images at which a network is compared: not those of ImageNet, to save time.
SIZES: dict[str, tuple[tuple[int, int], ...]] = {
    "examples/unet": ((64, 32), (16, 48)),
    "examples/resnet50_fpn": ((64, 64), (75, 107)),
    "torchvision/googlenet": ((64, 64), (95, 70)),
    "torchvision/convnext_tiny": ((43, 70),),
    "torchvision/shufflenet_v2_x1_0": ((64, 64),),
    "torchvision/inception_v3": ((299, 299),),
    "torchvision/mobilenet_v3_small": ((64, 64),),
    "timm/res2net50_26w_4s": ((64, 64), (75, 45)),
    "timm/repvgg_a0": ((64, 64),),
    "timm/hrnet_w18_small": ((64, 64), (61, 32), (96, 125)),
    "timm/ghostnet_100": ((64, 64),),
    "timm/gcresnext26ts": ((64, 64),),
    "timm/resnest14d": ((64, 64), (75, 45)),
}
TWINS = {reference.spec: reference for reference in references().values() if reference.spec in SIZES}


def gradients(model: nn.Module, results: dict[str, Tensor]) -> dict[str, Tensor | None]:
    """The gradients of all parameters for a loss that weighs every output value differently."""
    torch.manual_seed(3)
    model.zero_grad()
    loss = sum((result * torch.randn_like(result)).sum() for result in results.values())
    assert isinstance(loss, Tensor)
    loss.backward()  # type: ignore[no-untyped-call]
    return {name: parameter.grad for name, parameter in model.named_parameters()}


def assert_same(
    theirs: Mapping[str, Tensor | None], ours: Mapping[str, Tensor | None], what: str, tolerance: float = 0.0
) -> None:
    assert theirs.keys() == ours.keys(), what
    scale = max(float(value.detach().abs().max()) for value in theirs.values() if value is not None) if tolerance else 0.0
    for name, expected in theirs.items():
        found = ours[name]
        assert expected is not None, f"{what}: {name}"
        assert found is not None, f"{what}: {name}"
        apart = float((expected - found).detach().abs().max())
        assert apart <= tolerance * scale, f"{what}: {name} differs by {apart:g}"


@pytest.mark.filterwarnings("ignore:TF32 acceleration")  # torch's, when oneDNN is turned off
@pytest.mark.parametrize("name", TWINS)
def test_keys_outputs_and_gradients_are_those_of_the_reference(name: str) -> None:
    twin = TWINS[name]
    torch.manual_seed(0)
    theirs = twin.make()
    draw_state(theirs)
    ours = resnet_spec.build(name, initialize=False)
    assert shapes_of_state(ours) == shapes_of_state(theirs)
    ours.load_state_dict(theirs.state_dict(), strict=True)
    if twin.tolerance:
        theirs, ours = theirs.double(), ours.double()
    with torch.backends.mkldnn.flags(enabled=twin.onednn):
        for size in SIZES[name]:
            torch.manual_seed(1)
            x = torch.randn(2, 3, *size, dtype=next(theirs.parameters()).dtype)
            for training in (False, True):
                where = f"{size}, training={training}"
                expected, found = (run(model, x, twin.outputs, training) for model in (theirs, ours))
                assert_same(expected, found, f"outputs at {where}", twin.tolerance)
                if training:
                    both = gradients(theirs, expected), gradients(ours, found)
                    assert_same(*both, f"gradients at {where}", twin.tolerance)
    assert_same(theirs.state_dict(), ours.state_dict(), "statistics after training", twin.tolerance)


def test_a_convnext_with_onednn_differs_by_the_rounding_of_gelu() -> None:
    """In the reference, the input of GELU is a contiguous (N, H, W, C), for which torch calls oneDNN; here it is a view."""
    torch.manual_seed(0)
    theirs = TWINS["torchvision/convnext_tiny"].make().eval()
    draw_state(theirs)
    ours = resnet_spec.build("torchvision/convnext_tiny", initialize=False).eval()
    ours.load_state_dict(theirs.state_dict(), strict=True)
    with torch.no_grad():
        expected, found = (model(torch.randn(2, 3, 64, 64, generator=torch.manual_seed(1))) for model in (theirs, ours))
    assert (expected - found).abs().max() <= 1e-6 * expected.abs().max()


@pytest.mark.parametrize("name", TWINS)
def test_the_figures_of_a_spec_are_those_of_the_reference(name: str) -> None:
    """Parameters and buffers that it owns, and multiply-adds that torch counts in it; the smallest image to train on."""
    twin, analysis = TWINS[name], resnet_spec.analyze(name)
    expect = analysis.spec.expect
    assert expect is not None
    theirs = twin.make().to("meta").train()
    names = twin.outputs
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        results = named_outputs(theirs(torch.empty(2, *analysis.input, device="meta")), names)
    shapes = {each: tuple(result.shape[1:]) for each, result in results.items()}
    assert expect.output == next(iter(shapes.values()))
    assert len(shapes) == 1 or {each: shape for each, (shape, _) in expect.outputs.items()} == shapes
    found = dict(zip(("params", "buffers"), owned(theirs), strict=True)) | {
        "macs": counter.get_total_flops() // 4 - twin.products
    }
    assert expect.counts == found
    assert expect.squares is not None
    least, most = expect.squares
    assert most is None
    theirs(torch.empty(2, 3, least, least, device="meta"))
    if least > 1:
        with pytest.raises(RuntimeError):
            theirs(torch.empty(2, 3, least - 1, least - 1, device="meta"))


@pytest.mark.parametrize("name", TWINS)
def test_every_layer_has_the_shape_that_torch_gives(name: str) -> None:
    analysis = resnet_spec.analyze(name)
    shapes, reason = measure_shapes(resnet_spec.build(analysis, device="meta"), (2, *analysis.input))
    assert reason is None
    found = {node.name: shapes.get(node.name) for node in analysis.graph.nodes if not node.op.own_tensor}
    assert found == {node.name: (2, *node.shape) for node in analysis.graph.nodes if not node.op.own_tensor}


@pytest.mark.parametrize("name", TWINS)
def test_the_initial_weights_have_finite_outputs(name: str) -> None:
    model = resnet_spec.build(name).eval()
    with torch.no_grad():
        results = named_outputs(model(torch.randn(1, 3, *SIZES[name][0])), ())
    assert all(torch.isfinite(result).all() and result.std() > 0 for result in results.values())


@pytest.mark.parametrize(
    ("name", "described"),
    [
        ("examples/unet", "height and width of 16 or more, multiples of 16 pixels"),
        ("timm/hrnet_w18_small", "height and width of 29 or more, remainder 0, 29, 30, 31 by 32 pixels"),
    ],
)
def test_the_sizes_that_are_accepted_are_those_of_the_reference(name: str, described: str) -> None:
    accepted = resnet_spec.analyze(name).accepted
    assert accepted.describe() == described
    theirs = TWINS[name].make().to("meta").eval()
    for height, width in (*((n, n) for n in range(15, 34)), (32, 48), (48, 32), (64, 29), (61, 96), (24, 32)):
        try:
            theirs(torch.empty(1, 3, height, width, device="meta"))
        except RuntimeError:
            assert (height, width) not in accepted
        else:
            assert (height, width) in accepted
