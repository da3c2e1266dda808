"""Finding out that a run diverged: a loss or a weight is no longer finite."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from resnet_spec.diagnostics import Diagnostic, TrainingError
from resnet_spec.training.batches import Batch
from resnet_spec.training.recipe import Recipe
from resnet_spec.training.scoring import autocast

LOOK_EVERY = 50  # steps between checks of the losses, each of which waits for the device


class DivergenceCheck:
    """Checks that the losses and weights of a run stay finite.

    On a CPU each loss is checked at once. On other devices, where that would wait for the computation, the losses of
    `LOOK_EVERY` steps are checked together.
    """

    def __init__(self, module: nn.Module, recipe: Recipe, device: torch.device, alone: bool) -> None:
        self.module, self.recipe, self.device = module, recipe, device
        self.alone = alone  # with other processes, a further forward pass would wait for them
        self.kept_epoch = 0  # the last epoch whose weights are kept
        self.unseen: list[tuple[int, Tensor]] = []  # steps and losses since the last check
        self._finite_names = [name for name, value in module.state_dict().items() if _is_finite(value)]

    def check_part(self, step: int, loss: Tensor, part: Batch) -> None:
        """Check the loss of a part before its gradient is taken, on a CPU. Raises TrainingError."""
        if self.device.type == "cpu" and not torch.isfinite(loss):
            raise self._diverged(step, [part])

    def add(self, step: int, loss: Tensor, parts: Sequence[Batch]) -> None:
        """Remember the loss of a step, before its weights change; every `LOOK_EVERY` steps, check. Raises TrainingError."""
        if self.device.type == "cpu":
            return
        self.unseen.append((step, loss))
        if len(self.unseen) >= LOOK_EVERY:
            self.look(parts)

    def look(self, parts: Sequence[Batch] = ()) -> None:
        """Check the losses of the last steps. `parts` are those of the last one, where its weights have not changed yet."""
        if not self.unseen:
            return
        finite = torch.isfinite(torch.stack([loss for _, loss in self.unseen])).tolist()
        steps = [step for step, _ in self.unseen]
        self.unseen.clear()
        if not all(finite):
            bad = finite.index(False)
            raise self._diverged(steps[bad], parts if bad == len(steps) - 1 else ())

    def check_weights(self, step: int) -> None:
        """Raise TrainingError where a weight is no longer finite: before it is evaluated, or replaces a good one on disk."""
        state = self.module.state_dict()
        bad = next((name for name in self._finite_names if not _is_finite(state[name])), None)
        if bad is not None:
            raise self._error(f"`{bad}` is no longer finite after step {step}")

    def _diverged(self, step: int, parts: Sequence[Batch]) -> TrainingError:
        """The error for the loss of a step (from 0), with the first layer whose output is not finite.

        That layer is found by another forward pass, so only where the weights are still those of the step.
        """
        found = None
        with autocast(self.device, self.recipe.precision):
            for part in parts if self.alone else ():
                found = found or first_not_finite(self.module, part.images)
        where = f"; the first layer whose output is not finite is {found}" if found else ""
        return self._error(f"the loss is no longer finite at step {step + 1}{where}")

    def _error(self, message: str) -> TrainingError:
        help = f"a lower learning rate often helps: `--lr {min(self.recipe.lr / 10, 0.1):g}`"
        if self.kept_epoch:
            help += f"; the weights of epoch {self.kept_epoch} are kept"
        return TrainingError([Diagnostic("loss-not-finite", message, self.recipe.place("optimizer", "lr"), help=help)])


def _is_finite(value: object) -> bool:
    return not isinstance(value, Tensor) or not value.is_floating_point() or bool(torch.isfinite(value).all())


def first_not_finite(module: nn.Module, images: Tensor) -> str | None:
    """The name of the first layer, in the order of the forward pass, whose output for `images` `(n, C, H, W)` is not finite."""
    found: list[str] = []

    def watch(name: str) -> Callable[[nn.Module, object, object], None]:
        def hook(layer: nn.Module, args: object, output: object) -> None:
            if not found and not any(layer.children()) and not _is_finite(output):
                found.append(name)

        return hook

    hooks = [layer.register_forward_hook(watch(name)) for name, layer in module.named_modules() if name]
    try:
        with torch.no_grad():
            module(images)
    finally:
        for hook in hooks:
            hook.remove()
    return found[0] if found else None
