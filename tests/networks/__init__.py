"""Shipped and other networks against independent references."""

import re

from resnet_spec.language.library import shipped_names, shipped_root

# Folders of specs/ whose networks are compared with a reference: all in test_table.py, some in test_reference_networks.py too
REFERENCED = ("examples/", "torchvision/", "timm/")
# Folders whose networks are compared with modules written by hand, in test_small_images.py
SMALL_IMAGES = ("cifar/", "mnist/")

# Folders of whole families
FAMILIES = ("torchvision/", "timm/", "cifar/")


def different_networks() -> tuple[str, ...]:
    """The shipped networks without those of a family that differ from another only in numbers, for tests that take a while."""
    return tuple(name for name in shipped_names() if not name.startswith(FAMILIES) or _has_own_blocks(name))


def _has_own_blocks(name: str) -> bool:
    text = (shipped_root() / f"{name}.yaml").read_text(encoding="utf-8")
    return bool(re.search("^blocks:", text, re.MULTILINE)) or not re.search("^extends:", text, re.MULTILINE)
