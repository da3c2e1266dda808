"""Structure-aware fuzzing: inputs that are almost right, each with a limit on processor time and memory.

    python -m tests.fuzz --seconds 60 --seed 7                 all targets, for 60 seconds in all
    python -m tests.fuzz --only specs --only recipes           some of them
    python -m tests.fuzz --seed 7 --only specs --case 1234     one case again, in this process, with its traceback

A target is one kind of input. To add one, write a module here with a class that has the four members of `Target`, and add its
line to `TARGETS`; `--only some.module:SomeClass` runs one from elsewhere. A target is made once in each worker process; each
case gets a random generator of its own, made from the seed, the target's name and the number of the case, so any case can be
drawn again alone. `check` returns what became of a case. Whatever it raises, `Wrong` or anything else, is a failure, and so are
more processor time or memory than the target's limits, and a process that dies. For each failure the worker writes what the
target drew (`write`) and, beside it, what went wrong.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from random import Random
from typing import Any, Protocol


class Wrong(Exception):  # noqa: N818 - it is a finding of the fuzzer
    """What a case did, and should not have done."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a case: accepted, or refused with a clear error. `compared`: an independent source gave the same."""

    accepted: bool
    compared: bool = False


@dataclass(frozen=True, slots=True)
class Limits:
    """What one case may take: seconds of processor time, and by how many bytes the process may grow."""

    seconds: float = 2.0
    memory: int = 500_000_000


class Target(Protocol):
    """One kind of input. Its constructor takes a folder of its own for files, empty, which is removed at the end."""

    limits: Limits

    def draw(self, chance: Random) -> Any:
        """A case. It depends on `chance` alone, and is not run yet."""

    def check(self, case: Any) -> Outcome:
        """Run a case. Raises Wrong, or whatever the code under test raises, which both are failures."""

    def write(self, case: Any, path: Path) -> None:
        """Write a case for people, as the file `path` or a folder of that name."""


# By name: the module here, and the class in it.
TARGETS: dict[str, tuple[str, str]] = {
    "specs": ("specs", "Specs"),
    "recipes": ("recipes", "Recipes"),
    "operations": ("operations", "Operations"),
    "weights": ("weights", "Weights"),
    "checkpoints": ("checkpoints", "Checkpoints"),
    "runs": ("runs", "RunFolders"),
}


def make_target(name: str, folder: Path) -> Target:
    """The target of a name, or of a module and a class (`some.module:SomeClass`); `folder` is its own."""
    module, _, member = name.partition(":")
    if name in TARGETS:
        module, member = f"tests.fuzz.{TARGETS[name][0]}", TARGETS[name][1]
    make: Callable[[Path], Target] = getattr(import_module(module), member)
    return make(folder)
