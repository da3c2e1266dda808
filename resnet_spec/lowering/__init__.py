"""Lowers a Spec to a Graph: resolves names, evaluates expressions, expands blocks, computes shapes at the input size.

`names` checks what can be checked before evaluation. `scope` and `values` evaluate. `expand` builds the network: `blocks` its
operations and blocks, in a `body`. `findings` collects mistakes; `problems` and `join_conflict` explain them.
"""

from __future__ import annotations

from collections.abc import Sequence

from resnet_spec.diagnostics import Diagnostic, SpecError
from resnet_spec.graph.model import Graph
from resnet_spec.language.spec import Spec
from resnet_spec.lowering.expand import Partial, expand, expand_partial
from resnet_spec.lowering.findings import independent
from resnet_spec.lowering.names import check_names

__all__ = ["Partial", "check_names", "lower", "lower_partial", "more_findings"]


def lower(spec: Spec) -> Graph:
    """Lower a spec to its graph.

    Raises:
        SpecError: with every independent finding.
    """
    _refuse_unknown_names(spec)
    return expand(spec)


def lower_partial(spec: Spec) -> Partial:
    """Lower a spec as far as possible.

    Raises:
        SpecError: if its names cannot be resolved.
    """
    _refuse_unknown_names(spec)
    return expand_partial(spec)


def _refuse_unknown_names(spec: Spec) -> None:
    findings, marked = check_names(spec)
    if findings:
        raise SpecError([*findings, *_other_conflicts(marked, findings)])


def more_findings(spec: Spec, reported: Sequence[Diagnostic], whole: bool) -> list[Diagnostic]:
    """Find further mistakes in a spec whose form has the findings `reported`; what these are about is marked as invalid.

    `whole`: the sequence of its operations is known, so shapes can be checked too.
    """
    named, marked = check_names(spec)
    named = independent(named, reported)
    return [*named, *(_other_conflicts(marked, [*reported, *named]) if whole else ())]


def _other_conflicts(spec: Spec, reported: Sequence[Diagnostic]) -> list[Diagnostic]:
    """The findings of the expansion that are independent of those reported."""
    return independent(expand_partial(spec).findings, reported)
