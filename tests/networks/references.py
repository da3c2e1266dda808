"""The reference of each shipped network of other people: torchvision's or timm's own module, or one that is written by hand.

A row of the registry is called as the reference is: `torchvision.resnet50` and `timm.resnet50` are two references of one spec.
Networks of `specs/torchvision/` and `specs/timm/` are in it by their names; others are added to `OTHERS`, and what is special
about one to `SPECIAL`. Those of papers on CIFAR and MNIST have modules written by hand after the paper and the source that the
spec names (`cifar.wrn_16_4`, `cifar.resnet20`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from resnet_spec._system.torchvision_import import import_torchvision
from resnet_spec.language.library import shipped_names
from tests.networks import REFERENCED
from tests.networks.handwritten import UNet
from tests.networks.small_images import CIFAR_RESNETS, NETWORKS


@dataclass(frozen=True)
class Reference:
    """How the reference of a spec is made, and how the two are compared.

    `outputs` are the names of its outputs in training, if it returns a tuple. `onednn`: whether torch may use oneDNN, whose
    GELU rounds differently from torch's own; torch calls it for values that are contiguous in memory.
    `tolerance`: where it sums in another order, how far apart the two may be in float64, relative to the largest value.
    `products`: multiply-adds of its products of matrices, where these are a multiplication and a sum in the spec.
    """

    spec: str
    make: Callable[[], nn.Module]
    outputs: tuple[str, ...] = ()
    onednn: bool = True
    tolerance: float = 0.0
    products: int = 0


class _Undrawn(TorchFunctionMode):
    """Leaves out the initialization of weights, which takes most of the time; with `meta`, new layers take no memory either.

    What is computed for the structure of a network, and constants, are as without it.
    """

    def __init__(self, meta: bool = False) -> None:
        super().__init__()
        self.meta = meta

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = dict(kwargs or {})
        if self.meta and func in (torch.empty, torch.zeros, torch.ones) and kwargs.get("device") is None:
            kwargs["device"] = "meta"
        if func in (Tensor.normal_, Tensor.uniform_) or (func in _INITIALIZING and args[0].is_meta):
            return args[0]
        return func(*args, **kwargs)


_INITIALIZING = (Tensor.fill_, Tensor.zero_, Tensor.clamp_, Tensor.erfinv_, Tensor.mul_)


def make_undrawn(reference: Reference) -> nn.Module:
    """The reference with arbitrary weights, to be replaced."""
    with _Undrawn():
        return reference.make()


def make_on_meta(reference: Reference) -> nn.Module:
    """The reference without memory for its tensors."""
    with _Undrawn(meta=True):
        return reference.make().to("meta")


def torchvision_model(name: str, **arguments: Any) -> Callable[[], nn.Module]:
    def make() -> nn.Module:
        import_torchvision()
        from torchvision import models

        model: nn.Module = models.get_model(name, weights=None, **arguments)
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


MAKERS: dict[str, Callable[..., Callable[[], nn.Module]]] = {"torchvision": torchvision_model, "timm": timm_model}
TORCHVISION_RESNETS = ("resnet18", "resnet34", "resnet50", "resnet101", "resnet152")
IN_BOTH = (  # networks that torchvision and timm have with the same keys, which are one spec
    *TORCHVISION_RESNETS,
    "torchvision/resnext50_32x4d",
    "torchvision/resnext101_32x8d",
    "torchvision/resnext101_64x4d",
    "torchvision/wide_resnet50_2",
    "torchvision/wide_resnet101_2",
)
WITH_HEADS: dict[str, Any] = {"aux_logits": True, "transform_input": False, "init_weights": False}
SPECIAL: dict[str, dict[str, Any]] = {
    "torchvision.googlenet": {"make": torchvision_model("googlenet", **WITH_HEADS), "outputs": ("logits", "aux2", "aux1")},
    "torchvision.inception_v3": {"make": torchvision_model("inception_v3", **WITH_HEADS), "outputs": ("logits", "aux")},
    "timm.gcresnext26ts": {
        "tolerance": 1e-13,  # of the mean of pixels with weights, which is a product of matrices in the reference
        "products": 2 * sum(width * (256 // stride) ** 2 for width, stride in ((64, 4), (128, 8), (256, 16), (512, 32))),
    },
    **{f"torchvision.convnext_{size}": {"onednn": False} for size in ("tiny", "small", "base", "large")},
}
OTHERS: dict[str, Reference] = {
    "tests.unet": Reference("examples/unet", UNet),
    "torchvision.resnet50_fpn": Reference("examples/resnet50_fpn", resnet50_fpn),
    **{name.replace("/", "."): Reference(name, make) for name, make in NETWORKS.items()},
    **{f"cifar.{name.removeprefix('cifar_')}": Reference(name, make) for name, make in CIFAR_RESNETS.items()},
}


def references() -> dict[str, Reference]:
    """All references of shipped networks, by their names."""
    shipped = [name for name in shipped_names() if name.startswith(REFERENCED)]
    rows = {name.replace("/", "."): name for name in shipped if name.partition("/")[0] in MAKERS}
    rows |= {f"torchvision.{name}": name for name in TORCHVISION_RESNETS}
    rows |= {f"timm.{name.rpartition('/')[2]}": name for name in IN_BOTH}
    found = {}
    for row, spec in sorted(rows.items()):
        library, _, name = row.partition(".")
        found[row] = replace(Reference(spec, MAKERS[library](name)), **SPECIAL.get(row, {}))
    return OTHERS | found


def draw_state(model: nn.Module) -> None:
    """Draw all parameters and statistics anew, so that none is zero, one, or so small that its branch would not be seen.

    Buffers that are no part of the state, such as the filter of a blur, are constants. Weights of a thousand layers and more
    are smaller: sums that double in each block would not be finite in evaluation.
    """
    stored = model.state_dict()
    gain = 0.3 if len(stored) > 5000 else 1.0
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim > 1 and parameter[0].numel() > 1:
                parameter.normal_(std=gain * (2 / parameter[0].numel()) ** 0.5)
            else:
                parameter.uniform_(0.5, 1.5)
        for name, buffer in model.named_buffers():
            if name in stored and buffer.is_floating_point():
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
    """The outputs of a network, with the same random numbers for its dropouts in each call."""
    torch.manual_seed(2)
    return named_outputs(model.train(training)(x), names)


def shapes_of_state(model: nn.Module) -> dict[str, tuple[int, ...]]:
    return {key: tuple(tensor.shape) for key, tensor in model.state_dict().items()}
