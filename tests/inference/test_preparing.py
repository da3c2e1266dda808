"""How images are prepared for weights that do not say it: as torchvision does, and as a user sets it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from resnet_spec._system.torchvision_import import import_torchvision
from resnet_spec.data.preparation import Preparation, normalize
from resnet_spec.diagnostics import ArgumentError
from resnet_spec.inference.preparing import change_preparation, default_preparation, require_settings
from resnet_spec.weights.metadata import preparation_data, read_preparation
from tests.data.conftest import noise

IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))


@pytest.mark.torch
@pytest.mark.parametrize(("size", "resize"), [(224, 256), (299, 342), (64, 73)])
def test_photographs_are_prepared_as_by_torchvision(size: int, resize: int) -> None:
    """`ImageClassification` is what torchvision's published weights come with; 342 is that of Inception-v3."""
    import_torchvision()
    from torchvision.transforms._presets import ImageClassification

    photograph = np.kron(noise(0, 40, 50, 3), np.ones((9, 9, 1), np.uint8))
    expected = ImageClassification(crop_size=size, resize_size=resize)(Image.fromarray(photograph))
    preparation, note = default_preparation((3, size, size))
    found = normalize(preparation.apply(photograph)[None], preparation, torch.device("cpu"), False)[0]
    assert (found - expected).abs().max() <= 1.01 / 255 / min(IMAGENET[1])  # a byte: another rounding
    assert f"resized to {resize}" in note


@pytest.mark.parametrize(
    ("input", "expected"),
    [
        ((3, 32, 32), Preparation(3, (32, 32), None, "bilinear", None, *IMAGENET)),
        ((1, 28, 28), Preparation(1, (28, 28), None, "bilinear", None, (0.5,), (0.5,))),
        ((3, 112, 224), Preparation(3, (112, 224), (128, 256), "bilinear", (112, 224), *IMAGENET)),
        ((4, 64, 64), Preparation(4, (64, 64), 73, "bilinear", (64, 64), (0.5,) * 4, (0.5,) * 4)),
    ],
)
def test_what_is_usual_follows_from_the_input(input: tuple[int, int, int], expected: Preparation) -> None:
    assert default_preparation(input)[0] == expected
    assert read_preparation(preparation_data(expected)) == expected  # it can be stored


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        (["resize=232"], {"resize": 232}),
        (["resize=256x320", "crop=224x288"], {"resize": (256, 320), "crop": (224, 288), "size": (224, 288)}),
        (["resize=300", "crop=288"], {"resize": 300, "crop": (288, 288), "size": (288, 288)}),
        ({"resize": (96, 128), "crop": None}, {"resize": (96, 128), "crop": None, "size": (96, 128)}),
        (["resize=none"], {"resize": None}),
        (["resize=", "crop="], {"resize": None, "crop": None}),
        (["interpolation=bicubic"], {"interpolation": "bicubic"}),
        (["mean=0.5", "std=0.25,0.5,1"], {"mean": (0.5, 0.5, 0.5), "std": (0.25, 0.5, 1.0)}),
        ({"mean": [0, 0, 0], "std": 1}, {"mean": (0.0, 0.0, 0.0), "std": (1.0, 1.0, 1.0)}),
        ("std=imagenet", {"std": IMAGENET[1]}),
        (["resize = 240"], {"resize": 240}),
    ],
)
def test_settings_change_what_they_name(settings: Any, expected: dict[str, Any]) -> None:
    usual = default_preparation((3, 224, 224))[0]
    changed = preparation_data(change_preparation(usual, require_settings(settings)))
    assert changed == preparation_data(usual) | expected


@pytest.mark.parametrize(
    ("settings", "message", "help"),
    [
        (["size=224"], "has no key 'size'", "resize"),
        (["crops=224"], "has no key 'crops'", "crop"),
        ({1: 2}, "has no key 1", "resize"),
        (["crop"], "KEY=VALUE", "--prepare resize=232"),
        (3, "a mapping or KEY=VALUE", ""),
        (b"crop=1", "a mapping or KEY=VALUE", ""),
        (["crop=0"], "`crop` takes", "crop=224"),
        (["crop=-1"], "`crop` takes", "crop=224"),
        (["crop=1x2x3"], "`crop` takes", "crop=224"),
        (["crop=9999999999999999999999"], "`crop` takes", "crop=224"),
        (["resize=224.5"], "`resize` takes", "resize=224"),
        ({"crop": True}, "`crop` takes", "crop=224"),
        ({"crop": {"a": 1}}, "`crop` takes", "crop=224"),
        (["resize=200"], "larger than what `resize` gives, 200x200", "--prepare resize=256 --prepare crop=224"),
        (["crop=none"], "nothing cuts images", "crop=224"),
        (["interpolation=lanczos"], "`interpolation` takes", ""),
        (["mean=1,2"], "`mean` takes 3 numbers", "0.485"),
        (["mean=nan"], "`mean` takes 3 numbers", "0.485"),
        (["mean=cifar"], "`mean` takes 3 numbers", "0.485"),
        (["std=0"], "`std` takes 3 numbers above 0", "0.485"),
        ({"std": None}, "`std` takes 3 numbers above 0", "0.485"),
        ({"std": [1, "x", 2]}, "`std` takes 3 numbers above 0", "0.485"),
    ],
)
def test_settings_that_mean_nothing_are_refused(settings: Any, message: str, help: str) -> None:
    with pytest.raises(ArgumentError) as caught:
        change_preparation(default_preparation((3, 224, 224))[0], require_settings(settings))
    (finding,) = caught.value.diagnostics
    assert message in finding.message
    assert help in finding.help
