"""The script that everyone copies: torchvision's CIFAR10 with PIL transforms, a DataLoader with two workers, SGD.

`python -m tests.benchmarks.plain_script DATA STEPS WARM [--channels-last]` prints images a second over STEPS steps after WARM,
metrics included, with the network of `specs/cifar_resnet20.yaml` written by hand. DATA is as for `train`, of 3x32x32.
"""

from __future__ import annotations

import importlib
import sys
import time
from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

from resnet_spec._system.torchvision_import import import_torchvision
from resnet_spec.data import open_data


class BasicBlock(nn.Module):
    """As in the CIFAR scripts: the shortcut takes every second pixel and pads channels with zeros."""

    def __init__(self, channels: int, planes: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, planes, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(planes)
        self.conv2 = nn.Conv2d(planes, planes, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(planes)
        self.pad = (planes - channels) // 2

    def forward(self, x: Tensor) -> Tensor:
        out = F.relu(self.bn1(self.conv1(x)))
        out = self.bn2(self.conv2(out))
        if self.pad:
            x = F.pad(x[:, :, ::2, ::2], (0, 0, 0, 0, self.pad, self.pad))
        return F.relu(out + x)


class ResNet20(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 16, 3, 1, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(16)
        blocks: list[nn.Module] = []
        channels = 16
        for planes, stride in ((16, 1), (32, 2), (64, 2)):
            for number in range(3):
                blocks.append(BasicBlock(channels, planes, stride if number == 0 else 1))
                channels = planes
        self.blocks = nn.Sequential(*blocks)
        self.linear = nn.Linear(64, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = self.blocks(F.relu(self.bn1(self.conv1(x))))
        x = F.avg_pool2d(x, x.shape[3]).flatten(1)
        found: Tensor = self.linear(x)
        return found


def main() -> None:
    text, steps, warm = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    last = "--channels-last" in sys.argv
    import_torchvision()
    transforms: Any = importlib.import_module("torchvision.transforms")
    datasets: Any = importlib.import_module("torchvision.datasets")
    transform = transforms.Compose(
        [
            transforms.RandomCrop(32, padding=4),
            transforms.RandomHorizontalFlip(),
            transforms.ToTensor(),
            transforms.Normalize((0.4914, 0.4822, 0.4465), (0.2470, 0.2435, 0.2616)),
        ]
    )
    opened = open_data(text, input=(3, 32, 32), split=(0.0, 0.0)).train
    assert opened is not None
    images = datasets.CIFAR10.__new__(datasets.CIFAR10)  # torchvision's own data set, with the images put into it
    images.data, images.targets = opened.pixels, opened.labels.tolist()
    images.transform, images.target_transform, images.train = transform, None, True
    loader = torch.utils.data.DataLoader(images, batch_size=128, shuffle=True, num_workers=2)
    net: nn.Module = ResNet20()
    if last:
        net = net.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    criterion = nn.CrossEntropyLoss()
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1, momentum=0.9, weight_decay=5e-4)
    net.train()
    total_loss, correct, total, began = 0.0, 0, 0, 0.0
    for number, (inputs, targets) in enumerate(loader):
        if number == warm:
            total_loss, correct, total, began = 0.0, 0, 0, time.perf_counter()
        if last:
            inputs = inputs.to(memory_format=torch.channels_last)
        optimizer.zero_grad()
        outputs = net(inputs)
        loss = criterion(outputs, targets)
        loss.backward()
        optimizer.step()
        total_loss += loss.item()
        correct += outputs.max(1)[1].eq(targets).sum().item()
        total += targets.size(0)
        if number + 1 == warm + steps:
            break
    print(total / (time.perf_counter() - began))


if __name__ == "__main__":
    main()
