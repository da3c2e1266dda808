"""Findings about a spec, a recipe or a run, and how they are shown. Any part of the package may import this one."""

from __future__ import annotations

from .errors import (
    ArgumentError,
    DataError,
    RecipeError,
    ResnetSpecError,
    SpecError,
    TrainingError,
    WeightsError,
    document_error,
)
from .model import Applicability, Diagnostic, DocumentKind, Edit, Fix, Label, Origin, Severity, Source, Span
from .suggestions import SYNONYMS, closest, suggestion
from .text import printable

__all__ = [
    "SYNONYMS",
    "Applicability",
    "ArgumentError",
    "DataError",
    "Diagnostic",
    "DocumentKind",
    "Edit",
    "Fix",
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
    "document_error",
    "printable",
    "suggestion",
]
