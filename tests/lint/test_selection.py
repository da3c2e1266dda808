"""Which rules run: those that are on by default, others on request, and comments that take warnings back."""

from __future__ import annotations

import pytest

import resnet_spec
from resnet_spec.language.catalog import catalog
from resnet_spec.lint.rules import RULES, LintContext, lint, rule
from tests.lint.examples import spec

OFF = {code for code, each in RULES.items() if not each.by_default}
ODD = spec("stem: {c: {op: conv2d, out_channels: 12, kernel_size: 3, padding: 1}}\nparams: {n: 1}\n", "3x3x3")


def codes(select: tuple[str, ...] = ()) -> set[str]:
    return {finding.code for finding in resnet_spec.analyze(ODD).lint(select)}


def test_some_rules_are_off_by_default() -> None:
    assert {"width-not-multiple-of-8", "stride-on-first-1x1", "strided-projection"} == OFF


def test_a_rule_that_is_off_runs_where_it_is_selected() -> None:
    assert codes() == {"unused-definition"}
    assert codes(("width-not-multiple-of-8",)) == {"unused-definition", "width-not-multiple-of-8"}
    assert codes(tuple(catalog())) == codes(("width-not-multiple-of-8",))


def test_the_explanation_of_a_rule_says_whether_it_is_off() -> None:
    texts = {code: explanation.text for code, explanation in catalog().items()}
    assert {code for code, text in texts.items() if "off by default" in text} == OFF
    assert all(texts[code].startswith("A warning, off by default: ") for code in OFF)
    assert all(texts[code].startswith("A warning: ") for code in RULES.keys() - OFF)
    assert all(f"`check --select {code}`" in texts[code] for code in OFF)


def test_two_rules_cannot_have_one_code() -> None:
    with pytest.raises(ValueError, match="two rules are called redundant-bias"):
        rule("redundant-bias")(lambda context: iter(()))


def test_a_rule_yields_findings_of_its_own_code_only() -> None:
    analysis = resnet_spec.analyze("variants/resnet18_96px")
    context = LintContext(analysis.spec, analysis.graph, analysis.accepted, analysis.overridden)
    for code, each in RULES.items():
        assert {finding.code for finding in each.check(context)} <= {code}
    assert {finding.code for finding in lint(context)} == {"redundant-bias", "relu-before-sum", "fixed-input-size"}
