"""Where published weights come from, and what their publisher says about them."""

from __future__ import annotations

from dataclasses import dataclass

from resnet_spec.data.preparation import Preparation


@dataclass(frozen=True, slots=True)
class PublishedOrigin:
    """Where weights come from, and what belongs to them.

    `source` names them so that they are found again: `torchvision:ResNet50_Weights.IMAGENET1K_V2`, or
    `hf:timm/resnet50d.ra2_in1k@COMMIT`. `classes` are the names of the classes in the order of the logits, and `preparation` is
    how images are prepared for the network; both are None where the publisher does not say. `license` is empty where none is
    stated. `notes` are sentences for the user.
    """

    source: str
    classes: tuple[str, ...] | None
    preparation: Preparation | None
    license: str
    notes: tuple[str, ...]
