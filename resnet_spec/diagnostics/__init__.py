"""What is reported about a spec, a recipe or a run, and how it is rendered. Any part of the package may import this one."""

from __future__ import annotations

from .model import (
    SYNONYMS,
    ArgumentError,
    DataError,
    Diagnostic,
    Label,
    Origin,
    RecipeError,
    ResnetSpecError,
    Severity,
    Source,
    Span,
    SpecError,
    TrainingError,
    WeightsError,
    closest,
    suggestion,
)
from .text import printable

__all__ = [
    "SYNONYMS",
    "ArgumentError",
    "DataError",
    "Diagnostic",
    "Label",
    "Origin",
    "RecipeError",
    "ResnetSpecError",
    "Severity",
    "Source",
    "Span",
    "SpecError",
    "TrainingError",
    "WeightsError",
    "closest",
    "printable",
    "suggestion",
]
