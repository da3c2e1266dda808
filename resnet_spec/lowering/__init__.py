"""Spec to graph: names are resolved, expressions evaluated, blocks expanded, and shapes computed at the spec's own input.

`names` checks what can be known before any number is. `scope` and `values` evaluate. `expand` builds the network: `blocks` its
operations and blocks, in a `body`. `findings` collects what is wrong; `problems` and `join_conflict` explain it.
"""

from __future__ import annotations

from collections.abc import Sequence

from resnet_spec.diagnostics import Diagnostic, SpecError
from resnet_spec.graph.model import Graph
from resnet_spec.language.spec import Spec
from resnet_spec.lowering.expand import Partial, expand, expand_partial
from resnet_spec.lowering.findings import independent
from resnet_spec.lowering.names import check_names

__all__ = ["Partial", "lower", "lower_partial", "more_findings"]


def lower(spec: Spec) -> Graph:
    """The graph of a spec.

    Raises:
        SpecError: with every independent finding.
    """
    _refuse_unknown_names(spec)
    return expand(spec)


def lower_partial(spec: Spec) -> Partial:
    """As much of a spec's graph as can be built.

    Raises:
        SpecError: where its keywords and names have no meaning.
    """
    _refuse_unknown_names(spec)
    return expand_partial(spec)


def _refuse_unknown_names(spec: Spec) -> None:
    findings, marked = check_names(spec)
    if findings:
        raise SpecError([*findings, *_other_conflicts(marked, findings)])


def more_findings(spec: Spec, reported: Sequence[Diagnostic], whole: bool) -> list[Diagnostic]:
    """What else is wrong with a spec that was `reported` to have a wrong form in places, which are marked as invalid.

    `whole`: the sequence of its operations is known, so shapes can be computed too.
    """
    named, marked = check_names(spec)
    named = independent(named, reported)
    return [*named, *(_other_conflicts(marked, [*reported, *named]) if whole else ())]


def _other_conflicts(spec: Spec, reported: Sequence[Diagnostic]) -> list[Diagnostic]:
    """The findings of the expansion that have nothing to do with what was reported."""
    return independent(expand_partial(spec).findings, reported)
