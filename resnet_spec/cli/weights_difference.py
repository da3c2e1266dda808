"""`diff --weights`: networks with their weights, and the section on how these differ."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from resnet_spec._system.packages import NETWORKS, require_packages
from resnet_spec.comparison.difference import Difference
from resnet_spec.comparison.render import code_span
from resnet_spec.compiler import RUN_FILES, Target
from resnet_spec.diagnostics import ArgumentError, Diagnostic, Source, printable
from resnet_spec.weights.comparing import compare_weights
from resnet_spec.weights.comparing_report import weights_data, weights_markdown, weights_text
from resnet_spec.weights.metadata import from_metadata
from resnet_spec.weights.reading import StoredWeights, open_weights

_SPECS = (".yaml", ".yml", ".json")


@dataclass(frozen=True, slots=True)
class WeightedNetwork:
    """A spec to compile, and weights of its network, if there are any."""

    target: Target
    weights: StoredWeights | None


def open_networks(names: Sequence[str], find: Callable[[str], Target]) -> tuple[WeightedNetwork, ...]:
    """Open specs, run folders and files of weights. A file without its spec is one of the other network.

    Raises ArgumentError, WeightsError or SpecError for what cannot be read, and where nothing says what the network is.
    """
    require_packages("comparing weights", *NETWORKS)
    found: list[tuple[Target | None, StoredWeights | None]] = []
    for name in names:
        path = Path(name)
        if _is_run(path):
            found.append((find(name), open_weights(path)))
        elif _holds_weights(path):
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
    return tuple(WeightedNetwork(target or known, weights) for target, weights in found)


def _is_run(path: Path) -> bool:
    try:
        return all((path / name).is_file() for name in RUN_FILES)
    except (OSError, ValueError):
        return False


def _holds_weights(path: Path) -> bool:
    """Whether a path is a folder of a model, or a file that is no spec by its name."""
    try:
        return path.is_dir() or (path.is_file() and path.suffix.lower() not in _SPECS) or path.name.endswith(".index.json")
    except (OSError, ValueError):
        return False


def write_with_weights(difference: Difference, networks: tuple[WeightedNetwork, ...], style: str) -> tuple[str, bool]:
    """A difference with its section on weights, and whether the weights are equal."""
    weights = compare_weights(difference.before, difference.after, (networks[0].weights, networks[1].weights))
    match style:
        case "json":
            text = json.dumps({**difference.data(), "weights": weights_data(weights)}, indent=2) + "\n"
        case "markdown":
            text = difference.markdown() + weights_markdown(weights, difference.labels, code_span)
        case _:
            text = difference.text() + weights_text(weights, difference.labels)
    return text, weights.equal
