"""Packages that only some commands need, checked before a command does anything that takes long.

The compiler only needs the standard library and PyYAML. Code that imports another package calls `require_packages` first.
"""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Iterable

from resnet_spec.diagnostics import ArgumentError, Diagnostic
from resnet_spec.diagnostics.text import join_words

# The names for `pip install` of modules that have another name.
_DISTRIBUTIONS = {"PIL": "pillow", "yaml": "pyyaml"}

NETWORKS = ("torch", "numpy", "PIL", "safetensors")  # networks with weights, and images for them
TRAINING = (*NETWORKS, "matplotlib")


def require_packages(purpose: str, *modules: str, extra: str = "") -> None:
    """Raise ArgumentError if a module is not installed, with the command that installs it. Nothing is imported.

    Args:
        purpose: what needs the modules, as the subject of a sentence: "training".
        modules: names to import, such as "PIL".
        extra: the extra of this package that installs them, if they do not come with it.
    """
    if missing := [module for module in modules if not is_installed(module)]:
        raise missing_packages(purpose, missing, extra)


def missing_packages(purpose: str, modules: Iterable[str], extra: str = "") -> ArgumentError:
    """The error for modules that are not installed; see `require_packages`."""
    names = [name_distribution(module) for module in modules]
    what = f"the packages {join_words(names, 'and')}, which are" if len(names) > 1 else f"the package {names[0]}, which is"
    message = f"{purpose} needs {what} not installed"
    help = f"`pip install {' '.join(names)}`" + (f", or install resnet-spec with its extra `{extra}`" if extra else "")
    return ArgumentError([Diagnostic("missing-package", message, None, help=help)])


def name_distribution(module: str) -> str:
    """The name under which pip installs a module."""
    return _DISTRIBUTIONS.get(module, module)


def is_installed(module: str) -> bool:
    """Whether a top-level module can be found. It is not imported, since that may take seconds."""
    if module in sys.modules:
        return sys.modules[module] is not None
    try:
        return importlib.util.find_spec(module) is not None
    except (ImportError, ValueError):  # raised by some import hooks
        return False
