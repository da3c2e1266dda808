"""Shows which parts of an image speak for its prediction: Grad-CAM (Selvaraju et al. 2017).

The maps of a layer are weighted by the gradient of the predicted class's output, averaged over the pixels; what of their sum is
above zero speaks for the class. The layer is the last one with maps of more than a pixel, or any other.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812
from numpy.typing import NDArray
from torch import Tensor, nn

from resnet_spec.data.dataset import Pixels
from resnet_spec.data.drawn import encode_png, enlarge
from resnet_spec.diagnostics import ArgumentError, Diagnostic, printable, suggestion
from resnet_spec.training.outputs import main_output

_SIDE = 224  # pixels that the shorter side of an explanation has at least
_OPACITY = 0.65
# matplotlib's `inferno` at five places.
_COLORS = np.array([[0, 0, 4], [87, 16, 110], [188, 55, 84], [249, 142, 9], [252, 255, 164]], np.float32)


class GradCam:
    """Grad-CAM of one layer of a network in evaluation mode. The network's weights get no gradients."""

    def __init__(self, module: nn.Module, size: tuple[int, int, int], layer: str | None = None) -> None:
        """Choose the layer for images of `size` (C, H, W). Raises ArgumentError for a layer that is missing or has no maps."""
        self.module = module.eval().requires_grad_(False)
        like = next((value for value in module.state_dict().values() if value.is_floating_point()), torch.zeros(()))
        self.layer = _choose_layer(self.module, like.new_zeros(1, *size), layer)

    def maps(self, images: Tensor, classes: Tensor) -> Tensor:
        """What speaks for `classes` `(n,)` in images `(n, C, H, W)`: maps `(n, h, w)` of values of at least 0."""
        kept: list[Tensor] = []

        def keep(module: nn.Module, args: object, output: Tensor) -> Tensor:
            kept[:] = [output.detach().requires_grad_()]
            return kept[0].clone()  # a layer behind it may write over its input

        hook = self.module.get_submodule(self.layer).register_forward_hook(keep)
        try:
            with torch.enable_grad():
                outputs = main_output(self.module(images))
                chosen = outputs.gather(1, classes[:, None]).sum()
                (gradient,) = torch.autograd.grad(chosen, kept)
        finally:
            hook.remove()
        weights = gradient.mean(dim=(2, 3), keepdim=True)
        return (weights * kept[0].detach()).sum(1).relu()


def _choose_layer(module: nn.Module, images: Tensor, wanted: str | None) -> str:
    """The name of the layer that is wanted, or of the last one with maps of more than a pixel."""
    layers = {name: layer for name, layer in module.named_modules() if name}
    maps: dict[str, int] = {}
    with _watching(layers, lambda name, output: maps.__setitem__(name, output.shape[2] * output.shape[3])), torch.no_grad():
        module(images)
    known = [name for name in layers if name in maps]
    if wanted is None:
        large = [name for name, pixels in maps.items() if pixels > 1 and not any(layers[name].children())]
        if not large:
            message = "no layer of the network has maps of more than a pixel for images of this size"
            raise ArgumentError([Diagnostic("no-such-layer", message, None, help="name one with `--layer`")])
        return large[-1]
    if wanted in maps:
        return wanted
    message = f"the network has no layer `{printable(wanted)}`"
    if wanted in layers:
        message = f"`{printable(wanted)}` has no maps, (C, H, W), that could be weighted"
    raise ArgumentError([Diagnostic("no-such-layer", message, None, help=suggestion(wanted, known))])


@contextmanager
def _watching(layers: dict[str, nn.Module], seen: Callable[[str, Tensor], None]) -> Iterator[None]:
    """Call `seen` with the name and the output of each layer that has maps, in the order in which they are computed."""

    def hook(name: str) -> Callable[[nn.Module, object, object], None]:
        def watch(layer: nn.Module, args: object, output: object) -> None:
            if isinstance(output, Tensor) and output.ndim == 4:
                seen(name, output)

        return watch

    hooks = [layer.register_forward_hook(hook(name)) for name, layer in layers.items()]
    try:
        yield
    finally:
        for each in hooks:
            each.remove()


def draw_explanation(pixels: Pixels, heat: Tensor) -> bytes:
    """An image `(H, W, C)` under the colors of what speaks for its prediction `(h, w)`, as PNG; the lightest speaks most."""
    image = enlarge(pixels, _SIDE)
    height, width = image.shape[:2]
    shares = heat.float().cpu()
    shares = shares / shares.max() if float(shares.max()) > 0 else torch.zeros_like(shares)
    shares = F.interpolate(shares[None, None], (height, width), mode="bilinear", align_corners=False)[0, 0]
    values: NDArray[np.float32] = shares.clamp(0, 1).numpy()
    places = values[..., None] * (len(_COLORS) - 1)
    below = np.minimum(places.astype(np.int64), len(_COLORS) - 2)[..., 0]
    colors = _COLORS[below] + (_COLORS[below + 1] - _COLORS[below]) * (places - below[..., None])
    opacity = _OPACITY * np.sqrt(values)[..., None]
    return encode_png(np.rint(image * (1 - opacity) + colors * opacity).astype(np.uint8))
