"""Checks one file for `check`, and keeps what the formats of its output need."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Literal

from resnet_spec import compiler
from resnet_spec.cli.common import find_target
from resnet_spec.diagnostics import Diagnostic, ResnetSpecError
from resnet_spec.diagnostics.text import count_text, join_first
from resnet_spec.language.document_kinds import find_kind
from resnet_spec.ops import show

CheckedKind = Literal["spec", "recipe", "patch"]


@dataclass(frozen=True, slots=True)
class CheckOptions:
    """How files are checked: the patches of `--set`, `--spec-root`, the codes of `--select`, and the spec that the files are
    patches of (`--on`)."""

    sets: tuple[str, ...] = ()
    spec_root: str | None = None
    base: compiler.Target | None = None
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
    """Check a spec, a recipe or a patch that was read."""
    kind: CheckedKind = "spec"
    try:
        if find_kind(target.source.text) == "recipe":
            kind = "recipe"
            return _check_recipe(name, target)
        is_alone = options.base is None and not options.sets  # `--set` changes a network, which a patch alone is not
        if is_alone and (patch := compiler.check_patch(target)) is not None:
            return _describe_patch(name, patch)
        return _check_spec(name, replace(target, base=options.base), options)
    except ResnetSpecError as error:
        return CheckedFile(name, kind, error.diagnostics, error.exit_code)


def _check_spec(name: str, target: compiler.Target, options: CheckOptions) -> CheckedFile:
    analysis = compiler.analyze(target, options.sets)
    summary, facts = _describe_network(analysis)
    warnings = tuple(compiler.prove_warnings(analysis, target, options.sets, options.select))
    if target.base is not None:  # a patch of several networks may define blocks for the others
        warnings = tuple(warning for warning in warnings if warning.code != "unused-definition")
    return CheckedFile(name, "spec", warnings, 0, summary, facts)


def _check_recipe(name: str, target: compiler.Target) -> CheckedFile:
    from resnet_spec.training.recipe import read_recipe_source

    recipe = read_recipe_source(target.source, target.folder, target.root)
    if recipe.epochs is not None:
        length = count_text(recipe.epochs, "epoch")
    else:
        length = count_text(recipe.iterations or 0, "iteration")
    facts = {
        "name": recipe.name,
        "epochs": recipe.epochs,
        "iterations": recipe.iterations,
        "batch_size": recipe.batch_size,
        "optimizer": recipe.optimizer,
    }
    summary = f"{length}, {recipe.optimizer}, batches of {recipe.batch_size:,}"
    return CheckedFile(name, "recipe", recipe.warnings, 0, summary, {"recipe": facts})


def _describe_patch(name: str, patch: compiler.PatchCheck) -> CheckedFile:
    code = int(any(finding.severity == "error" for finding in patch.findings))
    needs = f", its base has to define {join_first([f'`{name}`' for name in patch.needed])}" if patch.needed else ""
    summary = f"a patch{needs}; `--on BASE` checks it on a network"
    return CheckedFile(name, "patch", patch.findings, code, summary, {"patch": {"needs": list(patch.needed)}})


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
