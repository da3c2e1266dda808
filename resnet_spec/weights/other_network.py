"""How the network that weights were trained in differs from another one with tensors of the same names, in words."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from resnet_spec import compiler
from resnet_spec.compiler import Analysis, Target
from resnet_spec.diagnostics import ResnetSpecError, Source
from resnet_spec.diagnostics.text import shorten
from resnet_spec.weights.metadata import from_metadata

if TYPE_CHECKING:
    from resnet_spec.comparison.parts import Part

MOST_LINES = 5
_MOST_NAMES = 3
_VERBS = {"added": "added", "removed": "removed", "renamed": "other names", "rewired": "other inputs"}


def read_network(metadata: Mapping[str, str], sets: Sequence[str] = (), enforce_expect: bool = True) -> Analysis | None:
    """Compile the spec in the metadata of a file, with patches; None where there is none, or a wrong one."""
    if (spec := from_metadata(metadata).get("spec")) is None:
        return None
    try:
        return compiler.analyze(
            Target(Source("the spec of the weights", spec), None, None), sets, enforce_expect=enforce_expect
        )
    except ResnetSpecError:
        return None


def same_classes(analysis: Analysis) -> tuple[str, ...]:
    """The patch that gives another network the number of classes of a spec; none where the spec does not use `classes`."""
    classes = analysis.spec.classes
    return () if classes is None else (f"classes={classes.text}",)


def describe_difference(theirs: Analysis, ours: Analysis) -> tuple[str, ...]:
    """What differs from one network to another: a few lines such as "`layer1.0.conv1`: conv2d with stride 1 -> 2"."""
    from resnet_spec.comparison.align import align  # only where weights do not fit
    from resnet_spec.comparison.parts import list_parts

    if theirs.fingerprint == ours.fingerprint:
        return ()
    parts = list_parts(theirs.sized, ours.sized, align(theirs.graph, ours.graph))
    moved = {_place(part) for part in parts if part.kind == "added"} & {
        _place(part) for part in parts if part.kind == "removed"
    }
    lines = [line for part in parts for line in _describe(part, _place(part) in moved)]
    outputs = [[(each.name, each.training_only) for each in one.graph.outputs] for one in (theirs, ours)]
    if not lines and outputs[0] != outputs[1]:
        lines = ["other outputs: " + " -> ".join(_list_names([name for name, _ in each]) or "one" for each in outputs)]
    if len(lines) > MOST_LINES:
        lines = [*lines[: MOST_LINES - 1], f"and {len(lines) - MOST_LINES + 1} more differences"]
    return tuple(lines)


def describe_trained(analysis: Analysis, metadata: Mapping[str, str]) -> str | None:
    """What differs, from the network that the metadata of a file describe to this one, apart from the number of classes.

    Empty where that is not known, None where nothing differs.
    """
    stored = from_metadata(metadata)
    if stored.get("fingerprint", analysis.fingerprint) == analysis.fingerprint:
        return None
    theirs = read_network(metadata, same_classes(analysis))
    if theirs is None:
        return ""
    return None if theirs.fingerprint == analysis.fingerprint else "; ".join(describe_difference(theirs, analysis))


def _place(part: Part) -> tuple[str, tuple[str, ...]]:
    return part.what, part.names


def _describe(part: Part, is_moved: bool) -> Iterator[str]:
    """A line on a part, unless it differs only in sizes, which follow from other parts, or in how it is initialized.

    What `is_moved` is removed in one place and added in another.
    """
    from resnet_spec.comparison.render import changes_text

    names = _list_names(part.names)
    if part.kind == "changed":
        changes = tuple(change for change in part.changes if change[0] != "init")
        if changes:
            yield f"{names}: {changes_text(replace(part, changes=changes))}"
    elif is_moved and part.kind in ("added", "removed"):
        if part.kind == "added":
            yield f"in another place: {shorten(part.what, 40)} {names}"
    elif part.kind in ("added", "removed"):
        yield f"{_VERBS[part.kind]}: {shorten(part.what, 40)} {names}"
    elif part.kind == "renamed":
        yield f"{_VERBS[part.kind]}: {names} -> {_list_names(part.partners)}"
    elif part.kind == "rewired":
        yield f"{_VERBS[part.kind]}: {names}"


def _list_names(names: Sequence[str]) -> str:
    """The first names, and how many there are."""
    if len(names) <= _MOST_NAMES:
        return ", ".join(f"`{shorten(name, 40)}`" for name in names)
    return f"`{shorten(names[0], 40)}` ... `{shorten(names[-1], 40)}` ({len(names):,})"
