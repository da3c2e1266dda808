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
from functools import cached_property

from .edits import Ranges, apply_edits, written_ranges
from .model import Diagnostic, Edit, Fix, Source

MOST_TRIALS = 24
MOST_FINDINGS = 1000  # about one text: with more, no fix is tried, since each trial finds them all again
MOST_EDITS = 2000  # of a fix, which makes them for all equal findings
MOST_SECONDS = 0.6  # of processor time, after which no further trial begins: for networks that take long to check

CheckText = Callable[[Source], Sequence[Diagnostic]]
_Key = tuple[str, str]
_HIDING = {  # mistakes in the form of an entry, before whose correction the rest of it is not checked
    *("unknown-field", "unknown-operation", "unknown-block", "invalid-name", "nothing-to-patch", "nothing-to-delete"),
    *("wrong-type", "unquoted-call", "full-width", "missing-version", "unknown-version", "key-type", "yaml-syntax"),
}
UNREADABLE = ("yaml-syntax", "duplicate-key")  # after one of these, nothing else is known about a text


def prove_fixes(findings: Sequence[Diagnostic], main: Source, check: CheckText) -> list[Diagnostic]:
    """Keep, of the fixes of each finding, the first that works and the hints.

    Args:
        main: the text that the fixes may edit; those that edit another one are dropped.
        check: returns the findings about a text in the place of `main`.
    """
    if len(findings) > MOST_FINDINGS:
        return [replace(finding, fixes=()) for finding in findings]
    reported = Counter(map(_key, findings))
    trials = _Trials(main, check, reported)
    return [_with_proven(finding, trials) for finding in findings]


class _Trials:
    """The trials of fixes, of which there are not too many."""

    def __init__(self, main: Source, check: CheckText, reported: Counter[_Key]) -> None:
        self.main, self.check, self.reported = main, check, reported
        self.left = MOST_TRIALS
        self.until = time.process_time() + MOST_SECONDS
        self.found: dict[tuple[Edit, ...], _Trial | None] = {}  # by the edits

    def works(self, finding: Diagnostic, fix: Fix, strict: bool) -> bool:
        """Whether a finding disappears with a fix, and no other error appears; if not `strict`, none but of `expect`."""
        if not 0 < len(fix.edits) <= MOST_EDITS or any(edit.span.source is not self.main for edit in fix.edits):
            return False
        if fix.edits not in self.found:
            if not self.left or time.process_time() > self.until:
                return False
            self.left -= 1
            self.found[fix.edits] = self._try(fix.edits)
        outcome = self.found[fix.edits]
        key = _key(finding)
        if outcome is None or outcome.counts[key] >= self.reported[key]:
            return False
        new = outcome.new if strict else outcome.new_but_expect
        if finding.code not in _HIDING and new.is_near:
            return False
        return not new.errors or (fix.applicability == "safe" and not new.is_caused(finding))

    def _try(self, edits: tuple[Edit, ...]) -> _Trial | None:
        """Check the text with some edits; None if they change nothing."""
        text = self.main.text
        with suppress(ValueError):  # edits of equal findings that overlap
            text = apply_edits(self.main, edits)
        return None if text == self.main.text else _Trial(self.check(replace(self.main, text=text)), edits, self.reported)


class _Trial:
    """What is found in a text with some edits: the number of findings of each kind, and the errors that were not there before.

    Many findings may have the same fix, so nothing is computed for each of them.
    """

    def __init__(self, after: Sequence[Diagnostic], edits: Sequence[Edit], reported: Counter[_Key]) -> None:
        self.counts = Counter(map(_key, after))
        errors = [each for each in after if each.severity == "error" and _key(each) not in reported]
        self.new = _NewErrors(errors, edits)
        # what the network promises of itself could not be checked before
        self.new_but_expect = _NewErrors([each for each in errors if each.code != "expect-broken"], edits)


class _NewErrors:
    """The errors that appear with some edits."""

    def __init__(self, errors: Sequence[Diagnostic], edits: Sequence[Edit]) -> None:
        self.errors, self.edits = errors, edits

    @cached_property
    def is_near(self) -> bool:
        """Whether one of them is on a line that is edited."""
        lines = Ranges(((each.span.line, 0), (each.span.end_line + each.text.count("\n") + 1, 0)) for each in self.edits)
        return any(each.span is None or lines.overlap((each.span.line, 0), (each.span.line, 1)) for each in self.errors)

    def is_caused(self, finding: Diagnostic) -> bool:
        """Whether one of them is about what the edits write, which are a fix of a finding."""
        return is_caused(self.errors, self.edits, [finding]) if finding.code in UNREADABLE else self._is_caused

    @cached_property
    def _is_caused(self) -> bool:
        return is_caused(self.errors, self.edits, ())


def _key(finding: Diagnostic) -> _Key:
    return finding.code, finding.message


def is_caused(findings: Sequence[Diagnostic], edits: Sequence[Edit], before: Sequence[Diagnostic]) -> bool:
    """Whether one of the findings, which were not `before`, is about what edits write.

    Others may be mistakes that the corrected one has hidden: the fields of an operation are not checked before its name is
    known.
    """
    written = Ranges(written_ranges(edits))
    names = {edit.span.source.name for edit in edits}
    unreadable = max((each.span.line for each in before if each.code in UNREADABLE and each.span is not None), default=0)
    for finding in findings:
        span = finding.span
        if span is None or (finding.code in UNREADABLE and not 0 < unreadable < span.line):
            return True  # unless the text can be read up to a later line now
        if span.source.name not in names:
            continue
        begin, end = (span.line, span.column), (span.end_line, span.end_column)
        if written.overlap(begin, end):
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
