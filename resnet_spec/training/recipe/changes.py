"""Recipes with some values changed: what `precision: auto` means on a device, and what training on one batch needs.

Values are changed in the recipe's tree, never in its text: every other value keeps the place where the user wrote it.
"""

from __future__ import annotations

from collections.abc import Mapping

from resnet_spec.diagnostics import Span
from resnet_spec.language.reader import Entry, MappingNode, ScalarNode, SequenceNode, YamlNode, to_data
from resnet_spec.language.writer import write_value
from resnet_spec.training.recipe.model import Recipe
from resnet_spec.training.recipe.reader import recipe_of_tree

OVERFIT_EPOCHS = 100


def settle_precision(recipe: Recipe, computes_bf16: bool) -> Recipe:
    """The recipe for one device: `precision: auto` becomes `bf16` where the device computes in it, else `fp32`."""
    written = recipe.root.get("precision")
    if not isinstance(written, ScalarNode) or written.value != "auto":
        return recipe
    return _change(recipe, {"precision": "bf16" if computes_bf16 else "fp32"})


def set_epochs(recipe: Recipe, epochs: int) -> Recipe:
    """The recipe for another length of the run."""
    return _change(recipe, {"epochs": epochs, "iterations": None})


def reduce_to_one_batch(recipe: Recipe) -> Recipe:
    """The recipe for learning a single batch by heart: nothing random, a constant rate, no validation.

    The run takes `OVERFIT_EPOCHS`, unless the command line sets its length.
    """
    changes: dict[str, str | int | None] = dict.fromkeys(("augment", "hold_out", "warmup", "early_stopping", "ema"))
    changes |= {"schedule": "constant", "label_smoothing": 0}
    lengths = [recipe.root.get(key) for key in ("epochs", "iterations")]
    if not any(node is not None and node.span.source.origin == "command line" for node in lengths):
        changes |= {"epochs": OVERFIT_EPOCHS, "iterations": None}
    return _change(recipe, changes)


def follow_input(recipe: Recipe, input: tuple[int, int]) -> tuple[Recipe, str]:
    """The recipe with `resize` and `crop` for a network whose (height, width) was set on the command line, and what changed.

    A crop becomes the size of the network, and images are resized by as much more as before. Raises RecipeError where the
    command line sets `resize` or `crop`, too, to another size.
    """
    resize, crop = recipe.resize, recipe.crop
    final = crop or ((resize, resize) if isinstance(resize, int) else resize)
    if final is None or final == input or (crop is None and recipe.augment.resized_crop is not None):
        return recipe, ""
    for key in ("crop", "resize"):
        if recipe.place(key).source.origin == "command line":
            size, other = (f"{height}x{width}" for height, width in (input, final))
            message = f"`--set input` makes the network one for images of {size}, and `{key}` gives it {other}"
            help = f"leave one of the two out: without `--set-recipe {key}=...`, images get the size of the network"
            raise recipe.refuse("recipe-crop", message, key, help=help)
    changes: dict[str, str | int | tuple[int, int] | None] = {}
    square = input[0] == input[1]
    if crop is not None:
        changes["crop"] = input[0] if square else input
    if isinstance(resize, int):
        scaled = -(-resize * max(input) // max(final)) if crop is not None else min(input)
        changes["resize"] = scaled if square or crop is not None else input
    elif resize is not None:
        height, width = (-(-resize[axis] * input[axis] // final[axis]) for axis in (0, 1))
        changes["resize"] = (height, width)
    old, new = ({key: recipe.root.get(key) for key in changes}, changes)
    before = ", ".join(f"{key} {write_value(to_data(node))}" for key, node in old.items() if node is not None)
    after = ", ".join(f"{key} {write_value(list(value) if isinstance(value, tuple) else value)}" for key, value in new.items())
    return _change(recipe, changes), f"the recipe follows `--set input`: {after} in place of {before}"


def _change(recipe: Recipe, changes: Mapping[str, str | int | tuple[int, int] | None]) -> Recipe:
    """The recipe with other values at its top level, each at the place of the old one; None removes a key."""
    entries = dict(recipe.root.entries)
    for key, value in changes.items():
        old = entries.get(key)
        if value is None:
            entries.pop(key, None)
        else:
            here, there = (recipe.root.span, recipe.root.span) if old is None else (old.key, old.value.span)
            entries[key] = Entry(here, _node(value, there))
    return recipe_of_tree(MappingNode(entries, recipe.root.span), recipe.name, recipe.warnings)


def _node(value: str | int | tuple[int, int], place: Span) -> YamlNode:
    if isinstance(value, tuple):
        return SequenceNode(tuple(ScalarNode(each, place, str(each)) for each in value), place)
    return ScalarNode(value, place, str(value))
