"""The processes that train together: which one this is, and what they exchange.

For a single process everything here does nothing. `torchrun` starts several, and sets environment variables that say so.
"""

from __future__ import annotations

import gc
import hashlib
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor

from resnet_spec.diagnostics import Diagnostic, TrainingError


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

    def share(self, tensors: Iterable[Tensor]) -> None:
        """Give every process the values that the first has, in place."""
        if self.size > 1:
            for tensor in tensors:
                torch.distributed.broadcast(tensor, 0)

    def agree(self, facts: dict[str, str]) -> None:
        """Raise TrainingError in every process where one was started with different facts."""
        hashes = {name: hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest() for name, text in facts.items()}
        gathered = self.gathered(hashes)
        for name in facts:
            found = [each[name] for each in gathered if isinstance(each, dict)]
            others = [str(rank) for rank, value in enumerate(found) if value != found[0]]
            if others:
                message = f"the processes disagree about the {name}: that of rank {', '.join(others)} is not that of rank 0"
                help = "start all with the same command, on machines with access to the same files"
                raise TrainingError([Diagnostic("ranks-disagree", message, None, help=help)])


def launched() -> bool:
    """Whether `torchrun` started this process."""
    return "TORCHELASTIC_RUN_ID" in os.environ


def processes_here() -> int:
    """How many of the processes run on this machine."""
    return int(os.environ.get("LOCAL_WORLD_SIZE", "1")) if launched() else 1


def restarted() -> bool:
    """Whether `torchrun` started this process again, after one of the processes failed."""
    return int(os.environ.get("TORCHELASTIC_RESTART_COUNT", "0")) > 0


@contextmanager
def joined() -> Iterator[World]:
    """Join the processes that `torchrun` started, for as long as the context lasts; a world of one otherwise."""
    if torch.distributed.is_initialized():
        yield World(torch.distributed.get_rank(), torch.distributed.get_world_size())
        return
    if not launched():
        yield World()
        return
    if torch.cuda.is_available():
        torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
    backend = "cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo"
    store, rank, size = next(torch.distributed.rendezvous("env://"))  # type: ignore[attr-defined]
    if os.environ.get("LOCAL_WORLD_SIZE") == str(size):
        # torchrun's store outlives a restart, and with it the addresses of processes that are gone (pytorch issue 135712). Its
        # count of restarts keeps the generations apart; it is one and the same for all on a single machine only.
        generation = os.environ["TORCHELASTIC_RESTART_COUNT"]
        store = torch.distributed.PrefixStore(f"generation {generation}", store)  # type: ignore[attr-defined]
    torch.distributed.init_process_group(backend, store=store, rank=rank, world_size=size)
    yield World(rank, size)
    # No process leaves while another still communicates. After an error the process ends, and the group with it.
    torch.distributed.barrier()
    gc.collect()  # an object that still holds the group would end it at exit, which aborts the process now and then
    torch.distributed.destroy_process_group()
