"""`pokemon_resnet18` beside the module that its author's lecture would lead to, written by hand."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

import resnet_spec

pytestmark = pytest.mark.torch


class ResBlk(nn.Module):
    """Two 3x3 convolutions with biases; only a change of channels projects."""

    def __init__(self, ch_in: int, ch_out: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(ch_in, ch_out, kernel_size=3, stride=stride, padding=1)
        self.bn1 = nn.BatchNorm2d(ch_out)
        self.conv2 = nn.Conv2d(ch_out, ch_out, kernel_size=3, stride=1, padding=1)
        self.bn2 = nn.BatchNorm2d(ch_out)
        self.extra = nn.Sequential()
        if ch_out != ch_in:
            self.extra = nn.Sequential(nn.Conv2d(ch_in, ch_out, kernel_size=1, stride=stride), nn.BatchNorm2d(ch_out))

    def forward(self, x: Tensor) -> Tensor:
        out = F.relu(self.bn1(self.conv1(x)))
        out = self.bn2(self.conv2(out))
        return F.relu(self.extra(x) + out)


class ResNet18(nn.Module):
    def __init__(self, num_class: int) -> None:
        super().__init__()
        self.conv1 = nn.Sequential(nn.Conv2d(3, 16, kernel_size=3, stride=3, padding=0), nn.BatchNorm2d(16))
        self.blk1 = ResBlk(16, 32, stride=3)
        self.blk2 = ResBlk(32, 64, stride=3)
        self.blk3 = ResBlk(64, 128, stride=2)
        self.blk4 = ResBlk(128, 256, stride=2)
        self.outlayer = nn.Linear(256 * 3 * 3, num_class)

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(self.conv1(x))
        x = self.blk4(self.blk3(self.blk2(self.blk1(x))))
        output: Tensor = self.outlayer(x.view(x.size(0), -1))
        return output


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("size", [219, 224, 326])
def test_it_is_the_network_of_the_lecture(training: bool, size: int) -> None:
    torch.manual_seed(0)
    by_hand, compiled = ResNet18(5), resnet_spec.build("pokemon_resnet18")
    assert list(compiled.state_dict()) == list(by_hand.state_dict())
    compiled.load_state_dict(by_hand.state_dict(), strict=True)
    x = torch.randn(2, 3, size, size)
    with torch.no_grad():
        assert torch.equal(compiled.train(training)(x), by_hand.train(training)(x))
    by_hand.load_state_dict(compiled.state_dict(), strict=True)


@pytest.mark.parametrize("size", [218, 327])
def test_both_refuse_the_next_sizes(size: int) -> None:
    for network in (ResNet18(5), resnet_spec.build("pokemon_resnet18")):
        with pytest.raises(RuntimeError, match="shapes cannot be multiplied"):
            network.eval()(torch.zeros(1, 3, size, size))


def test_gradients_are_the_same() -> None:
    torch.manual_seed(0)
    by_hand, compiled = ResNet18(5), resnet_spec.build("pokemon_resnet18")
    compiled.load_state_dict(by_hand.state_dict())
    x = torch.randn(2, 3, 224, 224)
    for network in (by_hand, compiled):
        network(x).square().sum().backward()
    for (key, mine), other in zip(compiled.named_parameters(), by_hand.parameters(), strict=True):
        torch.testing.assert_close(mine.grad, other.grad, msg=key)
