"""The one place that imports torchvision.

torchvision's wheel registers fakes for its own C++ operators when it is imported. Beside a CPU build of torch those operators
are not loaded, and `import torchvision` fails with "operator torchvision::nms does not exist". Naming them first is enough: the
package then imports, and everything but the operators themselves works (models, transforms, data sets). It is done only when
the import fails in just this way.
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
_library: torch.library.Library | None = None  # the names live as long as this does


def import_torchvision() -> ModuleType:
    """torchvision, or ImportError where it is not installed."""
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
