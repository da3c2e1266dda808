"""A compiler for image networks described in YAML: specs are checked, analyzed without torch, and built as `nn.Module`s.

>>> import resnet_spec
>>> analysis = resnet_spec.analyze("resnet34")          # torch-free
>>> analysis.output, analysis.total.params
((1000,), 21797672)
>>> model = resnet_spec.build("resnet34")               # an nn.Module
>>> result = resnet_spec.train("cifar_resnet20", "cifar-fast", "cifar10:DIR")      # weights and a report in a run folder

Shapes and input sizes are without the batch: (C, H, W) in pixels, or (F,) after a flatten. Modules take `(N, C, H, W)`. Errors
that a user can correct are subclasses of `ResnetSpecError`, and hold all findings in `diagnostics`. Importing the package does
not import torch.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from resnet_spec.api import analyze, build, diff, draw, evaluate, export, load, predict, resume, train
    from resnet_spec.comparison.difference import Difference
    from resnet_spec.compiler import Analysis
    from resnet_spec.diagnostics import (
        ArgumentError,
        DataError,
        Diagnostic,
        RecipeError,
        ResnetSpecError,
        Span,
        SpecError,
        TrainingError,
        WeightsError,
    )
    from resnet_spec.inference.exporting import Exported
    from resnet_spec.language.spec import SpecLike
    from resnet_spec.outputs.torch_module import Network
    from resnet_spec.training.scoring import Interrupted
    from resnet_spec.training.session import Result

__version__ = "0.2.0"

__all__ = [
    "Analysis",
    "ArgumentError",
    "DataError",
    "Diagnostic",
    "Difference",
    "Exported",
    "Interrupted",
    "Network",
    "RecipeError",
    "ResnetSpecError",
    "Result",
    "Span",
    "SpecError",
    "SpecLike",
    "TrainingError",
    "WeightsError",
    "__version__",
    "analyze",
    "build",
    "diff",
    "draw",
    "evaluate",
    "export",
    "load",
    "predict",
    "resume",
    "train",
]


# Types of arguments and of what functions return; `Network` and those of the trainer import torch.
_TYPES = {
    "Difference": "comparison.difference",
    "Exported": "inference.exporting",
    "Interrupted": "training.scoring",
    "Network": "outputs.torch_module",
    "Result": "training.session",
    "SpecLike": "language.spec",
}


def __getattr__(name: str) -> object:
    """Import the public names on first use, so that the command line starts without them, and the package without torch."""
    from importlib import import_module

    if name in _TYPES:
        globals()[name] = found = getattr(import_module(f"resnet_spec.{_TYPES[name]}"), name)
        return found
    modules = [import_module(f"resnet_spec.{module}") for module in ("api", "compiler", "diagnostics")]
    for module in modules if name in __all__ else []:
        if hasattr(module, name):
            globals()[name] = found = getattr(module, name)
            return found
    if name in globals():  # a module of the package, which these three have imported
        return globals()[name]
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
