"""How a data set that cannot be used is refused: one finding, about no text of a spec."""

from __future__ import annotations

from resnet_spec.diagnostics import Diagnostic, SpecError


def refuse(code: str, message: str, help: str = "") -> SpecError:
    """The error to raise. Foreign text in `message` has gone through `printable` already."""
    return SpecError([Diagnostic(code, message, None, help=help)])
