"""Warnings about networks that work but are probably not what was intended: the list of all rules.

Each module registers the rules of one subject when it is imported. The papers' networks give no warning.
"""

from __future__ import annotations

from resnet_spec.lint import classifier, layers, names, residual, sizes, unused
from resnet_spec.lint.registry import RULES, LintContext, Rule, lint, rule

__all__ = ["RULES", "LintContext", "Rule", "classifier", "layers", "lint", "names", "residual", "rule", "sizes", "unused"]
