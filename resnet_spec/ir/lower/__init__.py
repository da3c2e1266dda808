"""Spec to Graph: every name is looked up, every expression evaluated, every block expanded.

Goes in: a Spec. Comes out: a Graph with the shapes at the spec's own input, or every independent finding. `names` checks what
can be known without a number; `scope` evaluates; `expand` builds.
"""

from __future__ import annotations

from resnet_spec.diagnostics import SpecError
from resnet_spec.frontend.spec import Spec
from resnet_spec.ir.graph import Graph

from .expand import expand
from .names import check_names

__all__ = ["lower"]


def lower(spec: Spec) -> Graph:
    """The graph of a spec; raises SpecError."""
    if findings := check_names(spec):
        raise SpecError(findings)
    return expand(spec)
