"""The error for a data set that cannot be used: one finding, which has no place in a spec."""

from __future__ import annotations

from resnet_spec.diagnostics import ArgumentError, DataError, Diagnostic

# What is wrong with the `--data` argument, or with reading what it names. Everything else is wrong with the data themselves.
_OF_ARGUMENT = frozenset(("missing-data", "unknown-data", "data-option", "unreadable-file"))


def refuse(code: str, message: str, help: str = "") -> ArgumentError | DataError:
    """The error to raise. Untrusted text in `message` has gone through `printable` already."""
    error = ArgumentError if code in _OF_ARGUMENT else DataError
    return error([Diagnostic(code, message, None, help=help)])
