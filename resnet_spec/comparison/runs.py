"""What differs between two runs, apart from their networks: the recipe, the data, and the results."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from resnet_spec import compiler
from resnet_spec.comparison.settings import Setting, compare_mappings
from resnet_spec.diagnostics import ResnetSpecError
from resnet_spec.diagnostics.text import shorten
from resnet_spec.language.files import read_file
from resnet_spec.language.nodes import MappingNode
from resnet_spec.language.reader import parse
from resnet_spec.language.writer import write_value

MOST_SETTINGS = 12  # in text and Markdown
_MOST_BYTES = 1 << 24
_ABOUT_THE_RECIPE = ("recipe", "about", "source", "accuracy")
_RESULTS = (
    *("epochs", "steps", "best_epoch", "best_validation_accuracy", "test_accuracy", "test_top5", "test_loss"),
    *("test_balanced_accuracy", "test_macro_f1", "test_calibration_error"),
)
RunFigure = int | float | str | None


@dataclass(frozen=True, slots=True)
class RunsDifference:
    """The settings of recipes that differ, and the data and results of both runs by name, None where a run has none."""

    recipe: tuple[Setting, ...]
    data: tuple[RunFigure, RunFigure]
    results: tuple[tuple[str, RunFigure, RunFigure], ...]

    def lines(self, mark: Callable[[str], str]) -> Iterator[str]:
        """A line for each setting and each result. `mark` marks untrusted text."""
        for setting in self.recipe[:MOST_SETTINGS]:
            path = mark(shorten(".".join(setting.path), 40))
            before, after = (_shown(setting.kind, value, mark) for value in (setting.before, setting.after))
            yield f"recipe: {path} {before} -> {after}"
        if (left := len(self.recipe) - MOST_SETTINGS) > 0:
            yield f"recipe: and {left} more settings"
        if self.data[0] != self.data[1]:
            yield "data: " + " -> ".join(mark(shorten(str(each), 60)) for each in self.data)
        for name, before_value, after_value in self.results:
            yield f"{name.replace('_', ' ')}: {_number(before_value, mark)} -> {_number(after_value, mark)}"

    def to_data(self) -> dict[str, object]:
        """The same as plain data."""
        settings = [{"path": list(s.path), "kind": s.kind, "before": s.before, "after": s.after} for s in self.recipe]
        results = {name: {"before": before, "after": after} for name, before, after in self.results}
        return {"recipe": settings, "data": {"before": self.data[0], "after": self.data[1]}, "results": results}


def compare_runs(before: object, after: object) -> RunsDifference | None:
    """Find what differs between two run folders in recipe, data and results; None where one of them is no run.

    A file that is missing or damaged has nothing in it: the networks can be compared all the same.
    """
    if not (compiler.is_run(before) and compiler.is_run(after)):
        return None
    folders = Path(str(before)), Path(str(after))
    recipes = [_read_recipe(folder) for folder in folders]
    settings = () if recipes[0] is None or recipes[1] is None else tuple(compare_mappings((), recipes[0], recipes[1]))
    first, second = (_read_json(folder / "results.json") for folder in folders)
    results = tuple((name, _value(first, name), _value(second, name)) for name in _RESULTS)
    data = [_value(_read_json(folder / "run.json"), "data") for folder in folders]
    return RunsDifference(settings, (data[0], data[1]), tuple(each for each in results if each[1:] != (None, None)))


def _read_recipe(folder: Path) -> MappingNode | None:
    try:
        root, _ = parse(read_file(folder / "recipe.yaml", kind="recipe"), kind="recipe")
    except ResnetSpecError:
        return None
    return root.without(_ABOUT_THE_RECIPE) if isinstance(root, MappingNode) else None


def _read_json(path: Path) -> dict[str, object]:
    try:
        found = json.loads(path.read_bytes()) if path.stat().st_size <= _MOST_BYTES else {}
    except (OSError, ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def _value(found: dict[str, object], name: str) -> RunFigure:
    value = found.get(name)
    return value if isinstance(value, int | float | str) else None


def _shown(kind: str, value: object, mark: Callable[[str], str]) -> str:
    return "none" if value is None and kind in ("added", "removed") else mark(shorten(write_value(value), 40))


def _number(value: RunFigure, mark: Callable[[str], str]) -> str:
    if value is None or isinstance(value, float):
        return "none" if value is None else f"{value:,.4g}"
    return mark(shorten(value, 40)) if isinstance(value, str) else shorten(str(value), 40)
