"""Recipes with some values changed: what `precision: auto` means on a device, and what training on one batch needs.

Values are changed in the recipe's tree, never in its text: every other value keeps the place where the user wrote it.
"""

from __future__ import annotations

from collections.abc import Mapping

from resnet_spec.language.reader import Entry, MappingNode, ScalarNode
from resnet_spec.training.recipe.model import Recipe
from resnet_spec.training.recipe.reader import recipe_of_tree

OVERFIT_EPOCHS = 100


def settle_precision(recipe: Recipe, computes_bf16: bool) -> Recipe:
    """The recipe for one device: `precision: auto` becomes `bf16` where the device computes in it, else `fp32`."""
    written = recipe.root.get("precision")
    if not isinstance(written, ScalarNode) or written.value != "auto":
        return recipe
    return _change(recipe, {"precision": "bf16" if computes_bf16 else "fp32"})


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


def _change(recipe: Recipe, changes: Mapping[str, str | int | None]) -> Recipe:
    """The recipe with other values at its top level, each at the place of the old one; None removes a key."""
    entries = dict(recipe.root.entries)
    for key, value in changes.items():
        old = entries.get(key)
        if value is None:
            entries.pop(key, None)
        else:
            here, there = (recipe.root.span, recipe.root.span) if old is None else (old.key, old.value.span)
            entries[key] = Entry(here, ScalarNode(value, there, str(value)))
    return recipe_of_tree(MappingNode(entries, recipe.root.span), recipe.name, recipe.warnings)
