"""Spec to Graph: every name is looked up, every expression evaluated, every block expanded.

Goes in: a Spec. Comes out: a Graph with the shapes at the spec's own input, or every independent finding. `names` checks what
can be known without a number; `scope` evaluates; `expand` builds.
"""

from __future__ import annotations

from resnet_spec.diagnostics import SpecError
from resnet_spec.frontend.spec import Spec
from resnet_spec.ir.graph import Graph

from .expand import Partial, expand, expand_partial
from .names import check_names
from .unused import check_unused

__all__ = ["Partial", "check_unused", "lower", "lower_partial"]


def lower(spec: Spec) -> Graph:
    """The graph of a spec; raises SpecError."""
    if findings := check_names(spec):
        raise SpecError(findings)
    return expand(spec)


def lower_partial(spec: Spec) -> Partial:
    """As much of a spec's graph as can be built; raises SpecError where its words and names mean nothing."""
    if findings := check_names(spec):
        raise SpecError(findings)
    return expand_partial(spec)
