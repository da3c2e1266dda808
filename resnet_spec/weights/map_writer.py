"""Writes a map of keys from a plan, with comments on what is a guess."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from resnet_spec.diagnostics import printable
from resnet_spec.diagnostics.text import quote_first
from resnet_spec.language.writer import write_value
from resnet_spec.weights.planning import COPIED, Plan
from resnet_spec.weights.structure import LayerPair, list_renamed

_MOST_LISTED = 200  # of tensors that the map says nothing about


def map_text(plan: Plan, network: str, weights: str) -> str:
    """The map by which a plan renames tensors, as YAML.

    Where names were matched by structure, each layer that is a guess has a comment, and one that may be several is commented
    out: it is for the user to choose. Names that are equal have no entry.
    """
    guessed = {pair.own.name: pair for pair in plan.renaming if pair.certainty != "certain"}
    sources = list_renamed(plan.renaming) if plan.renaming else {}
    sources = sources or {step.name: step.source for step in plan.of(*COPIED, "other shape") if step.name and step.source}
    ambiguous = {pair.own.key(tensor) for pair in plan.renaming if pair.certainty == "ambiguous" for tensor in pair.own.tensors}
    shown = {name: source for name, source in sources.items() if name not in ambiguous}
    lines = [
        f"# {printable(network)}: {printable(weights)}",
        "# network key: file key. A key is a tensor, or a module with all that is in it.",
        "",
    ]
    unnamed = [step.name for step in plan.steps if step.name and step.name not in sources and step.action != "filled"]
    entries = dict(_collapse(shown, frozenset([*guessed, *unnamed])))
    for name, source in entries.items():
        if name in guessed:
            lines.append("# likely: of several layers of this shape, by their order in the file")
        lines.append(f"{write_value(name)}: {write_value(source)}")
    lines += _ask(pair for pair in guessed.values() if pair.certainty == "ambiguous")
    used = set(sources.values())
    unused = [step.source for step in plan.steps if step.source and step.source not in used]
    for what, names in (("the file has nothing for", unnamed), ("of the file, nothing takes", unused)):
        if names:
            lines += ["", f"# {what} these:", *(f"#   {printable(name)}" for name in names[:_MOST_LISTED])]
            if len(names) > _MOST_LISTED:
                lines.append(f"#   and {len(names) - _MOST_LISTED:,} more")
    return "\n".join(lines) + "\n"


def _ask(pairs: Iterator[LayerPair]) -> Iterator[str]:
    """Lines for layers that may be one of several: they are comments, until one is chosen."""
    for number, pair in enumerate(pairs):
        if not number:
            yield from (
                "",
                "# Choose these: shapes and order do not decide about them. Remove the `# ` before a line that is right.",
            )
        others = quote_first(pair.others, 4)
        yield f"# {write_value(pair.own.name)}: {write_value(pair.source.name)}" + (f"  # or {others}" if others else "")


def _collapse(sources: Mapping[str, str], alone: frozenset[str]) -> Iterator[tuple[str, str]]:
    """The entries that give these sources: a module for all that is in it, where it is renamed as a whole.

    The layers `alone` have entries of their own.
    """
    groups: dict[str, dict[str, str]] = {}
    for name, source in sources.items():
        groups.setdefault(name.partition(".")[0], {})[name] = source
    pending = [(begin, inside) for begin, inside in reversed(groups.items())]
    while pending:
        begin, inside = pending.pop()
        places = {_place_of(begin, name, source) for name, source in inside.items()}
        split = any(each.startswith(begin + ".") for each in alone)
        if len(places) == 1 and not split and (place := places.pop()) is not None:
            if place != begin:
                yield begin, place
            continue
        below: dict[str, dict[str, str]] = {}
        for name, source in inside.items():
            if name == begin:
                yield name, source
                continue
            part = name[len(begin) + 1 :].partition(".")[0]
            below.setdefault(f"{begin}.{part}", {})[name] = source
        pending += reversed(below.items())


def _place_of(begin: str, name: str, source: str) -> str | None:
    """The module of a file that takes the place of `begin`, if what follows in both names is equal."""
    rest = name[len(begin) :]
    return source[: len(source) - len(rest)] if source.endswith(rest) and len(source) > len(rest) else None
