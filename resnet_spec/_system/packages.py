"""Packages that only some commands need: asking for them before anything long has begun.

The compiler needs the standard library and PyYAML alone. Whatever imports another package first calls `require_packages`.
"""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Iterable

from resnet_spec.diagnostics import ArgumentError, Diagnostic

# What `pip install` calls a module, where that is another name.
_DISTRIBUTIONS = {"PIL": "pillow", "yaml": "pyyaml"}

NETWORKS = ("torch", "numpy", "PIL", "safetensors")  # networks with weights, and images for them
TRAINING = (*NETWORKS, "matplotlib")


def require_packages(purpose: str, *modules: str) -> None:
    """Raise ArgumentError where a module is not installed, with the command that installs it. Nothing is imported.

    Args:
        purpose: what needs the modules, as the subject of a sentence: "training".
        modules: names to import, such as "PIL".
    """
    if missing := [module for module in modules if not is_installed(module)]:
        raise missing_packages(purpose, missing)


def missing_packages(purpose: str, modules: Iterable[str]) -> ArgumentError:
    """The error for modules that are not installed."""
    names = [_DISTRIBUTIONS.get(module, module) for module in modules]
    several = len(names) > 1
    listed = " and ".join(filter(None, (", ".join(names[:-1]), names[-1])))
    what = f"the package{'s' if several else ''} {listed}"
    message = f"{purpose} needs {what}, which {'are' if several else 'is'} not installed"
    return ArgumentError([Diagnostic("missing-package", message, None, help=f"`pip install {' '.join(names)}`")])


def is_installed(module: str) -> bool:
    """Whether a top-level module can be found. It is not imported, which may take seconds."""
    if module in sys.modules:
        return sys.modules[module] is not None
    try:
        return importlib.util.find_spec(module) is not None
    except (ImportError, ValueError):  # an import hook may refuse a name
        return False
