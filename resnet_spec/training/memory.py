"""The memory that training takes, compared with what is free, and what takes less."""

from __future__ import annotations

from dataclasses import dataclass

from resnet_spec.diagnostics import Diagnostic, TrainingError
from resnet_spec.training.amounts import megabytes
from resnet_spec.training.device import free_memory
from resnet_spec.training.feeding import Machine
from resnet_spec.training.recipe import Recipe
from resnet_spec.training.subject import Subject


@dataclass(frozen=True, slots=True)
class MemoryEstimate:
    """The estimated memory of a run, in bytes."""

    subject: Subject
    recipe: Recipe
    machine: Machine

    def needed(self, batch: int) -> int | None:
        """What training takes in a process with a batch of this size; None where nothing estimates it."""
        if self.subject.memory is None:
            return None
        return self.subject.memory(-(-batch // (self.recipe.accumulate * self.machine.world.size)))

    def check(self) -> None:
        """Raise TrainingError where training takes more memory than is free."""
        free, needed = free_memory(self.machine.device), self.needed(self.recipe.batch_size)
        if free is None or needed is None or self.recipe.segments:
            return
        if needed > free:
            message = f"training takes about {megabytes(needed)}, and {megabytes(free)} are free"
            help = f"{self.suggest_less()}; or train anyway with `--force`"
            raise TrainingError([Diagnostic("beyond-memory", message, None, help=help)])

    def suggest_less(self) -> str:
        """What takes less memory: a smaller batch that fits, where there is one."""
        free, batch = free_memory(self.machine.device), self.recipe.batch_size // 2
        known = self.subject.memory is not None and free is not None
        if free is not None:
            while batch and (self.needed(batch) or 0) > 0.9 * free:
                batch //= 2
        ways = []
        if batch:
            parts = -(-self.recipe.batch_size // batch) * self.recipe.accumulate
            effect = "fits" if known else "takes less"
            ways.append(f"`--batch-size {batch}` {effect}")
            ways.append(f"the same batch in {parts} parts: `--set-recipe accumulate={parts}`")
        if not self.recipe.segments:
            ways.append("keep less for the backward pass: `--set-recipe segments=-1`")
        return "; or ".join(ways) or "use smaller images, or a smaller network"
