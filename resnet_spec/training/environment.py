"""The environment of a run: versions and machine, for its record; and torch's deterministic algorithms."""

from __future__ import annotations

import os
import platform
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import PackageNotFoundError, version

import torch


def describe_environment() -> dict[str, str]:
    """Versions, machine, command and time."""
    return {
        "python": platform.python_version(),
        **{name: _version(name) or "not installed" for name in ("torch", "torchvision", "numpy", "pillow")},
        **({"simplejpeg": simplejpeg} if (simplejpeg := _version("simplejpeg")) else {}),
        "system": platform.platform(),
        "processor": platform.processor() or platform.machine(),
        "cores": str(os.cpu_count()),
        "threads": str(torch.get_num_threads()),
        "gpu": torch.cuda.get_device_name() if torch.cuda.is_available() else "none",
        "command": " ".join(sys.argv),
        "started": time.strftime("%Y-%m-%d %H:%M:%S %z"),
    }


def _version(package: str) -> str:
    """The version of a package; empty if its metadata are missing, as those of a package that is not installed are."""
    try:
        return version(package)
    except PackageNotFoundError:
        return ""


@contextmanager
def deterministic_algorithms(wanted: bool) -> Iterator[None]:
    """Where `wanted`, only algorithms that give the same bits each time."""
    before = torch.are_deterministic_algorithms_enabled()
    torch.use_deterministic_algorithms(wanted or before)
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(before)
