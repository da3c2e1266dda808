"""Applies fixes to a text in rounds, each followed by a check, until none is left."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace

from .edits import apply_edits, select_compatible
from .model import Applicability, Diagnostic, Edit, Fix, Source
from .proving import UNREADABLE, CheckText, is_caused

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
        safe = [fix for fix in own if fix.applicability == "safe"]
        chosen = select_compatible(source, safe or own)  # what is likely may depend on what is sure
        for fixes in (chosen, chosen[:1]):
            edits = tuple(edit for fix in fixes for edit in fix.edits)
            after_source = replace(source, text=apply_edits(source, edits))
            after = check(after_source) if after_source.text != source.text else findings
            if after_source.text != source.text and not _is_worse(findings, after, edits, bool(safe)):
                source, findings = after_source, after
                applied += fixes
                break
        else:
            break
    return Repair(source, tuple(applied), tuple(findings))


def _is_worse(before: Sequence[Diagnostic], after: Sequence[Diagnostic], edits: Sequence[Edit], safe: bool) -> bool:
    """Whether nothing has gone, or what has come is more: for `safe` fixes, which may uncover other mistakes, errors that
    they cause; for others, more errors than have gone."""
    old = {(each.code, each.message) for each in before}
    new = {(each.code, each.message) for each in after}
    came = [each for each in after if each.severity == "error" and (each.code, each.message) not in old]
    if not old - new:
        return True
    if any(each.code in UNREADABLE for each in came):  # such as two fixes that made one key twice
        return is_caused(came, edits, before)
    gone = {(each.code, each.message) for each in before if each.severity == "error"} - new
    return is_caused(came, edits, before) if safe else len(came) > len(gone)
