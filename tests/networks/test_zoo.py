"""Networks of timm and torchvision said in the language, most in a few lines: the same weights give the same bits.

Their keys are carried over in order, which is the order in which both make their layers; where the names hold no dots they are
equal as well (`strict`).
"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

import resnet_spec
from resnet_spec._system.torchvision_import import import_torchvision

pytestmark = [pytest.mark.torch, pytest.mark.slow]
ZOO = Path(__file__).parent / "zoo"


def timm_model(name: str, **arguments: Any) -> nn.Module:
    import_torchvision()
    import timm

    model: nn.Module = timm.create_model(name, **arguments)
    return model


def torchvision_model(name: str, **arguments: Any) -> nn.Module:
    import_torchvision()
    from torchvision import models

    model: nn.Module = getattr(models, name)(**arguments)
    return model


TWINS: dict[str, Callable[[], nn.Module]] = {
    "seresnet50": lambda: timm_model("seresnet50"),
    "seresnet152d": lambda: timm_model("seresnet152d"),
    "resnet50d": lambda: timm_model("resnet50d"),
    "resnet18d": lambda: timm_model("resnet18d"),
    "resnetv2_50": lambda: timm_model("resnetv2_50"),
    "resnetblur50": lambda: timm_model("resnetblur50"),
    "resnext50_32x4d": lambda: timm_model("resnext50_32x4d"),
    "wide_resnet50_2": lambda: timm_model("wide_resnet50_2"),
    "resnet50_gn": lambda: timm_model("resnet50_gn"),
    "resnet50_drop_path": lambda: timm_model("resnet50", drop_path_rate=0.2),
    "densenet121": lambda: torchvision_model("densenet121"),
    "mobilenet_v2": lambda: torchvision_model("mobilenet_v2"),
    "vgg16_bn": lambda: torchvision_model("vgg16_bn"),
    "regnet_x_400mf": lambda: torchvision_model("regnet_x_400mf"),
    "regnet_y_400mf": lambda: torchvision_model("regnet_y_400mf"),
    "resnet50_dilated": lambda: torchvision_model("resnet50", replace_stride_with_dilation=[False, True, True]),
}
STRICT = {"seresnet50", "seresnet152d", "resnet50d", "resnet18d", "resnetblur50", "resnext50_32x4d", "wide_resnet50_2"} | {
    "resnet50_gn",
    "resnet50_drop_path",
    "resnet50_dilated",
}


@pytest.mark.parametrize("name", TWINS)
def test_the_same_weights_give_the_same_bits(name: str) -> None:
    torch.manual_seed(0)
    twin = TWINS[name]()
    model = resnet_spec.build(ZOO / f"{name}.yaml", initialize=False)
    theirs, ours = twin.state_dict(), model.state_dict()
    if name.startswith("regnet"):
        assert sum(p.numel() for p in twin.parameters()) == sum(p.numel() for p in model.parameters())
        return
    keys = match_keys(name, list(theirs), list(ours))
    model.load_state_dict({ours_key: theirs[their_key] for their_key, ours_key in keys.items()}, strict=True)
    for training in (False, True):
        outputs = []
        for network in (twin, model):
            network.train(training)
            torch.manual_seed(1)
            with torch.no_grad():
                outputs.append(network(torch.randn(2, 3, 64, 64)))
        assert torch.equal(*outputs), f"training={training}"


def match_keys(name: str, theirs: list[str], ours: list[str]) -> dict[str, str]:
    """Their key for each of ours: the same where the names agree, else one after another."""
    if name in STRICT:
        assert set(theirs) == set(ours)
        return {key: key for key in theirs}
    if name == "resnetv2_50":
        renamed = {key: re.sub(r"^stages\.(\d)\.blocks", lambda at: f"layer{int(at[1]) + 1}", key) for key in theirs}
        return {key: ours_key.removeprefix("head.") for key, ours_key in renamed.items()}
    assert len(theirs) == len(ours)
    return dict(zip(theirs, ours, strict=True))
