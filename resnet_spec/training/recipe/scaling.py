"""Milestones and a warm-up scaled to another length of the run (`--scale-schedule`).

Each is scaled by what the length was in the document that wrote it, so that it keeps its share of the run: after `--epochs 30`,
the milestones 30 and 60 of 90 epochs are at 10 and 20.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from resnet_spec.diagnostics import RecipeError, Source, Span
from resnet_spec.language.files import spec_root
from resnet_spec.language.library import is_file, shipped_path, shipped_root
from resnet_spec.language.merge import resolve_recipe
from resnet_spec.language.reader import Entry, MappingNode, ScalarNode, SequenceNode, YamlNode
from resnet_spec.training.recipe.model import Recipe, Unit

Amount = tuple[float, Unit]


def scale_schedule(recipe: Recipe, unpatched: MappingNode) -> Mapping[str, YamlNode]:
    """The entries of a recipe that change when its schedule is scaled to its length: `schedule`, `warmup`.

    `unpatched` is the recipe without the command line. Raises RecipeError where an amount and the length for which it was
    written have different units, or nothing says that length.
    """
    changes: dict[str, YamlNode] = {}
    unit: Unit = "iterations" if recipe.epochs is None else "epochs"
    new: Amount = (float(recipe.iterations or recipe.epochs or 0), unit)
    schedule, warmup = recipe.root.get("schedule"), recipe.root.get("warmup")
    if recipe.schedule.op == "multistep" and isinstance(schedule, MappingNode):
        share = _scale(recipe, unpatched, new, recipe.schedule.unit, "schedule", "milestones")
        if share != 1:
            place = recipe.place("schedule", "milestones")
            milestones = SequenceNode(tuple(_number(each * share, place) for each in recipe.schedule.milestones), place)
            changes["schedule"] = _with(schedule, {"milestones": milestones, "unit": _word(new[1], place)})
    if recipe.warmup is not None and isinstance(warmup, MappingNode):
        share = _scale(recipe, unpatched, new, recipe.warmup.unit, "warmup", "length")
        if share != 1:
            place = recipe.place("warmup", "length")
            length = _number(recipe.warmup.length * share, place)
            changes["warmup"] = _with(warmup, {"length": length, "unit": _word(new[1], place)})
    return changes


def _scale(recipe: Recipe, unpatched: MappingNode, new: Amount, unit: Unit, *path: str) -> float:
    """What an amount in `unit` is multiplied with to become one in the unit of the new length."""
    place = recipe.place(*path)
    old = new if place.source.origin == "command line" else _length(_document(place.source, unpatched))
    if old is None:
        message = f"`{'.'.join(path)}` cannot be scaled: its recipe does not set the length of a run"
        raise _refusal(recipe, message, path, place)
    if old == new:
        return 1.0
    if old[1] != unit:
        message = f"`{'.'.join(path)}` is in {unit}, and was written for a run of {old[0]:,.0f} {old[1]}: it cannot be scaled"
        raise _refusal(recipe, message, path, place)
    return new[0] / old[0]


def _refusal(recipe: Recipe, message: str, path: tuple[str, ...], place: Span) -> RecipeError:
    example = "'schedule.milestones=[10, 20]'" if path[0] == "schedule" else "warmup.length=1"
    help = f"leave `--scale-schedule` out, and write it: `--set-recipe {example} --set-recipe {path[0]}.unit=epochs`"
    return recipe.refuse("recipe-length", message, *path, help=help)


def _document(source: Source, unpatched: MappingNode) -> MappingNode:
    """The recipe of one document: the recipe itself, or one that it extends."""
    if source is unpatched.span.source:
        return unpatched
    shipped = shipped_path(source.name.removeprefix("recipes/").removesuffix(".yaml"), "recipe")
    if shipped is not None:
        return resolve_recipe(source, shipped.parent, shipped_root("recipe"))[0]
    path = Path(source.name)
    return resolve_recipe(source, path.parent, spec_root(path))[0] if is_file(path) else unpatched


def _length(root: MappingNode) -> Amount | None:
    units: tuple[Unit, ...] = ("epochs", "iterations")
    for unit in units:
        node = root.get(unit)
        if isinstance(node, ScalarNode) and isinstance(node.value, int):
            return float(node.value), unit
    return None


def _with(node: MappingNode, values: Mapping[str, YamlNode]) -> MappingNode:
    return MappingNode({**node.entries, **{key: Entry(value.span, value) for key, value in values.items()}}, node.span)


def _number(value: float, place: Span) -> ScalarNode:
    rounded = round(value, 4)
    written = int(rounded) if rounded == int(rounded) else rounded
    return ScalarNode(written, place, str(written))


def _word(word: str, place: Span) -> ScalarNode:
    return ScalarNode(word, place, word)
