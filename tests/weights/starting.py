"""Start from a file of weights, as `train --weights` does."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from torch import nn

from resnet_spec.compiler import Analysis
from resnet_spec.weights.loading import start_from_stored
from resnet_spec.weights.source import open_source


def start_from(module: nn.Module, analysis: Analysis, path: Path, *, key: str | None = None, **options: Any) -> str:
    """Load a file of weights into a module, and return the note on it. Options are as for `start_from_stored`."""
    return start_from_stored(module, analysis, open_source(path, key, analysis), path, **options)
