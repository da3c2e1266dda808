"""A compiler for networks written as YAML specs.

>>> import resnet_spec
>>> analysis = resnet_spec.analyze("resnet34")          # torch-free
>>> analysis.output, analysis.total.params
((1000,), 21797672)
>>> model = resnet_spec.build("resnet34")               # an nn.Module
>>> result = resnet_spec.train("cifar_resnet20", "cifar-fast", "cifar10:DIR")      # a run folder, and its scores
"""

from typing import TYPE_CHECKING

from resnet_spec.api import analyze, build, draw, load
from resnet_spec.compiler import Analysis
from resnet_spec.diagnostics import Diagnostic, Span, SpecError

__version__ = "0.1.0"

if TYPE_CHECKING:
    from resnet_spec.inference.evaluate import evaluate
    from resnet_spec.inference.predict import predict
    from resnet_spec.training.runs import resume, train

_LATE = {  # what imports torch
    **dict.fromkeys(("train", "resume"), "training.runs"),
    "evaluate": "inference.evaluate",
    "predict": "inference.predict",
}

__all__ = [
    "Analysis",
    "Diagnostic",
    "Span",
    "SpecError",
    "__version__",
    "analyze",
    "build",
    "draw",
    "evaluate",
    "load",
    "predict",
    "resume",
    "train",
]


def __dir__() -> list[str]:
    return __all__


def __getattr__(name: str) -> object:
    if name not in _LATE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    import importlib

    return getattr(importlib.import_module(f"{__name__}.{_LATE[name]}"), name)
