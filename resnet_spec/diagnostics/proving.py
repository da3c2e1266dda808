"""Proves fixes: a fix is suggested only if the text with its edits was checked, and its finding is gone without a new error.

The parts that report a finding propose fixes, the most specific first. Several may be plausible, and which of them works often
depends on the rest of the network, so each is tried.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace

from .edits import apply_edits, written_ranges
from .model import Diagnostic, Edit, Fix, Source

MOST_TRIALS = 40
MOST_SECONDS = 0.4  # of processor time, after which no further trial begins

Check = Callable[[Source], Sequence[Diagnostic]]
_Key = tuple[str, str]
_HIDING = {  # mistakes in the form of an entry, before whose correction the rest of it is not checked
    *("unknown-field", "unknown-operation", "unknown-block", "invalid-name", "nothing-to-patch", "nothing-to-delete"),
    *("wrong-type", "unquoted-call", "full-width", "missing-version", "unknown-version", "key-type", "yaml-syntax"),
}
UNREADABLE = ("yaml-syntax", "duplicate-key")  # after one of these, nothing else is known about a text


def prove_fixes(findings: Sequence[Diagnostic], main: Source, check: Check) -> list[Diagnostic]:
    """Keep, of the fixes of each finding, the first that works and the hints.

    Args:
        main: the text that the fixes may edit; those that edit another one are dropped.
        check: returns the findings about a text in the place of `main`.
    """
    reported = Counter(map(_key, findings))
    trials = _Trials(main, check, reported)
    return [_with_proven(finding, trials) for finding in findings]


class _Trials:
    """The trials of fixes, of which there are not too many."""

    def __init__(self, main: Source, check: Check, reported: Counter[_Key]) -> None:
        self.main, self.check, self.reported = main, check, reported
        self.left = MOST_TRIALS
        self.until = time.process_time() + MOST_SECONDS
        self.found: dict[tuple[object, ...], Sequence[Diagnostic] | None] = {}  # by the edits

    def works(self, finding: Diagnostic, fix: Fix, strict: bool) -> bool:
        """Whether a finding disappears with a fix, and no other error appears; if not `strict`, none but of `expect`."""
        if not fix.edits or any(edit.span.source is not self.main for edit in fix.edits):
            return False
        if fix.edits not in self.found:
            if not self.left or time.process_time() > self.until:
                return False
            self.left -= 1
            text = self.main.text
            with suppress(ValueError):  # edits of equal findings that overlap
                text = apply_edits(self.main, fix.edits)
            self.found[fix.edits] = None if text == self.main.text else self.check(replace(self.main, text=text))
        after = self.found[fix.edits]
        key = _key(finding)
        if after is None or sum(_key(each) == key for each in after) >= self.reported[key]:
            return False
        new = [each for each in after if each.severity == "error" and _key(each) not in self.reported]
        if not strict:  # what the network promises of itself could not be checked before
            new = [each for each in new if each.code != "expect-broken"]
        if finding.code not in _HIDING and any(_is_near(each, fix) for each in new):
            return False
        return not new or (fix.applicability == "safe" and not is_caused(new, fix.edits, [finding]))


def _key(finding: Diagnostic) -> _Key:
    return finding.code, finding.message


def _is_near(finding: Diagnostic, fix: Fix) -> bool:
    """Whether a finding is on a line that a fix edits."""
    span = finding.span
    return span is None or any(edit.span.line <= span.line <= edit.span.end_line + edit.text.count("\n") for edit in fix.edits)


def is_caused(findings: Sequence[Diagnostic], edits: Sequence[Edit], before: Sequence[Diagnostic]) -> bool:
    """Whether one of the findings, which were not `before`, is about what edits write.

    Others may be mistakes that the corrected one has hidden: the fields of an operation are not checked before its name is
    known.
    """
    written = written_ranges(edits)
    names = {edit.span.source.name for edit in edits}
    unreadable = max((each.span.line for each in before if each.code in UNREADABLE and each.span is not None), default=0)
    for finding in findings:
        span = finding.span
        if span is None or (finding.code in UNREADABLE and not 0 < unreadable < span.line):
            return True  # unless the text can be read up to a later line now
        if span.source.name not in names:
            continue
        begin, end = (span.line, span.column), (span.end_line, span.end_column)
        if any(begin < last and first < end for first, last in written):
            return True
    return False


def _with_proven(finding: Diagnostic, trials: _Trials) -> Diagnostic:
    if not finding.fixes:
        return finding
    edits = [fix for fix in finding.fixes if fix.applicability != "hint"]
    proven = next((fix for strict in (True, False) for fix in edits if trials.works(finding, fix, strict)), None)
    hints = tuple(fix for fix in finding.fixes if fix.applicability == "hint")
    if proven is None:
        return replace(finding, fixes=hints)
    return replace(finding, fixes=(proven, *hints), help=proven.title if proven.is_help else finding.help)
