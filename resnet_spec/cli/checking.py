"""Checks one file for `check`, and keeps what the formats of its output need."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from resnet_spec import compiler
from resnet_spec.cli.common import find_target
from resnet_spec.diagnostics import Diagnostic, ResnetSpecError
from resnet_spec.ops import show

CheckedKind = Literal["spec", "recipe", "patch"]


@dataclass(frozen=True, slots=True)
class CheckOptions:
    """How files are checked: the patches of `--set`, `--spec-root`, and the codes of `--select`."""

    sets: tuple[str, ...] = ()
    spec_root: str | None = None
    select: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class CheckedFile:
    """The result of one file.

    `kind` is None for a file that cannot be read. `summary` is the text about one without errors, and `facts` the same for
    programs. `exit_code` is that of its errors: 0, 1, or 2 if it cannot be read.
    """

    name: str
    kind: CheckedKind | None
    findings: tuple[Diagnostic, ...]
    exit_code: int = 0
    summary: str = ""
    facts: Mapping[str, object] = field(default_factory=dict)


def check_file(name: str, options: CheckOptions) -> CheckedFile:
    """Check a file, a shipped spec, or standard input (`-`)."""
    try:
        target = find_target(name, None, options.spec_root)
    except ResnetSpecError as error:
        return CheckedFile(name, None, error.diagnostics, error.exit_code)
    return check_target(name, target, options)


def check_target(name: str, target: compiler.Target, options: CheckOptions) -> CheckedFile:
    """Check a spec that was read from a file."""
    try:
        analysis = compiler.analyze(target, options.sets)
        warnings = compiler.prove_warnings(analysis, target, options.sets, options.select)
    except ResnetSpecError as error:
        return CheckedFile(name, "spec", error.diagnostics, error.exit_code)
    summary, facts = _describe_network(analysis)
    return CheckedFile(name, "spec", tuple(warnings), 0, summary, facts)


def _describe_network(analysis: compiler.Analysis) -> tuple[str, dict[str, object]]:
    """Describe a network without errors, as text and as data."""
    note = "" if analysis.expect_checked or analysis.spec.expect is None else ", `expect` is not checked with --set"
    sizes = f"{show(analysis.input)} -> {show(analysis.output)}"
    total, accepted = analysis.total, analysis.accepted.describe()
    counts = f"{total.params:,} parameters, {total.macs:,} multiply-adds"
    facts: dict[str, object] = {
        "name": analysis.spec.name,
        "input": list(analysis.input),
        "output": list(analysis.output),
        "params": total.params,
        "buffers": total.buffers,
        "macs": total.macs,
        "accepts": accepted,
    }
    return f"{sizes}, {counts}, accepts {accepted}{note}", {"network": facts}
