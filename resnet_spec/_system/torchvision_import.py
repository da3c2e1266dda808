"""The one place that imports torchvision.

torchvision's wheel registers fake implementations of its own C++ operators when it is imported. With a CPU build of torch those
operators are not loaded, and `import torchvision` fails with "operator torchvision::nms does not exist". Defining their names
first is enough: everything but the operators themselves then works (models, transforms, data sets). This is done only if the
import fails in exactly this way.
"""

from __future__ import annotations

import importlib
import sys
from types import ModuleType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

_SIGNATURES = (
    "nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
    "qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
)
_library: torch.library.Library | None = None  # the names exist as long as this object does


def import_torchvision() -> ModuleType:
    """Import torchvision; raises ImportError if it is not installed."""
    import torch

    global _library
    try:
        return importlib.import_module("torchvision")
    except RuntimeError as error:
        if "torchvision::nms does not exist" not in str(error):
            raise
    for name in [name for name in sys.modules if name.partition(".")[0] == "torchvision"]:
        del sys.modules[name]
    _library = torch.library.Library("torchvision", "FRAGMENT")  # type: ignore[no-untyped-call]
    for signature in _SIGNATURES:
        _library.define(signature)  # type: ignore[no-untyped-call]
    return importlib.import_module("torchvision")
