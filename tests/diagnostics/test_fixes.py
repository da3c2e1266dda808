"""Every suggested fix works: applied to the text, its finding is gone, and no other error has come."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from random import Random

import pytest

from resnet_spec import compiler
from resnet_spec.compiler import Target
from resnet_spec.diagnostics import Diagnostic, ResnetSpecError, Source
from resnet_spec.diagnostics.edits import apply_edits, select_compatible, written_ranges
from tests.networks import FAMILIES, different_networks
from tests.spec_mutants import mutants

FOLDER = Path(__file__).parent.parent / "invalid"
CASES = sorted(path.stem for path in FOLDER.glob("*.yaml"))
LEAST_RATE = 0.7  # of the mutants that lead back to a network
EACH = 2  # mutants of a kind and a spec


def check(target: Target) -> Sequence[Diagnostic]:
    try:
        analysis = compiler.analyze(target)
        return compiler.prove_warnings(analysis, target)
    except ResnetSpecError as error:
        return error.diagnostics


def errors(findings: Sequence[Diagnostic]) -> Counter[tuple[str, str]]:
    return Counter((each.code, each.message) for each in findings if each.severity == "error")


@pytest.mark.parametrize("name", CASES)
def test_every_fix_of_a_golden_mistake_works(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(FOLDER)
    try:
        target = compiler.find(f"{name}.yaml")
    except ResnetSpecError:  # a file that cannot be decoded
        return
    findings = check(target)
    before = Counter((each.code, each.message) for each in findings)
    for finding in findings:
        for fix in finding.fixes:
            assert fix.applicability in ("safe", "likely")
            assert fix.title
            assert all(edit.span.source is target.source for edit in fix.edits)
            after = check(replace(target, source=replace(target.source, text=apply_edits(target.source, fix.edits))))
            left = Counter((each.code, each.message) for each in after)[finding.code, finding.message]
            assert left < before[finding.code, finding.message]
            came = [each for each in after if each.severity == "error" and not errors(findings)[each.code, each.message]]
            if fix.applicability != "safe":
                assert not came
            for each in came:  # a mistake that the corrected one has hidden: elsewhere than what was written
                assert each.span is not None
                if each.code in ("yaml-syntax", "duplicate-key"):
                    assert finding.code == "yaml-syntax"  # the text can be read further than before
                begin, end = (each.span.line, each.span.column), (each.span.end_line, each.span.end_column)
                assert all(end <= first or last <= begin for first, last in written_ranges(fix.edits))


def test_many_golden_mistakes_have_a_fix(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(FOLDER)
    fixed = 0
    for name in CASES:
        try:
            findings = check(compiler.find(f"{name}.yaml"))
        except ResnetSpecError:
            continue
        fixed += any(finding.fixes for finding in findings)
    assert fixed >= len(CASES) // 2


# each takes seconds, so few of the families of other people
SOME_FAMILIES = ("convnext_tiny", "googlenet", "inception_v3", "mobilenet_v3_small", "shufflenet_v2_x1_0", "regnet_y_400mf")
MUTATED = [name for name in different_networks() if not name.startswith(FAMILIES) or name.endswith(SOME_FAMILIES)]


@pytest.mark.slow
@pytest.mark.parametrize("promised", [True, False], ids=["with expect", "without expect"])
def test_mutants_of_shipped_specs_lead_back_to_a_network(
    promised: bool, record_property: Callable[[str, object], None]
) -> None:
    """Of the mutants that have a finding, most check after at most two rounds of the first fixes."""
    wrong: Counter[str] = Counter()
    repaired: Counter[str] = Counter()
    for name in MUTATED:
        target = compiler.find(name)
        text = target.source.text
        if not promised:
            text = "".join(line for line in text.splitlines(keepends=True) if not line.startswith("expect:"))
        for kind, mutant in mutants(text, Random(name), EACH):
            broken = replace(target, source=Source(target.source.name, mutant))
            findings = check(broken)
            if errors(findings):
                wrong[kind] += 1
                repaired[kind] += leads_back(broken, findings)
    rates = {kind: f"{repaired[kind]}/{wrong[kind]}" for kind in wrong}
    total = repaired.total() / wrong.total()
    record_property("rates", rates)
    print(f"{repaired.total()} of {wrong.total()} mutants lead back to a network ({total:.0%}): {rates}")
    assert wrong.total() >= 100
    assert total >= LEAST_RATE


def leads_back(target: Target, findings: Sequence[Diagnostic]) -> bool:
    """Whether at most two rounds of applying the first fix of each error lead to a spec without errors."""
    for _ in range(2):
        first = [finding.fixes[0] for finding in findings if finding.severity == "error" and finding.fixes]
        chosen = select_compatible(target.source, first)
        text = apply_edits(target.source, [edit for fix in chosen for edit in fix.edits])
        target = replace(target, source=replace(target.source, text=text))
        findings = check(target)
        if not errors(findings):
            return True
    return False
