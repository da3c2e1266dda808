"""What `diff` shows of weights: what becomes of each tensor in B, and how the numbers of two files differ."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from resnet_spec._system.packages import NETWORKS, require_packages
from resnet_spec.comparison.difference import Difference
from resnet_spec.comparison.render import code_span
from resnet_spec.compiler import Analysis, Target, is_run
from resnet_spec.diagnostics import ArgumentError, Diagnostic, Source, printable
from resnet_spec.diagnostics.text import shorten

if TYPE_CHECKING:
    from resnet_spec.weights.reading import StoredWeights


@dataclass(frozen=True, slots=True)
class WeightedNetwork:
    """A network of `diff`: its spec and its weights. A file of weights may have no spec: then it is that of the other one."""

    target: Target
    weights: StoredWeights | None
    has_spec: bool = True


def open_networks(names: Sequence[str], find: Callable[[str], Target]) -> tuple[WeightedNetwork, ...]:
    """Open specs, run folders and files of weights. A file without its spec is one of the other network.

    Raises ArgumentError, WeightsError or SpecError for what cannot be read, and where nothing says what the network is.
    """
    require_packages("comparing weights", *NETWORKS)
    from resnet_spec.weights.metadata import from_metadata
    from resnet_spec.weights.reading import open_weights

    found: list[tuple[Target | None, StoredWeights | None]] = []
    for name in names:
        path = Path(name)
        if is_run(path):
            found.append((find(name), open_weights(path)))
        elif holds_weights(name):
            weights = open_weights(path)
            text = from_metadata(weights.metadata).get("spec")
            found.append((None if text is None else Target(Source(f"the spec in {name}", text), None, None), weights))
        else:
            found.append((find(name), None))
    known = next((target for target, _ in found if target is not None), None)
    if known is None:
        message = f"{' and '.join(map(printable, names))} contain weights alone, without the spec of their network"
        help = "name a spec, a run folder or a file that `train` wrote as one of them"
        raise ArgumentError([Diagnostic("missing-file", message, None, help=help)])
    return tuple(WeightedNetwork(target or known, weights, target is not None) for target, weights in found)


def holds_weights(name: str) -> bool:
    """Whether a network to compare is a file of weights, by its name, or a folder of a model."""
    from resnet_spec.weights.file_names import INDEX, MODELS, WEIGHT_SUFFIXES

    path = Path(name)
    try:
        if path.is_dir():
            return not is_run(path) and any((path / file).is_file() for file in MODELS)
        return name.lower().endswith((*WEIGHT_SUFFIXES, INDEX)) and path.is_file()
    except (OSError, ValueError):
        return False


def open_given(weights: str | None, key: str | None, analysis: Analysis) -> tuple[str, StoredWeights] | None:
    """Open what `--weights` names. Raises ArgumentError or WeightsError."""
    if weights is None:
        return None
    require_packages("reading weights", *NETWORKS)
    from resnet_spec.weights.source import open_source

    return weights, open_source(weights, key, analysis)


def write_weights(
    difference: Difference, networks: tuple[WeightedNetwork, ...], given: tuple[str, StoredWeights] | None, style: str
) -> tuple[str, bool]:
    """A difference with its sections on weights, and whether nothing differs in them.

    `given` are weights whose plan in the second network is shown. Without them it is that of the only network with weights in
    the other one.

    Raises WeightsError for weights whose metadata contradict their tensors.
    """
    sections: list[_Section] = []
    if given is not None:
        sections.append(_carry(*given, difference.after, difference.labels[1]))
    stored = [network.weights for network in networks]
    match stored:
        case [before, after] if before is not None and after is not None:
            sections.append(_compare(difference, (before, after)))
        case [before, None] if before is not None and given is None:
            sections.append(_carry(difference.labels[0], before, difference.after, difference.labels[1]))
        case [None, after] if after is not None and given is None:
            sections.append(_carry(difference.labels[1], after, difference.before, difference.labels[0]))
    has_specs = all(network.has_spec for network in networks)  # else nothing is known about one of them but its tensors
    match style:
        case "json":
            data = (difference.data() if has_specs else {}) | {section.key: section.data for section in sections}
            text = json.dumps(data, indent=2) + "\n"
        case "markdown":
            text = "\n".join([*([difference.markdown()] if has_specs else []), *(section.markdown for section in sections)])
        case _:
            text = "\n".join([*([difference.text()] if has_specs else []), *(section.text for section in sections)])
    return text, all(section.equal for section in sections)


@dataclass(frozen=True, slots=True)
class _Section:
    """What is added to a difference, in each form. `key` is its name in JSON."""

    key: str
    text: str
    markdown: str
    data: dict[str, Any]
    equal: bool


def _compare(difference: Difference, stored: tuple[StoredWeights, StoredWeights]) -> _Section:
    """How the numbers of both networks differ."""
    from resnet_spec.weights.comparing import compare_weights
    from resnet_spec.weights.comparing_report import numbers_data, numbers_markdown, numbers_text

    found = compare_weights(difference.before, difference.after, stored)
    labels = difference.labels
    text, markdown = numbers_text(found, labels), numbers_markdown(found, labels, code_span)
    return _Section("numbers", text, markdown, numbers_data(found), found.equal)


def _carry(label: str, weights: StoredWeights, analysis: Analysis, network: str) -> _Section:
    """What becomes of each tensor of weights in a network."""
    from resnet_spec.weights.comparing import plan_carrying
    from resnet_spec.weights.plan_report import plan_data, plan_markdown, plan_text

    plan, verdict = plan_carrying(analysis, weights)
    names = [shorten(each, 44) for each in (label, network)]
    marked = [code_span(name) for name in names]
    text = f"weights {names[0]} in {names[1]}\n  {verdict}\n\n{plan_text(plan)}"
    markdown = f"Weights {marked[0]} in {marked[1]}: {verdict}\n\n{plan_markdown(plan, code_span)}"
    data = {"file": label, "verdict": verdict, **plan_data(plan, transfer=True)}
    return _Section("weights", text, markdown, data, plan.exact)
