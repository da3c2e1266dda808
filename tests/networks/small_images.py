"""The networks of CIFAR's and MNIST's papers as plain torch modules, written after the papers and the sources that specs name.

The names are those of that code; where it is in Lua, and its modules have no names, they are torchvision's.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from tests.networks.handwritten import conv3x3


def conv1x1(inp: int, out: int, stride: int = 1) -> nn.Conv2d:
    return nn.Conv2d(inp, out, 1, stride, bias=False)


class OptionA(nn.Module):
    """Two 3x3 convolutions; the shortcut skips pixels and has zeros for the channels that are added, half on each side."""

    def __init__(self, inp: int, width: int, stride: int) -> None:
        super().__init__()
        self.conv1, self.bn1 = conv3x3(inp, width, stride), nn.BatchNorm2d(width)
        self.conv2, self.bn2 = conv3x3(width, width), nn.BatchNorm2d(width)
        self.stride, self.added = stride, width - inp

    def forward(self, x: Tensor) -> Tensor:
        y = self.bn2(self.conv2(torch.relu(self.bn1(self.conv1(x)))))
        shortcut = x[:, :, :: self.stride, :: self.stride]
        if self.added:
            shortcut = F.pad(shortcut, (0, 0, 0, 0, self.added // 2, self.added // 2))
        return torch.relu(y + shortcut)


class CifarResNet(nn.Module):
    """He et al. 2016, section 4.2: 6n + 2 layers, option A (akamaster/pytorch_resnet_cifar10, with torchvision's names)."""

    def __init__(self, n: int) -> None:
        super().__init__()
        self.conv1, self.bn1 = conv3x3(3, 16), nn.BatchNorm2d(16)
        inp = 16
        for number, width in enumerate((16, 32, 64), 1):
            first = OptionA(inp, width, 1 if number == 1 else 2)
            self.add_module(f"layer{number}", nn.Sequential(first, *(OptionA(width, width, 1) for _ in range(n - 1))))
            inp = width
        self.fc = nn.Linear(inp, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = torch.relu(self.bn1(self.conv1(x)))
        for number in range(1, 4):
            x = self.get_submodule(f"layer{number}")(x)
        return self.fc(F.adaptive_avg_pool2d(x, 1).flatten(1))  # type: ignore[no-any-return]


class PreBasic(nn.Module):
    """Two 3x3 convolutions after norms; zeros for the channels that are added (fb.resnet.torch, preresnet.lua, type A).

    The first block of a stage activates before the shortcut ("both_preact").
    """

    def __init__(self, inp: int, width: int, stride: int, first: bool) -> None:
        super().__init__()
        self.bn1, self.conv1 = nn.BatchNorm2d(inp), conv3x3(inp, width, stride)
        self.bn2, self.conv2 = nn.BatchNorm2d(width), conv3x3(width, width)
        self.first, self.stride, self.added = first, stride, width - inp

    def forward(self, x: Tensor) -> Tensor:
        y = torch.relu(self.bn1(x))
        shortcut = (y if self.first else x)[:, :, :: self.stride, :: self.stride]
        if self.added:
            shortcut = F.pad(shortcut, (0, 0, 0, 0, 0, self.added))
        return shortcut + self.conv2(torch.relu(self.bn2(self.conv1(y))))  # type: ignore[no-any-return]


class PreBottleneck(nn.Module):
    """1x1 with the stride, 3x3, 1x1 after norms; a projection of what the first one reads (resnet-1k-layers)."""

    def __init__(self, inp: int, width: int, stride: int, first: bool) -> None:
        super().__init__()
        out = 4 * width
        self.bn1, self.conv1 = nn.BatchNorm2d(inp), conv1x1(inp, width, stride)
        self.bn2, self.conv2 = nn.BatchNorm2d(width), conv3x3(width, width)
        self.bn3, self.conv3 = nn.BatchNorm2d(width), conv1x1(width, out)
        self.downsample = conv1x1(inp, out, stride) if inp != out else None

    def forward(self, x: Tensor) -> Tensor:
        y = torch.relu(self.bn1(x))
        shortcut = x if self.downsample is None else self.downsample(y)
        y = self.conv2(torch.relu(self.bn2(self.conv1(y))))
        return shortcut + self.conv3(torch.relu(self.bn3(y)))  # type: ignore[no-any-return]


class PreActivation(nn.Module):
    """He et al. 2016, Identity Mappings in Deep Residual Networks: three stages of `n` blocks, a norm at the end."""

    def __init__(self, block: type[PreBasic] | type[PreBottleneck], n: int) -> None:
        super().__init__()
        expansion = 4 if block is PreBottleneck else 1
        self.conv1 = conv3x3(3, 16)
        inp = 16
        for number, width in enumerate((16, 32, 64), 1):
            out = width * expansion
            blocks = [block(inp, width, 1 if number == 1 else 2, True), *(block(out, width, 1, False) for _ in range(n - 1))]
            self.add_module(f"layer{number}", nn.Sequential(*blocks))
            inp = out
        self.bn, self.fc = nn.BatchNorm2d(inp), nn.Linear(inp, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = self.conv1(x)
        for number in range(1, 4):
            x = self.get_submodule(f"layer{number}")(x)
        return self.fc(F.adaptive_avg_pool2d(torch.relu(self.bn(x)), 1).flatten(1))  # type: ignore[no-any-return]


class WideBasic(nn.Module):
    """Zagoruyko and Komodakis 2016, Fig. 1d: two 3x3 convolutions after norms, a projection where the width changes."""

    def __init__(self, inp: int, out: int, stride: int) -> None:
        super().__init__()
        self.bn1, self.conv1 = nn.BatchNorm2d(inp), conv3x3(inp, out, stride)
        self.bn2, self.conv2 = nn.BatchNorm2d(out), conv3x3(out, out)
        self.convShortcut = conv1x1(inp, out, stride) if inp != out else None

    def forward(self, x: Tensor) -> Tensor:
        y = torch.relu(self.bn1(x))
        shortcut = x if self.convShortcut is None else self.convShortcut(y)
        return shortcut + self.conv2(torch.relu(self.bn2(self.conv1(y))))  # type: ignore[no-any-return]


class WideResNet(nn.Module):
    """Zagoruyko and Komodakis 2016, Table 1: WRN-depth-k."""

    def __init__(self, depth: int, k: int) -> None:
        super().__init__()
        n, rest = divmod(depth - 4, 6)
        assert rest == 0
        self.conv1 = conv3x3(3, 16)
        inp = 16
        for number, width in enumerate((16 * k, 32 * k, 64 * k), 1):
            blocks = [WideBasic(inp if index == 0 else width, width, 2 if index == 0 < number - 1 else 1) for index in range(n)]
            self.add_module(f"block{number}", nn.ModuleDict({"layer": nn.Sequential(*blocks)}))
            inp = width
        self.bn1, self.fc = nn.BatchNorm2d(inp), nn.Linear(inp, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = self.conv1(x)
        for number in range(1, 4):
            x = self.get_submodule(f"block{number}.layer")(x)
        return self.fc(F.adaptive_avg_pool2d(torch.relu(self.bn1(x)), 1).flatten(1))  # type: ignore[no-any-return]


class Aggregated(nn.Module):
    """Xie et al. 2017, Fig. 3c: a bottleneck with groups of `base` channels in the first stage."""

    def __init__(self, inp: int, width: int, stride: int, groups: int, base: int) -> None:
        super().__init__()
        inner, out = groups * (width * base // 64), 4 * width
        self.conv1, self.bn1 = conv1x1(inp, inner), nn.BatchNorm2d(inner)
        self.conv2 = nn.Conv2d(inner, inner, 3, stride, 1, groups=groups, bias=False)
        self.bn2 = nn.BatchNorm2d(inner)
        self.conv3, self.bn3 = conv1x1(inner, out), nn.BatchNorm2d(out)
        self.downsample = nn.Sequential(conv1x1(inp, out, stride), nn.BatchNorm2d(out)) if inp != out else None

    def forward(self, x: Tensor) -> Tensor:
        y = torch.relu(self.bn1(self.conv1(x)))
        y = self.bn3(self.conv3(torch.relu(self.bn2(self.conv2(y)))))
        return torch.relu(y + (x if self.downsample is None else self.downsample(x)))


class ResNeXt29(nn.Module):
    """Xie et al. 2017, section 5.4: three stages of three blocks."""

    def __init__(self, groups: int, base: int) -> None:
        super().__init__()
        self.conv1, self.bn1 = conv3x3(3, 64), nn.BatchNorm2d(64)
        inp = 64
        for number, width in enumerate((64, 128, 256), 1):
            strides = (1 if number == 1 else 2, 1, 1)
            blocks = [
                Aggregated(4 * width if index else inp, width, stride, groups, base) for index, stride in enumerate(strides)
            ]
            self.add_module(f"layer{number}", nn.Sequential(*blocks))
            inp = 4 * width
        self.fc = nn.Linear(inp, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = torch.relu(self.bn1(self.conv1(x)))
        for number in range(1, 4):
            x = self.get_submodule(f"layer{number}")(x)
        return self.fc(F.adaptive_avg_pool2d(x, 1).flatten(1))  # type: ignore[no-any-return]


class DenseLayer(nn.Module):
    """Huang et al. 2017, section 3: BN-ReLU-1x1 to 4k channels, BN-ReLU-3x3 to k, behind what enters."""

    def __init__(self, inp: int, growth: int) -> None:
        super().__init__()
        self.norm1, self.conv1 = nn.BatchNorm2d(inp), conv1x1(inp, 4 * growth)
        self.norm2, self.conv2 = nn.BatchNorm2d(4 * growth), conv3x3(4 * growth, growth)

    def forward(self, x: Tensor) -> Tensor:
        y = self.conv1(torch.relu(self.norm1(x)))
        return torch.cat([x, self.conv2(torch.relu(self.norm2(y)))], 1)


class DenseNetBC(nn.Module):
    """Huang et al. 2017, section 3: three dense blocks, between them half of the channels; 2k channels at first."""

    def __init__(self, depth: int, growth: int) -> None:
        super().__init__()
        layers, rest = divmod(depth - 4, 6)
        assert rest == 0
        channels = 2 * growth
        self.features = nn.Sequential(OrderedDict(conv0=conv3x3(3, channels)))
        for number in range(1, 4):
            names = {f"denselayer{index + 1}": DenseLayer(channels + index * growth, growth) for index in range(layers)}
            self.features.add_module(f"denseblock{number}", nn.Sequential(OrderedDict(names)))
            channels += layers * growth
            if number < 3:
                parts = {"norm": nn.BatchNorm2d(channels), "relu": nn.ReLU(), "conv": conv1x1(channels, channels // 2)}
                self.features.add_module(f"transition{number}", nn.Sequential(OrderedDict(parts, pool=nn.AvgPool2d(2))))
                channels //= 2
        self.features.add_module("norm_final", nn.BatchNorm2d(channels))
        self.classifier = nn.Linear(channels, 10)

    def forward(self, x: Tensor) -> Tensor:
        return self.classifier(F.adaptive_avg_pool2d(torch.relu(self.features(x)), 1).flatten(1))  # type: ignore[no-any-return]


class Vgg16(nn.Module):
    """Simonyan and Zisserman 2015, Table 1 D, with norms, and a classifier for 32x32 pixels."""

    def __init__(self) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        inp = 3
        for width, depth in ((64, 2), (128, 2), (256, 3), (512, 3), (512, 3)):
            for _ in range(depth):
                layers += [nn.Conv2d(inp, width, 3, padding=1), nn.BatchNorm2d(width), nn.ReLU()]
                inp = width
            layers.append(nn.MaxPool2d(2))
        self.features = nn.Sequential(*layers)
        hidden = (nn.Dropout(), nn.Linear(512, 512), nn.ReLU(), nn.Dropout(), nn.Linear(512, 512), nn.ReLU())
        self.classifier = nn.Sequential(*hidden, nn.Linear(512, 10))

    def forward(self, x: Tensor) -> Tensor:
        return self.classifier(self.features(x).flatten(1))  # type: ignore[no-any-return]


class LeNet5(nn.Module):
    """LeCun et al. 1998, Fig. 2, as torch tutorials have it, for 28x28 pixels with a border of two."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.conv2 = nn.Conv2d(1, 6, 5, padding=2), nn.Conv2d(6, 16, 5)
        self.fc1, self.fc2, self.fc3 = nn.Linear(16 * 5 * 5, 120), nn.Linear(120, 84), nn.Linear(84, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = F.max_pool2d(torch.relu(self.conv1(x)), 2)
        x = F.max_pool2d(torch.relu(self.conv2(x)), 2).flatten(1)
        return self.fc3(torch.relu(self.fc2(torch.relu(self.fc1(x)))))  # type: ignore[no-any-return]


def resnet18_32px() -> nn.Module:
    """torchvision's ResNet-18 with another beginning."""
    from resnet_spec._system.torchvision_import import import_torchvision

    import_torchvision()
    from torchvision.models import resnet18

    model: nn.Module = resnet18(num_classes=10)
    model.conv1, model.maxpool = conv3x3(3, 64), nn.Identity()
    return model


def cifar_resnet(depth: int) -> Callable[[], nn.Module]:
    return lambda: CifarResNet((depth - 2) // 6)


CIFAR_RESNETS = {f"cifar_resnet{depth}": cifar_resnet(depth) for depth in (20, 32, 44, 56, 110, 1202)}
# Those of the folders for small images
NETWORKS: dict[str, Callable[[], nn.Module]] = {
    "cifar/preact_resnet110": lambda: PreActivation(PreBasic, 18),
    "cifar/preact_resnet164": lambda: PreActivation(PreBottleneck, 18),
    "cifar/preact_resnet1001": lambda: PreActivation(PreBottleneck, 111),
    "cifar/wrn_16_4": lambda: WideResNet(16, 4),
    "cifar/wrn_28_10": lambda: WideResNet(28, 10),
    "cifar/wrn_40_4": lambda: WideResNet(40, 4),
    "cifar/resnext29_8x64d": lambda: ResNeXt29(8, 64),
    "cifar/resnext29_16x64d": lambda: ResNeXt29(16, 64),
    "cifar/densenet_bc_100_12": lambda: DenseNetBC(100, 12),
    "cifar/densenet_bc_190_40": lambda: DenseNetBC(190, 40),
    "cifar/resnet18_32px": resnet18_32px,
    "cifar/vgg16_bn_32px": Vgg16,
    "mnist/lenet5": LeNet5,
}
