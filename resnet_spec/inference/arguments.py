"""Checks the arguments that `evaluate` and `predict` share."""

from __future__ import annotations

from pathlib import Path

from resnet_spec.data.kinds import KINDS
from resnet_spec.diagnostics.arguments import as_integer, quote, require_choice, wrong_argument
from resnet_spec.training.recipe import Precision

PRECISIONS: tuple[Precision, ...] = ("fp32", "bf16", "fp16")
DEVICES = ("auto", "cpu", "cuda", "mps")
_PRECISION_SYNONYMS = {"half": "fp16", "float16": "fp16", "bfloat16": "bf16", "float32": "fp32", "float": "fp32"}


def require_precision(value: object) -> Precision:
    """Return a precision. Raises ArgumentError for anything else."""
    return require_choice("precision", value, PRECISIONS, _PRECISION_SYNONYMS)


def require_integer(name: str, value: object, least: int) -> int:
    """Return an integer of at least `least`. Raises ArgumentError for anything else."""
    number = as_integer(value)
    if number is None or number < least:
        raise wrong_argument(f"`{name}` takes an integer, {least} or more, not {quote(value)}")
    return number


def require_run(value: object) -> Path:
    """Return the path of a run folder or a file of weights. Raises ArgumentError; whether it exists is checked later."""
    if not isinstance(value, str | Path):
        raise wrong_argument(f"`path` takes a run folder or a file of weights, not {quote(value)}")
    return Path(value)


def require_data(value: object) -> str:
    """Return a `--data` argument. Raises ArgumentError; whether the data exist is checked later."""
    if not isinstance(value, str):
        raise wrong_argument(f"`data` takes one of {', '.join(kind.usage for kind in KINDS.values())}, not {quote(value)}")
    return value


def require_device(value: object) -> str:
    """Return the name of a device. Raises ArgumentError; whether the machine has it is checked later."""
    if not isinstance(value, str):
        raise wrong_argument(f"`device` takes the name of a device, {', '.join(DEVICES)}, not {quote(value)}")
    return value
