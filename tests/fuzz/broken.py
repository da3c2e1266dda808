"""A target for the test of the fuzzer itself; it is not among `TARGETS`."""

from __future__ import annotations

import os
import time
from pathlib import Path
from random import Random

from tests.fuzz import Limits, Outcome, Wrong


class Broken:
    """A target that does in turn what none should, and now and then nothing wrong."""

    KINDS = ("wrong", "error", "slow", "large", "ends", "right", "refused")

    def __init__(self, folder: Path) -> None:
        self.limits = Limits(seconds=0.2, memory=50_000_000)

    def draw(self, chance: Random) -> str:
        return chance.choice(self.KINDS)

    def check(self, case: str) -> Outcome:
        match case:
            case "wrong":
                raise Wrong("it is\nwrong indeed")
            case "error":
                raise KeyError("a missing key")
            case "slow":
                until = time.process_time() + 60
                while time.process_time() < until:
                    pass
            case "large":
                len(b"x" * 150_000_000)
            case "ends":
                os._exit(3)
        return Outcome(accepted=case == "right", compared=case == "right")

    def write(self, case: str, path: Path) -> None:
        path.with_name(f"{path.name}.case.txt").write_text(case)
