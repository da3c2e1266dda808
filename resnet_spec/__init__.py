"""A compiler for networks written as YAML specs.

>>> import resnet_spec
>>> analysis = resnet_spec.analyze("resnet34")          # torch-free
>>> analysis.output, analysis.total.params
((1000,), 21797672)
>>> model = resnet_spec.build("resnet34")               # an nn.Module
>>> result = resnet_spec.train("cifar_resnet20", "cifar-fast", "cifar10:DIR")      # a run folder, and its results
"""

from resnet_spec.api import analyze, build, draw, evaluate, load, predict, resume, train
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

__version__ = "0.1.0"

__all__ = [
    "Analysis",
    "ArgumentError",
    "DataError",
    "Diagnostic",
    "RecipeError",
    "ResnetSpecError",
    "Span",
    "SpecError",
    "TrainingError",
    "WeightsError",
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
