"""`check --update-expect`: rewrites the exact values of `expect` in the files that `check` was given."""

from __future__ import annotations

from dataclasses import replace

from resnet_spec import compiler
from resnet_spec.cli.checking import CheckedFile, CheckOptions, check_target
from resnet_spec.cli.common import find_target
from resnet_spec.cli.rewriting import replace_text, require_editable
from resnet_spec.diagnostics import ResnetSpecError, SpecError
from resnet_spec.diagnostics.edits import apply_edits
from resnet_spec.diagnostics.text import join_words
from resnet_spec.language.document_kinds import find_kind

_BY_HAND = "`--update-expect` changes numbers, and lists of them on one line, that are written in `expect` itself; not bounds"


def update_file(name: str, options: CheckOptions) -> CheckedFile:
    """Rewrite the exact values of the `expect` of a file, and check it. A file with other errors is not changed."""
    try:
        path = require_editable(name, "updated")
        read = path.read_bytes()
        target = find_target(name, None, options.spec_root)
    except ResnetSpecError as error:
        return CheckedFile(name, None, error.diagnostics, error.exit_code)
    updated: dict[str, object] = {}
    try:
        if find_kind(target.source.text) != "recipe" and compiler.check_patch(target) is None:
            analysis = compiler.analyze(target, enforce_expect=False)
            found = compiler.rewrite_expect(analysis)
            if edits := [edit for each in found.values() for edit in each]:
                text = apply_edits(target.source, edits)
                replace_text(path, read, text)
                target = replace(target, source=replace(target.source, text=text))
                updated = {"updated": list(found)}
    except SpecError:
        pass  # reported by the check
    except ResnetSpecError as error:
        return CheckedFile(name, "spec", error.diagnostics, error.exit_code)
    return _describe_update(check_target(name, target, options), updated)


def _describe_update(result: CheckedFile, updated: dict[str, object]) -> CheckedFile:
    """The result of a check, with what was updated, and a note on what was not."""
    found = [
        replace(finding, notes=(*finding.notes, _BY_HAND)) if finding.code == "expect-broken" else finding
        for finding in result.findings
    ]
    summary = result.summary
    if (names := updated.get("updated")) and isinstance(names, list):
        summary += f"; updated {join_words([f'`{name}`' for name in names], 'and')} of `expect`"
    return replace(result, findings=tuple(found), summary=summary, facts={**result.facts, **updated})
