"""The catalog of findings: for each code what it means, and the classes of the errors that carry it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path

from resnet_spec import diagnostics
from resnet_spec.diagnostics import ResnetSpecError, Source
from resnet_spec.language.nodes import to_data
from resnet_spec.language.reader import parse

_PATH = Path(diagnostics.__file__).with_name("codes.yaml")


@dataclass(frozen=True, slots=True, eq=False)
class Explanation:
    """The meaning of a code, and the classes of the errors that carry it."""

    text: str
    errors: tuple[type[ResnetSpecError], ...]


@cache
def catalog() -> dict[str, Explanation]:
    """Every code, in alphabetical order."""
    document, _ = parse(Source("diagnostics/codes.yaml", _PATH.read_text(encoding="utf-8"), "library"))
    data = to_data(document)
    if not isinstance(data, dict):
        raise TypeError(f"{_PATH} is not a mapping")
    return {code: Explanation(entry["text"], tuple(map(_error, _listed(entry["error"])))) for code, entry in data.items()}


def explanations() -> dict[str, str]:
    """What each code means."""
    return {code: explanation.text for code, explanation in catalog().items()}


def _listed(names: str | list[str]) -> list[str]:
    return [names] if isinstance(names, str) else names


def _error(name: str) -> type[ResnetSpecError]:
    error: type[ResnetSpecError] = getattr(diagnostics, name)
    return error
