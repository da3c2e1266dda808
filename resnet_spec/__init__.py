"""A compiler for networks written as YAML specs.

>>> import resnet_spec
>>> analysis = resnet_spec.analyze("resnet34")          # torch-free
>>> analysis.output, analysis.total.params
((1000,), 21797672)
>>> model = resnet_spec.build("resnet34")               # an nn.Module
"""

from resnet_spec.api import analyze, build, draw, load
from resnet_spec.diagnostics import Diagnostic, Span, SpecError
from resnet_spec.pipeline import Analysis

__version__ = "0.1.0"

__all__ = ["Analysis", "Diagnostic", "Span", "SpecError", "__version__", "analyze", "build", "draw", "load"]
