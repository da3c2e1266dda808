"""A folded network gives what it gave before, but for rounding."""

from __future__ import annotations

import pytest
import torch
from torch import nn

import resnet_spec
from resnet_spec.inference.folding import prepare_for_inference

pytestmark = pytest.mark.torch


def trained_looking(name: str) -> nn.Module:
    """A network whose norms have seen images."""
    torch.manual_seed(0)
    module = resnet_spec.build(name).eval()
    for part in module.modules():
        if isinstance(part, nn.BatchNorm2d) and part.running_mean is not None and part.running_var is not None:
            part.running_mean.normal_(0, 0.1)
            part.running_var.uniform_(0.5, 1.5)
    return module


@pytest.mark.parametrize(("name", "size"), [("resnet18", 64), ("cifar_resnet20", 32), ("variants/resnet18_96px", 96)])
@pytest.mark.parametrize(("precision", "most"), [("fp32", 2e-6), ("bf16", 0.03)])
def test_outputs_stay(name: str, size: int, precision: str, most: float) -> None:
    module = trained_looking(name)
    x = torch.randn(2, 3, size, size)
    faster = prepare_for_inference(module, "bf16" if precision == "bf16" else "fp32")
    with torch.inference_mode():
        wanted, found = module(x), faster(x)
    assert found.dtype == torch.float32
    assert float((wanted - found).abs().max() / wanted.abs().max()) < most


def test_no_batch_norm_is_left_and_the_module_is_as_it_was() -> None:
    module = trained_looking("resnet18")
    keys = set(module.state_dict())
    faster = prepare_for_inference(module)
    assert not [part for part in faster.modules() if isinstance(part, nn.BatchNorm2d)]
    assert set(module.state_dict()) == keys


def test_a_module_that_cannot_be_traced_runs_as_it_is() -> None:
    class Wilful(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x.flatten(1)[:, :2] if float(x.sum()) > 0 else x.flatten(1)[:, 2:4]

    x = torch.ones(1, 1, 2, 2)
    assert prepare_for_inference(Wilful())(x).tolist() == [[1.0, 1.0]]
