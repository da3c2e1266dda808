"""Spec to Graph: every name is looked up, every expression evaluated, every block expanded.

Goes in: a Spec. Comes out: a Graph with the shapes at the spec's own input, or every independent finding. `names` checks what
can be known without a number; `scope` evaluates; `expand` builds.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

from resnet_spec.diagnostics import Diagnostic, SpecError
from resnet_spec.graph.model import Graph
from resnet_spec.language.spec import Spec
from resnet_spec.lowering.conflict import independent
from resnet_spec.lowering.expand import Partial, expand, expand_partial
from resnet_spec.lowering.names import check_names

__all__ = ["Partial", "lower", "lower_partial", "more_findings"]


def lower(spec: Spec) -> Graph:
    """The graph of a spec; raises SpecError."""
    findings, failed = check_names(spec)
    if findings:
        raise SpecError([*findings, *_beyond(spec, findings, failed)])
    return expand(spec)


def lower_partial(spec: Spec) -> Partial:
    """As much of a spec's graph as can be built; raises SpecError where its words and names mean nothing."""
    findings, failed = check_names(spec)
    if findings:
        raise SpecError([*findings, *_beyond(spec, findings, failed)])
    return expand_partial(spec)


def more_findings(spec: Spec, told: Sequence[Diagnostic], failed: Collection[int], whole: bool) -> list[Diagnostic]:
    """What else is wrong with a spec whose form was `told` to be wrong in places; `failed` are the uses and blocks there.

    `whole`: the sequence of its operations is known, so that shapes can be said too.
    """
    named, nameless = check_names(spec, failed)
    named = independent(named, told)
    return [*named, *(_beyond(spec, [*told, *named], nameless) if whole else ())]


def _beyond(spec: Spec, told: Sequence[Diagnostic], failed: Collection[int]) -> list[Diagnostic]:
    """The conflicts that have nothing to do with what was told."""
    return independent(expand_partial(spec, failed).findings, told)
