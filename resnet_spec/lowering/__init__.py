"""Spec to Graph: every name is looked up, every expression evaluated, every block expanded.

Goes in: a Spec. Comes out: a Graph with the shapes at the spec's own input, or every independent finding. `names` checks what
can be known without a number; `scope` evaluates; `expand` builds.
"""

from __future__ import annotations

from collections.abc import Sequence

from resnet_spec.diagnostics import Diagnostic, SpecError
from resnet_spec.graph.model import Graph
from resnet_spec.language.spec import Spec
from resnet_spec.lowering.conflict import independent
from resnet_spec.lowering.expand import Partial, expand, expand_partial
from resnet_spec.lowering.names import check_names

__all__ = ["Partial", "lower", "lower_partial", "more_findings"]


def lower(spec: Spec) -> Graph:
    """The graph of a spec; raises SpecError."""
    findings, marked = check_names(spec)
    if findings:
        raise SpecError([*findings, *_beyond(marked, findings)])
    return expand(spec)


def lower_partial(spec: Spec) -> Partial:
    """As much of a spec's graph as can be built; raises SpecError where its words and names mean nothing."""
    findings, marked = check_names(spec)
    if findings:
        raise SpecError([*findings, *_beyond(marked, findings)])
    return expand_partial(spec)


def more_findings(spec: Spec, told: Sequence[Diagnostic], whole: bool) -> list[Diagnostic]:
    """What else is wrong with a spec in which the uses and blocks that were `told` about are marked as invalid.

    `whole`: the sequence of its operations is known, so that shapes can be checked too.
    """
    named, marked = check_names(spec)
    named = independent(named, told)
    return [*named, *(_beyond(marked, [*told, *named]) if whole else ())]


def _beyond(spec: Spec, told: Sequence[Diagnostic]) -> list[Diagnostic]:
    """The conflicts that have nothing to do with what was told."""
    return independent(expand_partial(spec).findings, told)
