"""What a recipe does to a module before training: frozen parts, segments, a moving average."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from torch import nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from resnet_spec.diagnostics import suggestion
from resnet_spec.training.optimizer import make_optimizer
from resnet_spec.training.recipe import Recipe
from resnet_spec.training.segments import Segmented


def freeze(module: nn.Module, recipe: Recipe) -> list[nn.Module]:
    """Freeze the parts of a module that the recipe names: they get no gradients. Returns those that are modules.

    A part is a module by its name; or `stem`, `stages`, `head` or an inline stage of a spec, which are no modules of their own.
    Their statistics stay as they are only while they are in evaluation mode. Raises RecipeError for an unknown part.
    """
    modules = dict(module.named_modules())
    parameters = dict(module.named_parameters())
    parts: Mapping[str, Sequence[str]] = getattr(module, "_parts", {})
    frozen = []
    for name in recipe.freeze:
        if not name or not (name in modules or name in parameters or name in parts):
            message = f"the network has no part `{name}` to freeze"
            known = [each for each in (*modules, *parts) if each]
            raise recipe.refuse("recipe-freeze", message, "freeze", help=suggestion(name, known))
        for each in (name,) if name in modules or name in parameters else parts[name]:
            if each in modules:
                frozen.append(modules[each].requires_grad_(False))
            else:
                parameters[each].requires_grad_(False)
    return frozen


def cut_into_segments(module: nn.Module, recipe: Recipe) -> Segmented:
    """The module in the segments of the recipe. Raises RecipeError where its forward is not a sequence."""
    try:
        return Segmented(module, recipe.segments)
    except ValueError as error:
        raise recipe.refuse("recipe-segments", f"the network cannot be cut: {error}", "segments") from None


def make_average(module: nn.Module, recipe: Recipe) -> AveragedModel | None:
    """The exponential moving average of the weights, if the recipe specifies one."""
    if recipe.ema is None:
        return None
    average: Any = get_ema_multi_avg_fn(recipe.ema[0])  # type: ignore[no-untyped-call]
    return AveragedModel(module, multi_avg_fn=average, use_buffers=True)


def check_recipe(module: nn.Module, recipe: Recipe) -> None:
    """Raise RecipeError where the recipe cannot be carried out with a module: before data are read and a folder is made."""
    freeze(module, recipe)
    make_optimizer(module, recipe)
    if recipe.segments:
        cut_into_segments(module, recipe)
