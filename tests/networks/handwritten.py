"""Networks as plain torch modules: those of tutorials, with the names their authors published, and a U-Net."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable

import torch
from torch import Tensor, nn


def conv3x3(inp: int, out: int, stride: int = 1, bias: bool = False) -> nn.Conv2d:
    return nn.Conv2d(inp, out, 3, stride, 1, bias=bias)


class BasicBlock(nn.Module):
    """Two 3x3 convolutions; a 1x1 projection with or without a bias where asked for."""

    expansion = 1

    def __init__(self, inp: int, width: int, stride: int, project: bool, bias: bool) -> None:
        super().__init__()
        self.conv1 = conv3x3(inp, width, stride)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = conv3x3(width, width)
        self.bn2 = nn.BatchNorm2d(width)
        self.downsample: nn.Module | None = None
        if project:
            self.downsample = nn.Sequential(nn.Conv2d(inp, width, 1, stride, bias=bias), nn.BatchNorm2d(width))

    def forward(self, x: Tensor) -> Tensor:
        y = torch.relu(self.bn1(self.conv1(x)))
        y = self.bn2(self.conv2(y))
        return torch.relu(y + (x if self.downsample is None else self.downsample(x)))


class Bottleneck(nn.Module):
    """1x1, 3x3 with the stride, 1x1 to four times the width."""

    expansion = 4

    def __init__(self, inp: int, width: int, stride: int, project: bool, bias: bool) -> None:
        super().__init__()
        out = 4 * width
        self.conv1 = nn.Conv2d(inp, width, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = conv3x3(width, width, stride)
        self.bn2 = nn.BatchNorm2d(width)
        self.conv3 = nn.Conv2d(width, out, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(out)
        self.downsample: nn.Module | None = None
        if project:
            self.downsample = nn.Sequential(nn.Conv2d(inp, out, 1, stride, bias=bias), nn.BatchNorm2d(out))

    def forward(self, x: Tensor) -> Tensor:
        y = torch.relu(self.bn1(self.conv1(x)))
        y = torch.relu(self.bn2(self.conv2(y)))
        y = self.bn3(self.conv3(y))
        return torch.relu(y + (x if self.downsample is None else self.downsample(x)))


Kind = type[BasicBlock] | type[Bottleneck]


def stage(kind: Kind, inp: int, width: int, depth: int, stride: int, bias: bool, project: bool | None = None) -> nn.Sequential:
    out = width * kind.expansion
    first = project if project is not None else stride != 1 or inp != out
    blocks = [kind(inp, width, stride, first, bias), *(kind(out, width, 1, False, bias) for _ in range(depth - 1))]
    return nn.Sequential(*blocks)


class BiasedShortcut(nn.Module):
    """ImageNet ResNet whose projections keep their bias."""

    def __init__(self, kind: Kind, depths: tuple[int, int, int, int]) -> None:
        super().__init__()
        self.conv1 = nn.Sequential(nn.Conv2d(3, 64, 7, 2, 3, bias=False), nn.BatchNorm2d(64), nn.ReLU())
        self.pool = nn.MaxPool2d(3, 2, 1)
        e = kind.expansion
        self.conv2_x = stage(kind, 64, 64, depths[0], 1, True)
        self.conv3_x = stage(kind, 64 * e, 128, depths[1], 2, True)
        self.conv4_x = stage(kind, 128 * e, 256, depths[2], 2, True)
        self.conv5_x = stage(kind, 256 * e, 512, depths[3], 2, True)
        self.fc = nn.Linear(512 * e, 1000)

    def forward(self, x: Tensor) -> Tensor:
        x = self.pool(self.conv1(x))
        x = self.conv5_x(self.conv4_x(self.conv3_x(self.conv2_x(x))))
        return self.fc(nn.functional.adaptive_avg_pool2d(x, 1).flatten(1))  # type: ignore[no-any-return]


class CifarProjection(nn.Module):
    """CIFAR ResNet of depth 6n + 2 with biased projections where a stage strides."""

    def __init__(self, n: int) -> None:
        super().__init__()
        self.conv1 = nn.Sequential(conv3x3(3, 16), nn.BatchNorm2d(16), nn.ReLU())
        self.conv2_x = stage(BasicBlock, 16, 16, n, 1, True, project=False)
        self.conv3_x = stage(BasicBlock, 16, 32, n, 2, True, project=True)
        self.conv4_x = stage(BasicBlock, 32, 64, n, 2, True, project=True)
        self.fc = nn.Linear(64, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = self.conv4_x(self.conv3_x(self.conv2_x(self.conv1(x))))
        return self.fc(nn.functional.adaptive_avg_pool2d(x, 1).flatten(1))  # type: ignore[no-any-return]


class AvgPool7(nn.Module):
    """ResNet-34 that ends in an average pool of 7x7 pixels."""

    def __init__(self) -> None:
        super().__init__()
        self.pre = nn.Sequential(nn.Conv2d(3, 64, 7, 2, 3, bias=False), nn.BatchNorm2d(64), nn.ReLU(), nn.MaxPool2d(3, 2, 1))
        self.layer1 = stage(BasicBlock, 64, 64, 3, 1, False)
        self.layer2 = stage(BasicBlock, 64, 128, 4, 2, False)
        self.layer3 = stage(BasicBlock, 128, 256, 6, 2, False)
        self.layer4 = stage(BasicBlock, 256, 512, 3, 2, False)
        self.fc = nn.Linear(512, 1000)

    def forward(self, x: Tensor) -> Tensor:
        x = self.layer4(self.layer3(self.layer2(self.layer1(self.pre(x)))))
        return self.fc(nn.functional.avg_pool2d(x, 7).flatten(1))  # type: ignore[no-any-return]


class TwoSides(nn.Module):
    """A block whose sides are called left and right."""

    def __init__(self, inp: int, out: int, stride: int, project: bool) -> None:
        super().__init__()
        left = [conv3x3(inp, out, stride), nn.BatchNorm2d(out), nn.ReLU(), conv3x3(out, out), nn.BatchNorm2d(out)]
        self.left = nn.Sequential(*left)
        self.right: nn.Module | None = None
        if project:
            self.right = nn.Sequential(nn.Conv2d(inp, out, 1, stride, bias=False), nn.BatchNorm2d(out))

    def forward(self, x: Tensor) -> Tensor:
        return torch.relu(self.left(x) + (x if self.right is None else self.right(x)))


class WideStages(nn.Module):
    """Stages of 128 to 512 channels, a projection at the start of every one."""

    def __init__(self) -> None:
        super().__init__()
        self.pre = nn.Sequential(nn.Conv2d(3, 64, 7, 2, 3, bias=False), nn.BatchNorm2d(64), nn.ReLU(), nn.MaxPool2d(3, 2, 1))
        inp = 64
        for number, (out, depth, stride) in enumerate(((128, 3, 1), (256, 4, 2), (512, 6, 2), (512, 3, 2)), 1):
            blocks = [TwoSides(inp, out, stride, True), *(TwoSides(out, out, 1, False) for _ in range(depth - 1))]
            setattr(self, f"layer{number}", nn.Sequential(*blocks))
            inp = out
        self.fc = nn.Linear(512, 1000)

    def forward(self, x: Tensor) -> Tensor:
        x = self.pre(x)
        for number in range(1, 5):
            x = getattr(self, f"layer{number}")(x)
        return self.fc(nn.functional.avg_pool2d(x, 7).flatten(1))  # type: ignore[no-any-return]


class ReluBeforeSum(nn.Module):
    """A ReLU before the sum and one after; a biased 1x1 convolution without a norm where the block strides."""

    def __init__(self, inp: int, out: int, stride: int) -> None:
        super().__init__()
        self.conv1 = conv3x3(inp, out, stride)
        self.bn1 = nn.BatchNorm2d(out)
        self.conv2 = conv3x3(out, out)
        self.bn2 = nn.BatchNorm2d(out)
        self.conv3 = nn.Conv2d(inp, out, 1, stride) if stride != 1 else None

    def forward(self, x: Tensor) -> Tensor:
        y = torch.relu(self.bn1(self.conv1(x)))
        y = torch.relu(self.bn2(self.conv2(y)))
        return torch.relu(y + (x if self.conv3 is None else self.conv3(x)))


class Net96(nn.Module):
    """ResNet-18 for 96x96 pixels."""

    def __init__(self) -> None:
        super().__init__()
        norm = nn.BatchNorm2d(64, eps=1e-3)
        self.block1 = nn.Sequential(nn.Conv2d(3, 64, 7, 2), norm, nn.ReLU(), nn.MaxPool2d(3, 2, 1))
        inp = 64
        for number, (out, stride) in enumerate(((64, 1), (128, 2), (256, 2), (512, 2)), 2):
            setattr(self, f"block{number}", nn.Sequential(ReluBeforeSum(inp, out, stride), ReluBeforeSum(out, out, 1)))
            inp = out
        self.classifier = nn.Linear(512, 10)

    def forward(self, x: Tensor) -> Tensor:
        for number in range(1, 6):
            x = getattr(self, f"block{number}")(x)
        return self.classifier(nn.functional.avg_pool2d(x, 3).flatten(1))  # type: ignore[no-any-return]


class UNet(nn.Module):
    """Ronneberger et al. 2015, Fig. 1: five levels, with norms, padding, and nearest upsampling before a 3x3 convolution."""

    def __init__(self, width: int = 64, classes: int = 2) -> None:
        super().__init__()
        widths = [width * 2**level for level in range(5)]
        self.level1 = self.two(3, width)
        for level in range(2, 6):
            before, after = widths[level - 2 : level]
            self.add_module(f"level{level}", nn.ModuleDict({"convs": self.two(before, after)}))
        for level in range(4, 0, -1):
            after, before = widths[level - 1 : level + 1]
            self.add_module(f"up{level}", nn.ModuleDict({"conv": self.conv(before, after)}))
            self.add_module(f"merge{level}", self.two(before, after))
        self.mask = nn.Conv2d(width, classes, 1)

    @staticmethod
    def conv(inp: int, out: int) -> nn.Module:
        layers = {"conv": conv3x3(inp, out), "norm": nn.BatchNorm2d(out), "act": nn.ReLU()}
        return nn.Sequential(OrderedDict(layers))

    @classmethod
    def two(cls, inp: int, out: int) -> nn.Module:
        return nn.Sequential(cls.conv(inp, out), cls.conv(out, out))

    def forward(self, x: Tensor) -> Tensor:
        values = [self.level1(x)]
        for level in range(2, 6):
            lower = nn.functional.max_pool2d(values[-1], 2)
            values.append(self.get_submodule(f"level{level}.convs")(lower))
        x = values.pop()
        for level in range(4, 0, -1):
            upper = nn.functional.interpolate(x, scale_factor=2, mode="nearest")
            upper = self.get_submodule(f"up{level}.conv")(upper)
            x = self.get_submodule(f"merge{level}")(torch.cat([values.pop(), upper], 1))
        mask: Tensor = self.mask(x)
        return mask


NETWORKS: dict[str, Callable[[], nn.Module]] = {
    "resnet18_biased_shortcut": lambda: BiasedShortcut(BasicBlock, (2, 2, 2, 2)),
    "resnet34_biased_shortcut": lambda: BiasedShortcut(BasicBlock, (3, 4, 6, 3)),
    "resnet50_biased_shortcut": lambda: BiasedShortcut(Bottleneck, (3, 4, 6, 3)),
    "resnet101_biased_shortcut": lambda: BiasedShortcut(Bottleneck, (3, 4, 23, 3)),
    "resnet152_biased_shortcut": lambda: BiasedShortcut(Bottleneck, (3, 8, 36, 3)),
    "cifar_resnet20_projection": lambda: CifarProjection(3),
    "cifar_resnet32_projection": lambda: CifarProjection(5),
    "cifar_resnet44_projection": lambda: CifarProjection(7),
    "cifar_resnet56_projection": lambda: CifarProjection(9),
    "cifar_resnet110_projection": lambda: CifarProjection(18),
    "cifar_resnet1202_projection": lambda: CifarProjection(200),
    "resnet34_avgpool7": AvgPool7,
    "resnet34_wide_stages": WideStages,
    "resnet18_96px": Net96,
}
