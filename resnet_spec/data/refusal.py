"""The error for a data set that cannot be used, with one finding, which has no place in a text."""

from __future__ import annotations

from resnet_spec.diagnostics import ArgumentError, DataError, Diagnostic

# Codes about the `--data` argument, or about reading what it names. All others are about the data themselves.
_OF_ARGUMENT = frozenset(("missing-data", "unknown-data", "data-option", "unreadable-file", "later-version"))


def refuse(code: str, message: str, help: str = "") -> ArgumentError | DataError:
    """Make the error to raise. `printable` was already applied to untrusted text in `message`."""
    error = ArgumentError if code in _OF_ARGUMENT else DataError
    return error([Diagnostic(code, message, None, help=help)])
