"""What the tests of rules share: the codes of a spec's warnings, and the parts of small specs."""

from __future__ import annotations

import resnet_spec
from resnet_spec.diagnostics import Diagnostic

HEAD = """
head:
  avgpool: {op: adaptive_avg_pool2d, output_size: 1}
  flatten: flatten
  fc: {op: linear, out_features: classes}
"""


def spec(body: str, input: str = "3x32x32", classes: int = 10, head: str = HEAD) -> str:
    """A spec with a name that says nothing of its depth."""
    return f"spec: 1\nname: mine\ninput: {input}\nclasses: {classes}\n{body}{head}"


def find(text: str, code: str, select: bool = False) -> list[Diagnostic]:
    """The warnings of a spec with one code."""
    analysis = resnet_spec.analyze(text)
    return [finding for finding in analysis.lint([code] if select else []) if finding.code == code]


def only(text: str, code: str, select: bool = False) -> Diagnostic:
    (finding,) = find(text, code, select)
    return finding


def marked(finding: Diagnostic) -> str:
    """The text that a finding is about."""
    span = finding.span
    assert span is not None
    return span.source.line(span.line)[span.column - 1 : span.end_column - 1]
