"""What `config.json` of a model says about its weights: classes, the preparation of images, and the license.

timm writes `pretrained_cfg`, transformers writes `id2label`. The file is untrusted: what is malformed is left out.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from resnet_spec._system.files import require_regular
from resnet_spec._system.torchvision_import import import_torchvision
from resnet_spec.data.preparation import Preparation
from resnet_spec.diagnostics.text import shorten
from resnet_spec.weights.metadata import read_preparation
from resnet_spec.weights.origin import PublishedOrigin

CONFIG = "config.json"
MOST_CONFIG = 16 << 20  # bytes
_MOST_CLASSES = 1_000_000
_IMAGENET = 1000
_NOT_LOOKED_UP = "not looked up, since the files are those of the cache; the page of the model states it"
# The defaults of timm, for what its file leaves out.
_MEAN, _STD, _CROP = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225), 0.875


def read_config(
    path: Path, source: str, input: tuple[int, int, int] | None = None, license: str | None = ""
) -> PublishedOrigin:
    """Read the `config.json` of a model; `license` is that of its page, if the file names none; None if it was not looked up.

    timm evaluates some models at a larger size than that of their training. `input`, (C, H, W) in pixels, is the size that the
    network will be used with; it chooses between both.
    """
    try:
        config = json.loads(require_regular(path).read_bytes()) if path.stat().st_size <= MOST_CONFIG else {}
    except (OSError, ValueError, RecursionError):
        config = {}
    if not isinstance(config, dict):
        config = {}
    found = config.get("pretrained_cfg")
    timm: Mapping[str, Any] = found if isinstance(found, dict) else {}
    stated = timm.get("license")
    license = shorten(stated, 80) if isinstance(stated, str) and stated else license
    notes = [f"license: {license or ('none is stated' if license is not None else _NOT_LOOKED_UP)}"]
    recipe = timm.get("origin_url")
    notes += [f"recipe: {shorten(recipe, 200)}"] if isinstance(recipe, str) and recipe else []
    return PublishedOrigin(source, _classes(config, timm), _preparation(timm, input), license or "", tuple(notes))


def _classes(config: Mapping[str, Any], timm: Mapping[str, Any]) -> tuple[str, ...] | None:
    """The names of the classes, by the index of their logits."""
    for labels in (config.get("label_names"), timm.get("label_names"), timm.get("labels"), config.get("id2label")):
        if isinstance(labels, dict) and 0 < len(labels) <= _MOST_CLASSES:
            labels = [labels.get(str(i)) for i in range(len(labels))]
        if isinstance(labels, list) and 0 < len(labels) <= _MOST_CLASSES and all(isinstance(each, str) for each in labels):
            return tuple(labels)
    count, tag = config.get("num_classes", timm.get("num_classes")), timm.get("tag")
    if count == _IMAGENET and isinstance(tag, str) and tag.endswith("in1k"):
        return imagenet_classes()
    return None


def imagenet_classes() -> tuple[str, ...] | None:
    """The 1000 classes of ImageNet as torchvision names them, in the usual order; None if torchvision is not installed."""
    try:
        import_torchvision()
        from torchvision.models import ResNet18_Weights
    except ImportError:
        return None
    return tuple(str(each) for each in ResNet18_Weights.IMAGENET1K_V1.meta["categories"])


def _preparation(timm: Mapping[str, Any], input: tuple[int, int, int] | None) -> Preparation | None:
    """How timm prepares images for evaluation; None if the file does not say, or says what we cannot do (a border)."""
    size = timm.get("input_size")
    if not isinstance(size, list) or len(size) != 3:
        return None
    share = timm.get("crop_pct") or _CROP
    larger = timm.get("test_input_size")
    if input is not None and larger == list(input) and larger != size:
        size, share = larger, timm.get("test_crop_pct") or share
    try:
        channels, height, width = size
        scaled = [math.floor(each / share) for each in (height, width)]
        mode = timm.get("crop_mode") or "center"
        if mode == "border" or (mode == "center" and height != width):
            return None
        data = {
            "channels": channels,
            "size": [height, width],
            "resize": scaled[0] if mode == "center" else scaled,
            "interpolation": timm.get("interpolation") or "bicubic",
            "crop": [height, width],
            "mean": timm.get("mean") or _MEAN,
            "std": timm.get("std") or _STD,
        }
        return read_preparation(data)
    except (KeyError, ValueError, TypeError, OverflowError, ZeroDivisionError):
        return None
