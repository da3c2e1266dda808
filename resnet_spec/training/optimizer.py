"""The optimizer of a recipe: any class of `torch.optim`, with its arguments held to its signature."""

from __future__ import annotations

import inspect

import torch
from torch import nn

from resnet_spec.diagnostics import Diagnostic, SpecError, suggestion
from resnet_spec.training.recipe import Recipe

_NORMS = (nn.modules.batchnorm._NormBase, nn.GroupNorm, nn.LayerNorm, nn.LocalResponseNorm)


def make_optimizer(module: nn.Module, recipe: Recipe) -> torch.optim.Optimizer:
    """The optimizer over what of `module` is to be trained; norms and biases without decay where the recipe says so.

    Raises SpecError, at the recipe's line, where torch has no such class or the class no such argument.
    """
    classes = {
        name: found
        for name, found in vars(torch.optim).items()
        if inspect.isclass(found) and issubclass(found, torch.optim.Optimizer) and found is not torch.optim.Optimizer
    }
    made = classes.get(recipe.optimizer)
    if made is None or recipe.optimizer == "LBFGS":  # LBFGS calls the network again within a step
        message = f"torch.optim has no optimizer `{recipe.optimizer}` that this trainer can use"
        raise recipe.refuse("recipe-optimizer", message, "optimizer", "op", help=suggestion(recipe.optimizer, sorted(classes)))
    known = [name for name in inspect.signature(made).parameters if name not in ("params", "kwargs")]
    findings = [
        Diagnostic(
            "recipe-optimizer",
            f"`{recipe.optimizer}` has no argument `{name}`",
            recipe.place("optimizer", name),
            help=suggestion(name, known),
        )
        for name in recipe.optimizer_arguments
        if name not in known
    ]
    if findings:
        raise SpecError(findings)
    try:
        return made(_groups(module, recipe), **recipe.optimizer_arguments)
    except (TypeError, ValueError, RuntimeError) as error:
        raise recipe.refuse("recipe-optimizer", f"torch refuses the optimizer: {error}", "optimizer") from None


def _groups(module: nn.Module, recipe: Recipe) -> list[dict[str, object]]:
    """The parameters in groups: those with decay and those without."""
    bare: set[int] = set()
    for layer in module.modules():
        for name, parameter in layer.named_parameters(recurse=False):
            is_norm = isinstance(layer, _NORMS)
            if ("norm" in recipe.no_decay and is_norm) or ("bias" in recipe.no_decay and name == "bias" and not is_norm):
                bare.add(id(parameter))
    trained = [parameter for parameter in module.parameters() if parameter.requires_grad]
    if not trained:
        raise recipe.refuse("recipe-freeze", "every parameter is frozen, so there is nothing to train", "freeze")
    decayed = [parameter for parameter in trained if id(parameter) not in bare]
    rest = [parameter for parameter in trained if id(parameter) in bare]
    groups: list[dict[str, object]] = [{"params": decayed}] if decayed else []
    return [*groups, {"params": rest, "weight_decay": 0.0}] if rest else groups
