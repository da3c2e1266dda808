"""The ImageNet ResNets are torchvision's: the same keys in the same order, and the same weights give the same bits."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

import resnet_spec
from resnet_spec._system.torchvision_import import import_torchvision

pytestmark = pytest.mark.torch

NAMES = ("resnet18", "resnet34", "resnet50", "resnet101", "resnet152")


def torchvisions(name: str) -> nn.Module:
    import_torchvision()
    from torchvision import models

    torch.manual_seed(0)
    model: nn.Module = getattr(models, name)()
    with torch.no_grad():
        for buffer in model.buffers():  # statistics that tell whether they are used, and by whom
            if buffer.is_floating_point():
                buffer.add_(torch.rand_like(buffer) * 0.1)
    return model


def outputs(model: nn.Module, x: Tensor, training: bool) -> Tensor:
    with torch.no_grad():
        output: Tensor = model.train(training)(x)
    return output


@pytest.mark.parametrize("name", NAMES)
def test_weights_go_both_ways_and_give_the_same_bits(name: str) -> None:
    theirs, ours = torchvisions(name), resnet_spec.build(name)
    x = torch.randn(2, 3, 64, 64)
    assert list(ours.state_dict()) == list(theirs.state_dict())
    ours.load_state_dict(theirs.state_dict(), strict=True)
    for training in (False, True):  # a run in training changes the statistics, of both alike
        assert torch.equal(outputs(ours, x, training), outputs(theirs, x, training))
    for mine, other in zip(ours.state_dict().values(), theirs.state_dict().values(), strict=True):
        assert torch.equal(mine, other)
    with torch.no_grad():
        for parameter in ours.parameters():
            parameter.mul_(1.1)
    theirs.load_state_dict(ours.state_dict(), strict=True)
    assert torch.equal(outputs(ours, x, False), outputs(theirs, x, False))


def test_resnet18_gives_the_same_bits_at_the_size_of_imagenet() -> None:
    theirs, ours = torchvisions("resnet18"), resnet_spec.build("resnet18")
    ours.load_state_dict(theirs.state_dict(), strict=True)
    x = torch.randn(1, 3, 224, 224)
    assert torch.equal(outputs(ours, x, False), outputs(theirs, x, False))


def test_gradients_of_resnet18_are_the_same_bits() -> None:
    theirs, ours = torchvisions("resnet18"), resnet_spec.build("resnet18")
    ours.load_state_dict(theirs.state_dict(), strict=True)
    x = torch.randn(2, 3, 64, 64)
    for model in (ours, theirs):
        nn.functional.cross_entropy(model.train()(x), torch.tensor([3, 7])).backward()  # type: ignore[no-untyped-call]
    for (key, mine), other in zip(ours.named_parameters(), theirs.parameters(), strict=True):
        assert mine.grad is not None
        assert other.grad is not None
        assert torch.equal(mine.grad, other.grad), key


def test_the_same_names_lead_to_the_same_parts() -> None:
    """What people write to reach into a ResNet works: `model.layer3[0].conv1`, `model.fc.in_features`."""
    theirs, ours = (
        dict(torchvisions("resnet50").named_modules()),
        dict(resnet_spec.build("resnet50", device="meta").named_modules()),
    )
    shared = {"", "relu", "maxpool", "avgpool", "fc"} | {
        name for name in theirs if "conv" in name or "bn" in name or "downsample" in name
    }
    assert shared <= set(ours)
    assert isinstance(ours["layer3"], nn.Sequential)
    for name in shared - {""}:
        if not list(theirs[name].children()):
            assert type(ours[name]) is type(theirs[name]), name
