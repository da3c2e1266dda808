"""The processes that train together: which one this is, and what they tell each other.

One process is a world of its own, in which everything here does nothing. `torchrun` starts more, and says so in the
environment.
"""

from __future__ import annotations

import os
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True, slots=True)
class World:
    """This process among those that train together."""

    rank: int = 0
    size: int = 1

    @property
    def writes(self) -> bool:
        """Whether this process writes the run folder; one does."""
        return self.rank == 0

    def total(self, tensor: Tensor) -> Tensor:
        """The sum of a tensor over all processes."""
        if self.size > 1:
            torch.distributed.all_reduce(tensor)
        return tensor

    def gathered(self, value: object) -> list[object]:
        """A value of each process, by rank."""
        if self.size == 1:
            return [value]
        found: list[object] = [None] * self.size
        torch.distributed.all_gather_object(found, value)
        return found

    def any(self, flag: bool) -> bool:
        """Whether a flag is raised in any process."""
        if self.size == 1:
            return flag
        return bool(self.total(torch.tensor([int(flag)])).item())

    def wait(self) -> None:
        """Return once all processes are here."""
        if self.size > 1:
            torch.distributed.barrier()


def launched() -> bool:
    """Whether `torchrun` started this process as one of several."""
    return int(os.environ.get("WORLD_SIZE", "1")) > 1
