"""Checks of the arguments that `evaluate` and `predict` take, which a caller in Python may get wrong."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from resnet_spec.diagnostics import ArgumentError, Diagnostic, suggestion

PRECISIONS = ("fp32", "bf16", "fp16")
SPLITS = ("train", "validation", "test")
DEVICES = ("auto", "cpu", "cuda", "mps")
_SYNONYMS = {"val": "validation", "valid": "validation", "dev": "validation", "half": "fp16", "float32": "fp32"}


def check_choice(name: str, value: object, choices: Sequence[str]) -> None:
    """Raise ArgumentError where `value` is none of `choices`."""
    if not isinstance(value, str) or value not in choices:
        near = suggestion(value, choices, _SYNONYMS, 0) if isinstance(value, str) else ""
        raise refuse_argument(name, ", ".join(choices), value, near)


def check_integer(name: str, value: object, least: int) -> None:
    """Raise ArgumentError where `value` is not an integer of at least `least`."""
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise refuse_argument(name, f"an integer, {least} or more", value)


def check_device(value: object) -> None:
    """Raise ArgumentError where `value` is not the name of a device. Whether the machine has it is checked later."""
    if not isinstance(value, str):
        raise refuse_argument("device", ", ".join(DEVICES), value)


def check_path(name: str, value: object, what: str) -> None:
    """Raise ArgumentError where `value` is not a path."""
    if not isinstance(value, str | Path):
        raise refuse_argument(name, what, value)


def refuse_argument(name: str, accepted: str, value: object, help: str = "") -> ArgumentError:
    """The error for an argument: its name, what is accepted, and what was given."""
    shown = ascii(value)
    shown = shown if len(shown) <= 60 else f"{shown[:57]}..."
    return ArgumentError([Diagnostic("invalid-argument", f"`{name}` takes {accepted}, not {shown}", None, help=help)])
