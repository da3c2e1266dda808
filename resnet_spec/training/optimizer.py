"""The optimizer of a recipe: any class of `torch.optim`, with arguments that its signature has."""

from __future__ import annotations

import inspect
import json

import torch
from torch import nn

from resnet_spec.diagnostics import Diagnostic, RecipeError, suggestion
from resnet_spec.training.recipe import Recipe

_NORMS = (nn.modules.batchnorm._NormBase, nn.GroupNorm, nn.LayerNorm, nn.RMSNorm)
_OTHER_LOOPS = ("LBFGS", "SparseAdam")  # these evaluate the network within a step, or take sparse gradients only
_OTHER_ARGUMENTS = ("params", "kwargs", "differentiable", "capturable")  # these concern the loop


def make_optimizer(module: nn.Module, recipe: Recipe) -> torch.optim.Optimizer:
    """The optimizer of the parameters that are trained; norms and biases without weight decay where the recipe says so.

    Raises RecipeError, at the recipe's line, where torch has no such class or the class no such argument.
    """
    classes = {
        name: found
        for name, found in vars(torch.optim).items()
        if inspect.isclass(found)
        and issubclass(found, torch.optim.Optimizer)
        and found is not torch.optim.Optimizer
        and name not in _OTHER_LOOPS
    }
    made = classes.get(recipe.optimizer)
    if made is None:
        message = f"torch.optim has no optimizer `{recipe.optimizer}` that this trainer can use"
        raise recipe.refuse("recipe-optimizer", message, "optimizer", "op", help=suggestion(recipe.optimizer, sorted(classes)))
    arguments = inspect.signature(made).parameters.items()
    defaults = {name: argument.default for name, argument in arguments if name not in _OTHER_ARGUMENTS}
    findings = [
        Diagnostic(
            "recipe-optimizer",
            f"`{recipe.optimizer}` has no argument `{name}`",
            recipe.place("optimizer", name),
            help=suggestion(name, list(defaults)),
        )
        for name in recipe.optimizer_arguments
        if name not in defaults
    ]
    for name, value in recipe.optimizer_arguments.items():
        if name in defaults and not _is_like(value, defaults[name]):
            message = f"`{name}` of `{recipe.optimizer}` cannot be `{_written(value)}`"
            help = f"for example `{name}: {_written(defaults[name])}`, which is its default"
            findings.append(Diagnostic("recipe-optimizer", message, recipe.place("optimizer", name), help=help))
    if findings:
        raise RecipeError(findings)
    try:
        return made(_groups(module, recipe), **recipe.optimizer_arguments)
    except (TypeError, ValueError, RuntimeError) as error:
        help = f"see the documentation of `torch.optim.{recipe.optimizer}`"
        raise recipe.refuse("recipe-optimizer", f"torch refuses the optimizer: {error}", "optimizer", help=help) from None


def _is_like(value: object, default: object) -> bool:
    """Whether a value is of the type of an argument's default; torch checks many arguments at the first step only."""
    match default:
        case bool():
            return isinstance(value, bool)
        case int() | float():
            return isinstance(value, int | float) and not isinstance(value, bool)
        case tuple():
            parts = value if isinstance(value, tuple) else ()
            return len(parts) == len(default) and all(part is None or _is_like(part, 0.0) for part in parts)
    return not isinstance(value, tuple)


def _written(value: object) -> str:
    """A value as it is written in YAML."""
    return json.dumps(value)


def _groups(module: nn.Module, recipe: Recipe) -> list[dict[str, object]]:
    """The trained parameters in groups: those with weight decay and those without."""
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
