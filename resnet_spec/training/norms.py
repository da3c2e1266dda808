"""Batch norms that would normalize one value per channel: what torch refuses in the middle of a run is found before it."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.func import functional_call

from resnet_spec.training.failures import ONE_VALUE
from resnet_spec.training.fitting import freeze
from resnet_spec.training.recipe import Recipe
from resnet_spec.training.world import World


def check_norms(module: nn.Module, recipe: Recipe, input: tuple[int, int, int], images: int, world: World) -> None:
    """Raise RecipeError where a batch, or a part of one, is a single image before a batch norm over vectors or 1x1 maps.

    `input` (C, H, W) are the images of training, and `images` is how many there are. A last batch of an epoch is left out where
    its parts would have a single image.
    """
    parts = recipe.accumulate * world.size
    if images < recipe.batch_size or recipe.batch_size // parts != 1 or (recipe.sync_batch_norm and world.size > 1):
        return
    name = _norm_of_one_value(module, input, freeze(module, recipe))
    if name is None:
        return
    reason = "a batch has a single image"
    ways = [f"`--batch-size {2 * parts}` or more"]
    if parts > 1:
        reason = f"a batch of {recipe.batch_size} in {parts} parts has a single image in a part"
    if recipe.accumulate > 1 and (fewer := recipe.batch_size // (2 * world.size)):
        ways.append(f"fewer parts: `--set-recipe accumulate={fewer}`")
    ways.append("group norm: `--set 'norm={op: group_norm, num_groups: 8}'`")
    message = f"the batch norm `{name}` cannot normalize one value per channel: {reason}"
    raise recipe.refuse("recipe-batch", message, "accumulate" if parts > 1 else "batch_size", help="; or ".join(ways))


def _norm_of_one_value(module: nn.Module, input: tuple[int, int, int], frozen: list[nn.Module]) -> str | None:
    """The batch norm that torch refuses to train on one image, if there is one.

    The module is run on tensors without data; where that is not possible, the first step of the run decides.
    """
    norms = [(name, part) for name, part in module.named_modules() if isinstance(part, nn.modules.batchnorm._BatchNorm)]
    if not norms:
        return None
    entered: list[str] = []
    hooks = [part.register_forward_pre_hook(lambda _, inputs, name=name: entered.append(name)) for name, part in norms]
    tensors: dict[str, Tensor] = {
        name: torch.empty_like(each, device="meta") for name, each in (*module.named_parameters(), *module.named_buffers())
    }
    training = {part: part.training for part in module.modules()}
    module.train()
    for part in frozen:
        part.eval()
    try:
        with torch.no_grad():
            functional_call(module, tensors, (torch.empty(1, *input, device="meta"),), strict=True)
    except (RuntimeError, ValueError, TypeError, NotImplementedError) as error:
        return entered[-1] if ONE_VALUE in str(error) and entered else None
    finally:
        for part, mode in training.items():
            part.training = mode
        for hook in hooks:
            hook.remove()
    return None
