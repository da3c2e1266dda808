"""Shipped networks of other people: the same keys and shapes, and the same bits in evaluation, in training and in gradients.

The references are torchvision's and timm's own modules, and modules that are written by hand here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

import resnet_spec
from resnet_spec._system.torchvision_import import import_torchvision
from resnet_spec.language.library import shipped_names
from resnet_spec.outputs.torch_module import measure_shapes
from tests.measure import owned
from tests.networks import REFERENCED
from tests.networks.handwritten import UNet

pytestmark = [pytest.mark.torch, pytest.mark.slow]

Size = tuple[int, int]


@dataclass(frozen=True)
class Twin:
    """How a reference is made, and the sizes of images at which it is compared: not those of ImageNet, to save time.

    `outputs` are the names of the reference's outputs in training, if it returns a tuple. `onednn`: whether torch may use
    oneDNN, whose GELU rounds differently from torch's own; torch calls it for values that are contiguous in memory.
    `tolerance`: where the reference sums in another order, how far apart they may be in float64, relative to the largest.
    `products`: multiply-adds of the reference's products of matrices, where these are a multiplication and a sum here.
    """

    make: Callable[[], nn.Module]
    sizes: tuple[Size, ...] = ((64, 64),)
    outputs: tuple[str, ...] = ()
    onednn: bool = True
    tolerance: float = 0.0
    products: int = 0


def torchvision_model(name: str, **arguments: Any) -> Callable[[], nn.Module]:
    def make() -> nn.Module:
        import_torchvision()
        from torchvision import models

        model: nn.Module = getattr(models, name)(**arguments)
        return model

    return make


def timm_model(name: str, **arguments: Any) -> Callable[[], nn.Module]:
    def make() -> nn.Module:
        import_torchvision()
        import timm

        model: nn.Module = timm.create_model(name, **arguments)
        return model

    return make


def resnet50_fpn() -> nn.Module:
    import_torchvision()
    from torchvision.models.detection.backbone_utils import resnet_fpn_backbone

    model: nn.Module = resnet_fpn_backbone(
        backbone_name="resnet50", weights=None, norm_layer=nn.BatchNorm2d, trainable_layers=5
    )
    return model


WITH_HEADS: dict[str, Any] = {"aux_logits": True, "transform_input": False, "init_weights": False}
TWINS: dict[str, Twin] = {
    "examples/unet": Twin(UNet, sizes=((64, 32), (16, 48))),
    "examples/resnet50_fpn": Twin(resnet50_fpn, sizes=((64, 64), (75, 107))),
    "torchvision/googlenet": Twin(
        torchvision_model("googlenet", **WITH_HEADS), sizes=((64, 64), (95, 70)), outputs=("logits", "aux2", "aux1")
    ),
    "torchvision/convnext_tiny": Twin(torchvision_model("convnext_tiny"), sizes=((43, 70),), onednn=False),
    "torchvision/shufflenet_v2_x1_0": Twin(torchvision_model("shufflenet_v2_x1_0")),
    "torchvision/inception_v3": Twin(
        torchvision_model("inception_v3", **WITH_HEADS), sizes=((299, 299),), outputs=("logits", "aux")
    ),
    "torchvision/mobilenet_v3_small": Twin(torchvision_model("mobilenet_v3_small")),
    "timm/res2net50_26w_4s": Twin(timm_model("res2net50_26w_4s"), sizes=((64, 64), (75, 45))),
    "timm/repvgg_a0": Twin(timm_model("repvgg_a0")),
    "timm/hrnet_w18_small": Twin(timm_model("hrnet_w18_small"), sizes=((64, 64), (61, 32), (96, 125))),
    "timm/ghostnet_100": Twin(timm_model("ghostnet_100")),
    "timm/gcresnext26ts": Twin(
        timm_model("gcresnext26ts"),
        tolerance=1e-13,  # of the mean of pixels with weights, which is a product of matrices in the reference
        products=2 * sum(width * (256 // stride) ** 2 for width, stride in ((64, 4), (128, 8), (256, 16), (512, 32))),
    ),
    "timm/resnest14d": Twin(timm_model("resnest14d"), sizes=((64, 64), (75, 45))),
}


def draw_state(model: nn.Module) -> None:
    """Draw all parameters and statistics anew, so that none is zero, one, or so small that its branch would not be seen."""
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim > 1 and parameter[0].numel() > 1:
                parameter.normal_(std=(2 / parameter[0].numel()) ** 0.5)
            else:
                parameter.uniform_(0.5, 1.5)
        for buffer in model.buffers():
            if buffer.is_floating_point():
                buffer.uniform_(0.5, 1.5)


def named_outputs(result: object, names: tuple[str, ...]) -> dict[str, Tensor]:
    """What a network returned, by name; a single tensor is called `output`."""
    if isinstance(result, Tensor):
        return {names[0] if names else "output": result}
    if isinstance(result, Mapping):
        return dict(result)
    assert isinstance(result, tuple)
    return dict(zip(names, result, strict=True))


def run(model: nn.Module, x: Tensor, names: tuple[str, ...], training: bool) -> dict[str, Tensor]:
    torch.manual_seed(2)  # of dropout
    return named_outputs(model.train(training)(x), names)


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
    shapes = {key: tensor.shape for key, tensor in theirs.state_dict().items()}
    assert {key: tensor.shape for key, tensor in ours.state_dict().items()} == shapes
    ours.load_state_dict(theirs.state_dict(), strict=True)
    if twin.tolerance:
        theirs, ours = theirs.double(), ours.double()
    with torch.backends.mkldnn.flags(enabled=twin.onednn):
        for size in twin.sizes:
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
        results = named_outputs(model(torch.randn(1, 3, *TWINS[name].sizes[0])), ())
    assert all(torch.isfinite(result).all() and result.std() > 0 for result in results.values())


def test_every_network_of_other_people_is_compared() -> None:
    assert {name for name in shipped_names() if name.startswith(REFERENCED)} == set(TWINS)


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
