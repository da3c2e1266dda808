"""Makes a trained network faster for inference: folds batch norm into convolutions, and converts weights to a precision.

The outputs equal those of the original network, except for rounding. A network that cannot be traced keeps its batch norms.
"""

from __future__ import annotations

import copy
import logging

import torch
from torch import Tensor, nn
from torch.fx.experimental.optimization import fuse
from torch.fx.proxy import TraceError

from resnet_spec.training.outputs import main_output
from resnet_spec.training.recipe import Precision

_DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


class Inference(nn.Module):
    """A network of any precision that takes float32 images `(N, C, H, W)` and returns its main output in float32."""

    def __init__(self, network: nn.Module, dtype: torch.dtype) -> None:
        super().__init__()
        self.network, self.dtype = network, dtype

    def forward(self, x: Tensor) -> Tensor:
        output = main_output(self.network(x.to(self.dtype, memory_format=torch.channels_last)))
        return output.to(torch.float32)


def prepare_for_inference(module: nn.Module, precision: Precision = "fp32") -> Inference:
    """Copy `module` for inference: batch norm folded, channels last, weights in `precision`."""
    module = module.eval()
    try:
        folded: nn.Module = fuse(module)
    except (TraceError, TypeError, AttributeError) as error:  # its forward pass depends on values
        logging.getLogger(__name__).info("batch norm is not folded: %s", error)
        folded = copy.deepcopy(module)
    dtype = _DTYPES[precision]
    return Inference(folded.to(dtype=dtype, memory_format=torch.channels_last), dtype).eval()  # type: ignore[call-overload]
