"""Networks with several outputs: the one that is trained and evaluated, and the others, which a recipe weighs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from torch import Tensor

from resnet_spec.diagnostics import suggestion

if TYPE_CHECKING:
    from resnet_spec.training.recipe import Recipe

MAIN = "logits"


def main_output(returned: Tensor | Mapping[str, Tensor]) -> Tensor:
    """What a network is trained and evaluated by: `logits` or the first of several outputs, or the only one, `(N, classes)`."""
    if isinstance(returned, Tensor):
        return returned
    return returned[MAIN] if MAIN in returned else next(iter(returned.values()))


def main_name(names: tuple[str, ...]) -> str:
    """The name of that output among those of a network; empty where it has no names."""
    return MAIN if MAIN in names else next(iter(names), "")


def check_auxiliary(recipe: Recipe, outputs: Mapping[str, tuple[int, ...]], classes: int) -> None:
    """Raise RecipeError where the recipe weighs an output that the network does not have, or that no class can be read from.

    `outputs` are the shapes of the named outputs, without the batch.
    """
    main = main_name(tuple(outputs))
    for name in recipe.auxiliary:
        if name not in outputs or name == main:
            others = [each for each in outputs if each != main]
            what = (
                f"`{name}` is the main output, whose loss has the weight 1"
                if name in outputs
                else f"there is no output `{name}`"
            )
            help = suggestion(name, others) or "the network returns one value: name others in the `outputs` of the spec"
            raise recipe.refuse("recipe-auxiliary", f"{what}, so `auxiliary` cannot weigh it", "auxiliary", name, help=help)
        if outputs[name] != (classes,):
            shape = "x".join(map(str, outputs[name]))
            message = f"the output `{name}` is {shape}, and a loss needs one number for each of {classes} classes"
            help = "end it in `{op: linear, out_features: classes}`, or remove it from `auxiliary`"
            raise recipe.refuse("recipe-auxiliary", message, "auxiliary", name, help=help)
