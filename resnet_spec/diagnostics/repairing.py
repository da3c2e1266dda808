"""Applies fixes to a text in rounds, each followed by a check, until none is left."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace

from .edits import apply_edits, select_compatible
from .model import Applicability, Diagnostic, Fix, Source
from .proving import CheckText

MOST_ROUNDS = 10


@dataclass(frozen=True, slots=True)
class Repair:
    """What became of a text: the source after all rounds, the fixes that were applied, and the findings that remain."""

    source: Source
    applied: tuple[Fix, ...]
    findings: tuple[Diagnostic, ...]


def repair(source: Source, check: CheckText, allowed: Collection[Applicability]) -> Repair:
    """Apply the fixes of the findings about a text, if they are of an allowed applicability.

    In one round, fixes do not overlap. A round after which there are new errors is made again with its first fix alone, and
    given up if that does not help: fixes that work one by one may contradict each other.

    Args:
        check: returns the findings about a text, with fixes that were proven.
    """
    applied: list[Fix] = []
    findings = check(source)
    for _ in range(MOST_ROUNDS):
        proposed = [fix for finding in findings for fix in finding.fixes[:1] if fix.applicability in allowed]
        own = [fix for fix in proposed if all(edit.span.source is source for edit in fix.edits)]
        chosen = select_compatible(source, own)
        for fixes in (chosen, chosen[:1]):
            text = apply_edits(source, [edit for fix in fixes for edit in fix.edits])
            after_source = replace(source, text=text)
            after = check(after_source) if text != source.text else findings
            if text != source.text and not _is_worse(findings, after):
                source, findings = after_source, after
                applied += fixes
                break
        else:
            break
    return Repair(source, tuple(applied), tuple(findings))


def _is_worse(before: Sequence[Diagnostic], after: Sequence[Diagnostic]) -> bool:
    """Whether no error has gone, or more have come than have gone."""
    old = {(each.code, each.message) for each in before if each.severity == "error"}
    new = {(each.code, each.message) for each in after if each.severity == "error"}
    warned = {(each.code, each.message) for each in before} - {(each.code, each.message) for each in after}
    return len(new - old) > len(old - new) or not (old - new or warned)
